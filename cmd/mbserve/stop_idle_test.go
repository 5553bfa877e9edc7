package main

import (
	"io"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// A stop that takes all of the grace time kills the workers that are at a request. The idle ones run finish, also those of a
// script that has been replaced.
func TestGraceOverBesideIdleWorkers(t *testing.T) {
	for _, reload := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "after a reload"}[reload], func(t *testing.T) {
			t.Parallel()
			fifo, _ := newFIFO(t)
			s := start(t, "--grace", "0.3", "testdata/idle_stop.lua", fifo)
			var busy []*peer
			for i := range 2 {
				p := dial(t, s.address(0))
				p.get("/stream")
				busy = append(busy, p)
				eventually(t, "it runs", func() bool { return strings.Count(s.log.String(), "streaming") == i+1 })
			}
			want := 2
			if reload {
				s.mustReload()
				want += 4
			}
			s.signal(syscall.SIGTERM)
			for _, p := range busy {
				p.hearsBreak()
			}
			s.exit(0)
			if n := strings.Count(s.log.String(), "finish"); n != want {
				t.Errorf("finish ran in %d workers, want %d", n, want)
			}
			if n := strings.Count(s.log.String(), "lost=1"); n != 2 {
				t.Errorf("%d workers were lost with a request, want 2", n)
			}
			for _, bad := range []string{"destroyed", "lost=0"} {
				if strings.Contains(s.log.String(), bad) {
					t.Errorf("the log has %q", bad)
				}
			}
		})
	}
}

// Raw connections whose peers say nothing do not hold up a stop: their handlers find the end of the input, and what they
// write then arrives.
func TestRawQuietStop(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ { proto = "tcp4", port = 0, localhost = true }, min_fork = 2, connect = function(socket)
		socket:write("hello\n")
		socket:flush()
		repeat local line, why = socket:read("*l") until not line
		socket:write(("x"):rep(1000000), "bye\n")
	end }`)
	s := start(t, "--grace", "10", a.script)
	address := regexp.MustCompile(`address=tcp://(\S+)`).FindStringSubmatch(s.log.String())[1]
	quiet, half := dialLines(t, "tcp", address), dialLines(t, "tcp", address)
	half.Write([]byte("half a li"))
	for _, l := range []*lines{quiet, half} {
		if got, err := l.r.ReadString('\n'); got != "hello\n" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	s.signal(syscall.SIGTERM)
	for _, l := range []*lines{quiet, half} {
		if got, err := io.ReadAll(l.r); err != nil || len(got) != 1000004 || !strings.HasSuffix(string(got), "xbye\n") {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
	s.exit(0)
	if strings.Contains(s.log.String(), "workers were killed") {
		t.Error("workers were killed")
	}
}
