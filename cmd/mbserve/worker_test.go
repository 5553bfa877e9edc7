package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

var ignored = regexp.MustCompile(`Ign [0-9a-f]{8}`)

// A worker is an ordinary process, which may start others. They inherit nothing from the server.
func TestHandlerStartsProcesses(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/process.lua")
	do := func(path, command string) string {
		t.Helper()
		return get(t, s.url(path+"?c="+url.QueryEscape(command)))
	}
	if got := do("/popen", "echo hello | tr a-z A-Z"); got != "HELLO\n" {
		t.Errorf("popen: %q", got)
	}
	if got := do("/execute", "exit 3"); got != "768" { // the format of waitpid, in Lua 5.1
		t.Errorf("execute: %q", got)
	}
	if got := do("/execute", "kill -TERM $$"); got != "15" {
		t.Errorf("execute: %q", got)
	}
	// SIGPIPE has its default action there, otherwise this would never end.
	if got := do("/popen", "yes | head -n 1"); got != "y\n" {
		t.Errorf("yes: %q", got)
	}
	// Descriptors and blocked and ignored signals are the same as in a process that this test starts, except signal 32,
	// which glibc uses itself and ignores in some processes that it starts, and HUP, INT and QUIT, which are ignored in this test
	// if it runs in the background, and which the server handles.
	plain := func(s string) string {
		return ignored.ReplaceAllStringFunc(s, func(line string) string {
			set, err := strconv.ParseUint(line[len("Ign "):], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("Ign %08x", set&^(1<<31|1<<2|1<<1|1<<0))
		})
	}
	for _, command := range []string{"ls /proc/self/fd", `sed -n 's/^Sig\(Blk\|Ign\).*\(........\)$/\1 \2/p' /proc/self/status`} {
		want, err := exec.Command("sh", "-c", command).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := plain(do("/popen", command)), plain(string(want)); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	do("/print", "something")
	s.out.wait(t, 0, "printed\tsomething")
}

// The server keeps running if its output has no reader.
func TestOutputIsGone(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/process.lua")
	s.out.close()
	s.log.close()
	for range 3 {
		get(t, s.url("/print?c=x"))
		s.signal(syscall.SIGHUP) // makes it write a line
	}
	s.signal(syscall.SIGTERM)
	s.exit(0)
}

// With few descriptors, excess connections are turned away, and accepted ones are served. That holds for the limit on
// connections, and for a limit on open files that is reached before that.
func TestFewDescriptors(t *testing.T) {
	for _, c := range []struct{ files, least int }{{100, 20}, {64, 5}} {
		t.Run(fmt.Sprint(c.files), func(t *testing.T) {
			t.Parallel()
			fewDescriptors(t, c.files, c.least)
		})
	}
}

func fewDescriptors(t *testing.T, files, least int) {
	shell := needs(t, "sh")
	s := launchProgram(t, shell, "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, files), program(t), "testdata/hello.lua")
	s.wait("msg=ready")
	var in, out []*peer
	for range 120 {
		p := dial(t, s.address(0))
		status, _, err := p.ask("/")
		switch {
		case err == nil && status == 200:
			in = append(in, p)
		case err == nil && status == 503:
			out = append(out, p)
		case len(in) == 0 || errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatalf("after %d served connections: %d, %v", len(in), status, err)
		}
	}
	if len(in) < least || len(out) == 0 {
		t.Errorf("%d connections were served, %d were told 503", len(in), len(out))
	}
	for _, p := range in {
		p.get("/")
		p.hears(200)
		p.Close()
	}
	eventually(t, "there is room again", func() bool {
		_, _, err := fetch("GET", s.url("/"), "")
		return err == nil && status(t, "GET", s.url("/")) == 200
	})
	s.wait("turned away")
}
