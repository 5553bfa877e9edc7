package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The examples of docs/manual.md are run, and the client's view that the manual shows is checked.
//
// An example is a ```lua block. The word after it says what is wrapped around it:
//
//	```lua           a script, if it calls listen; else the body of an HTTP handler, function(request) … end
//	```lua options   entries of the options of generate_handler
//	```lua pool      entries of the table of listen
//	```lua connect   the body of a connect handler, function(socket) … end
//	```lua wrong     a script that the server refuses
//
// The blocks after it, up to the next example, are its checks. An example without a check fails.
//
//	```console       lines "$ command" are run by sh, and print the lines that follow each. curl is silent, as if it
//	                 had the options -sS; wscat is in manual_wscat_test.go. "$ mbserve app.lua" starts a wrong script, which must end with code 3
//	```exchange      a connection. "> text" sends a line with CR LF, "< text" wants one; ">" and "<" are empty lines.
//	                 "> (end)" ends the sending side; "< (end)" and "< (reset)" want such an end of the connection.
//	                 "= text" begins another connection (the text tells the reader why)
//	```log           texts that the log gets, one a line, in this order
//
// In expected text, … stands for any text in a line; alone in a line, it stands for any number of lines.
//
// localhost:8080 is the listener for which the example has "port = 8080"; the system chooses the real port. /run/app/
// is an empty directory, or has cert.pem and key.pem, for localhost, if the script names them. Modules that examples require may be in testdata/manual.
func TestManual(t *testing.T) {
	needs(t, "curl")
	runManual(t, manual)
}

// The same for docs/web.md.
func TestWebManual(t *testing.T) {
	needs(t, "curl")
	runManual(t, "../../docs/web.md")
}

func runManual(t *testing.T, file string) {
	examples := readManual(t, file)
	if len(examples) == 0 {
		t.Fatal("there are no examples")
	}
	for _, e := range examples {
		t.Run(e.heading, func(t *testing.T) {
			t.Parallel()
			t.Logf("%s:%d", file, e.line)
			e.run(t)
		})
	}
}

// fenced is a fenced block of the manual.
type fenced struct {
	line    int    // number of its first line
	heading string // the heading above it
	kind    string
	text    []string
}

// sample is a lua block with its checks.
type sample struct {
	fenced
	checks []fenced
}

const manual = "../../docs/manual.md"

// readManual collects the examples of a file.
func readManual(t *testing.T, file string) (examples []*sample) {
	t.Helper()
	for _, b := range readBlocks(t, file) {
		switch word, _, _ := strings.Cut(b.kind, " "); word {
		case "lua":
			examples = append(examples, &sample{fenced: b})
		case "console", "exchange", "log":
			if len(examples) == 0 {
				t.Fatalf("line %d: a check without an example", b.line)
			}
			last := examples[len(examples)-1]
			last.checks = append(last.checks, b)
		case "sh", "html", "text": // for the reader only
		default:
			t.Fatalf("line %d: a block of kind %q", b.line, b.kind)
		}
	}
	return examples
}

func readBlocks(t *testing.T, file string) (blocks []fenced) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b *fenced
	heading := ""
	for i, line := range strings.Split(string(text), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && b == nil:
			b = &fenced{line: i + 1, heading: heading, kind: fence}
		case isFence:
			blocks, b = append(blocks, *b), nil
		case b != nil:
			b.text = append(b.text, line)
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimLeft(line, "# ")
		}
	}
	if b != nil {
		t.Fatalf("line %d: the block does not end", b.line)
	}
	return blocks
}

// wrappings of examples that are no scripts. A client that closes its sending side is answered on a busy machine too.
var wrappings = map[string]string{
	"lua": `local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 8080, localhost = true }, min_fork = 1, gone_after = false, connect = http.generate_handler(function(request)
%s
end) }`,
	"lua options": `local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 8080, localhost = true }, min_fork = 1, gone_after = false, connect = http.generate_handler({
%s
}, function(request)
	local body = request.body
	request:send_status("200 OK")
	request:send_data("Hello\n")
end) }`,
	"lua pool": `local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 8080, localhost = true }, connect = http.generate_handler(function(request)
	request:send_status("200 OK")
	request:send_data("Hello\n")
end),
%s
}`,
	"lua connect": `listen{ { proto = "tcp4", port = 8080, localhost = true }, min_fork = 1, gone_after = false, connect = function(socket)
%s
end }`,
	"lua wrong": "%s",
}

