package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A walk is a document whose examples follow one another: docs/testing.md and docs/tour.md.
//
//	```lua FILE      writes FILE
//	```console       lines "$ command" are run by sh, and print the lines that follow each. "…" is as in the manual. What shows
//	                 a state (curl, grep) is repeated until it prints that. "$ cd DIR" holds for all that follows. "$ mbserve … 2>log &"
//	                 is started, and is waited for until it is ready
//	```sh, ```text and blocks without a word are for the reader
//
// 127.0.0.1:8080 is where the script listens, and 127.0.0.1:9090 the admin listener; the system chooses the real ports.
type walk struct {
	t    *testing.T
	file string
	home string // has mbserve in it
	dir  string // the working directory
	mark string
	s    *exec.Cmd // the server in the background; nil: none
	done chan struct{}
}

func newWalk(t *testing.T, file string) *walk {
	t.Helper()
	home := t.TempDir()
	w := &walk{t: t, file: file, home: home, dir: filepath.Join(home, "work"), mark: newMark()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join(home, "mbserve"), "#!/bin/sh\nexec '"+self+"' \"$@\"\n")
	if err := os.Chmod(filepath.Join(home, "mbserve"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join(home, ".curlrc"), "silent\nshow-error\nnoproxy = *\n")
	t.Cleanup(w.end)
	return w
}

func (w *walk) write(path, text string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// end stops what is still running, and checks that nothing is left.
func (w *walk) end() {
	if w.s != nil {
		w.s.Process.Signal(os.Interrupt)
		w.awaitEnd()
	}
	if !holds(patience, func() bool { return len(marked(w.mark)) == 0 }) {
		w.t.Errorf("processes are left: %v", marked(w.mark))
		(&instance{t: w.t, mark: w.mark}).killAll()
	}
	if w.t.Failed() {
		text, _ := os.ReadFile(filepath.Join(w.dir, "log"))
		w.t.Logf("log of the server:\n%s", text)
	}
}

func (w *walk) awaitEnd() {
	select {
	case <-w.done:
	case <-time.After(patience):
		w.t.Error("the server does not end")
		w.s.Process.Kill()
		<-w.done
	}
	w.s = nil
}

// command makes a shell that runs a text.
func (w *walk) command(text string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", text)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "CURL_HOME="+w.home, "PATH="+w.home+":"+os.Getenv("PATH"), envServer+"="+w.mark,
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return cmd
}

// start starts a server.
func (w *walk) start(command string) {
	if w.s != nil {
		w.awaitEnd()
	}
	os.Remove(filepath.Join(w.dir, "log"))
	w.s, w.done = w.command("exec "+strings.ReplaceAll(command, "127.0.0.1:9090", "127.0.0.1:0")), make(chan struct{})
	if err := w.s.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { w.s.Wait(); close(w.done) }()
	eventually(w.t, command+" is ready", func() bool { return strings.Contains(w.log(), "msg=ready") })
}

func (w *walk) log() string {
	text, _ := os.ReadFile(filepath.Join(w.dir, "log"))
	return string(text)
}

var (
	walkListens = regexp.MustCompile(`msg=listening .*address=http://(\S+)/`)
	walkAdmin   = regexp.MustCompile(`msg=admin address=http://(\S+)/`)
)

// real is a command with the addresses of the server that is running.
func (w *walk) real(command string) string {
	for of, pattern := range map[string]*regexp.Regexp{"127.0.0.1:8080": walkListens, "127.0.0.1:9090": walkAdmin} {
		if m := pattern.FindStringSubmatch(w.log()); m != nil {
			command = strings.ReplaceAll(command, of, m[1])
		}
	}
	return command
}

// step runs a command, and compares what it prints with lines of the document, of which the first is line n.
func (w *walk) step(n int, command string, want []string) {
	w.t.Helper()
	if dir, is := strings.CutPrefix(command, "cd "); is {
		w.dir = filepath.Join(w.dir, dir)
		return
	}
	if server, is := strings.CutSuffix(command, " &"); is {
		w.start(server)
		return
	}
	run := func() string {
		cmd := w.command(w.real(command))
		out, _ := cmd.CombinedOutput() // the command may fail
		return string(out)
	}
	got := run()
	if !matches(want, got) && (strings.HasPrefix(command, "curl ") || strings.HasPrefix(command, "grep ")) {
		holds(patience, func() bool { got = run(); return matches(want, got) })
	}
	compare(w.t, n, want, got)
	if command == "kill $(cat pid)" && w.s != nil {
		w.awaitEnd() // a reader types the next command later
	}
	if strings.HasPrefix(command, "mbserve new ") {
		w.anyPort(filepath.Join(w.dir, strings.TrimPrefix(command, "mbserve new "), "main.lua"))
	}
}

// anyPort has a script listen on a port that the system chooses.
func (w *walk) anyPort(script string) {
	text, err := os.ReadFile(script)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(script, strings.ReplaceAll(string(text), "8080", "0"))
}

// run runs all blocks.
func (w *walk) run() {
	steps := 0
	for _, b := range readBlocks(w.t, w.file) {
		switch word, name, _ := strings.Cut(b.kind, " "); word {
		case "lua":
			w.write(filepath.Join(w.dir, name), strings.Join(b.text, "\n")+"\n")
			w.anyPort(filepath.Join(w.dir, name))
		case "console":
			steps += w.console(b)
		case "", "sh", "text":
		default:
			w.t.Fatalf("line %d: a block of kind %q", b.line, b.kind)
		}
	}
	if steps == 0 {
		w.t.Fatal("there are no steps")
	}
}

// console runs the commands of a block, and returns how many there are.
func (w *walk) console(b fenced) (steps int) {
	for i := 0; i < len(b.text); steps++ {
		command, is := strings.CutPrefix(b.text[i], "$ ")
		if !is {
			w.t.Fatalf("line %d: no command", b.line+1+i)
		}
		first := i + 1
		for i = first; i < len(b.text) && !strings.HasPrefix(b.text[i], "$ "); i++ {
		}
		w.step(b.line+1+first, command, b.text[first:i])
		if w.t.Failed() {
			w.t.Fatalf("line %d: %s", b.line+first, command)
		}
	}
	return steps
}

// The examples of docs/testing.md are run.
func TestTestingDocument(t *testing.T) {
	t.Parallel()
	newWalk(t, "../../docs/testing.md").run()
}

// The steps of docs/tour.md are run, but for those that need root.
func TestTour(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"curl", "tar"} {
		needs(t, program)
	}
	newWalk(t, "../../docs/tour.md").run()
}