// open matches a listener of an example that is reachable from other hosts, which a test must not be.
var open = regexp.MustCompile(`(\{ proto = "tcp[46]", port = \d+)( \})`)

var portGiven = regexp.MustCompile(`\bport = (\d+)`)

// script returns the complete script of an example, whose directory is dir. ports are the ports of its listeners.
func (e *sample) script(t *testing.T, dir string) (file string, ports []string) {
	t.Helper()
	text := strings.Join(e.text, "\n")
	wrapping, known := wrappings[e.kind]
	if !known {
		t.Fatalf("an example of kind %q", e.kind)
	}
	if e.kind != "lua" || !strings.Contains(text, "listen") {
		text = fmt.Sprintf(wrapping, text)
	}
	for _, m := range portGiven.FindAllStringSubmatch(text, -1) {
		ports = append(ports, m[1])
	}
	text = open.ReplaceAllString(text, "$1, localhost = true$2")
	text = portGiven.ReplaceAllString(text, "port = 0")
	text = strings.ReplaceAll(text, "/run/app/", dir+"/")
	file = filepath.Join(dir, "app.lua")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, ports
}

func (e *sample) run(t *testing.T) {
	if len(e.checks) == 0 {
		t.Fatal("the example has no check")
	}
	dir, err := os.MkdirTemp("", "mb") // shorter than t.TempDir: Lua's messages truncate long file names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.CopyFS(dir, os.DirFS("testdata/manual")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".curlrc"), []byte("silent\nshow-error\nnoproxy = *\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	installWscat(t, dir)
	if strings.Contains(strings.Join(e.text, "\n"), "/run/app/cert.pem") {
		certificateFiles(t, dir, "localhost", "localhost")
		os.Rename(filepath.Join(dir, "localhost.pem"), filepath.Join(dir, "cert.pem"))
		os.Rename(filepath.Join(dir, "localhost-key.pem"), filepath.Join(dir, "key.pem"))
	}
	file, ports := e.script(t, dir)
	if e.kind == "lua wrong" {
		e.refused(t, dir, file)
		return
	}
	r := &sampleRun{t: t, dir: dir, s: start(t, file), ports: ports}
	for _, c := range e.checks {
		switch c.kind {
		case "console":
			r.console(c)
		case "exchange":
			r.exchange(c)
		case "log":
			r.log(c)
		}
		if t.Failed() {
			return
		}
	}
}

// refused checks the server's message about a script that it cannot use.
func (e *sample) refused(t *testing.T, dir, file string) {
	if c := e.checks[0]; len(e.checks) != 1 || c.kind != "console" || len(c.text) < 2 || c.text[0] != "$ mbserve app.lua" {
		t.Fatal(`a wrong script has one check: "$ mbserve app.lua" and its output`)
	}
	_, stderr := runToEnd(t, 3, file)
	compare(t, e.checks[0].line+1, e.checks[0].text[1:], strings.ReplaceAll(stderr, dir+"/", ""))
}

// sampleRun runs the checks of one example.
type sampleRun struct {
	t     *testing.T
	dir   string
	s     *instance
	ports []string
	from  int // how much of the log has been checked
}

// real returns a text of the manual with the addresses and directories of this test.
func (r *sampleRun) real(text string) string {
	for i, port := range r.ports {
		address := r.s.tcp(i)
		text = strings.ReplaceAll(text, "localhost:"+port, address)
		text = strings.ReplaceAll(text, "localhost/"+port, strings.Replace(address, ":", "/", 1)) // bash's /dev/tcp
	}
	return strings.ReplaceAll(text, "/run/app/", r.dir+"/")
}

func (r *sampleRun) console(c fenced) {
	for i := 0; i < len(c.text); {
		command, is := strings.CutPrefix(c.text[i], "$ ")
		if !is {
			r.t.Fatalf("line %d: no command", c.line+1+i)
		}
		first := i + 1
		for i = first; i < len(c.text) && !strings.HasPrefix(c.text[i], "$ "); i++ {
		}
		got := strings.ReplaceAll(r.shell(r.real(command)), r.dir+"/", "/run/app/")
		compare(r.t, c.line+1+first, c.text[first:i], got)
	}
}

// shell runs a command and returns its output. The command may fail: curl does if a connection breaks.
func (r *sampleRun) shell(command string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "CURL_HOME="+r.dir, "PATH="+r.dir+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := new(exec.ExitError); ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%s: %v, %v\n%s", command, err, ctx.Err(), &out)
	}
	return out.String()
}

// compare compares the output with the lines of the manual, the first of which is line n.
func compare(t *testing.T, n int, want []string, got string) {
	t.Helper()
	if !matches(want, got) {
		t.Errorf("line %d: got\n%s\nwant\n%s", n, got, strings.Join(want, "\n"))
	}
}

// matches reports whether an output is as the lines of the manual say.
func matches(want []string, got string) bool {
	got = strings.TrimSuffix(strings.ReplaceAll(got, "\r\n", "\n"), "\n")
	pattern := ""
	for _, line := range want {
		if line == "…" {
			pattern += `(?:.*\n)*?`
		} else {
			pattern += linePattern(line) + `\n`
		}
	}
	if len(want) == 0 {
		pattern = `\n`
	}
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(got + "\n")
}

func linePattern(line string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*")
}

func (r *sampleRun) exchange(c fenced) {
	p := dial(r.t, r.s.tcp(0))
	skip := false // lines are skipped until one matches
	for i, line := range c.text {
		n, mark, text := c.line+1+i, line[:min(1, len(line))], strings.TrimPrefix(line[min(1, len(line)):], " ")
		switch {
		case mark == "=":
			p.Close()
			p, skip = dial(r.t, r.s.tcp(0)), false
		case line == "> (end)":
			if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				r.t.Fatalf("line %d: %v", n, err)
			}
		case mark == ">":
			p.say("%s\r\n", text)
		case line == "< …":
			skip = true
		case line == "< (end)" || line == "< (reset)":
			r.ends(p, n, line == "< (reset)", skip)
		case mark == "<":
			r.hears(p, n, text, skip)
			skip = false
		default:
			r.t.Fatalf("line %d: %q is not a line of an exchange", n, line)
		}
	}
	p.Close()
}

// hears expects a line.
func (r *sampleRun) hears(p *peer, n int, want string, skip bool) {
	pattern := regexp.MustCompile(`\A` + linePattern(r.real(want)) + `\z`)
	for {
		got, err := p.r.ReadString('\n')
		line := strings.TrimRight(got, "\r\n")
		if (err == nil || got != "") && pattern.MatchString(line) {
			return
		}
		if err != nil || !skip {
			r.t.Fatalf("line %d: got %q, %v; want %q", n, got, err, want)
		}
	}
}

// ends expects the connection to end in the given way.
func (r *sampleRun) ends(p *peer, n int, reset, skip bool) {
	rest, err := io.ReadAll(p.r)
	if len(rest) > 0 && !skip {
		r.t.Fatalf("line %d: got %q, want the end of the connection", n, rest)
	}
	if reset != errors.Is(err, syscall.ECONNRESET) || !reset && err != nil {
		r.t.Fatalf("line %d: the connection ended with: %v", n, err)
	}
}

func (r *sampleRun) log(c fenced) {
	for _, line := range c.text {
		r.s.log.wait(r.t, r.from, strings.Split(line, "…")...)
		text := r.s.log.String()
		pattern := regexp.MustCompile(linePattern(line) + `.*\n`)
		at := pattern.FindStringIndex(text[r.from:])
		if at == nil {
			r.t.Fatalf("no line of the log has %q", line)
		}
		r.from += at[1]
	}
}
