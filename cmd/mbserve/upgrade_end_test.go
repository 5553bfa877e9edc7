package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"moonbridge/cmd/mbserve/acme"
)

// A new process that is to take over gets the signal that ends this one. It may serve already without this process having noticed.
func TestStopEndsHeir(t *testing.T) {
	t.Parallel()
	shell := needs(t, "sh")
	for _, serves := range []bool{false, true} {
		for sig, name := range map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGQUIT: "QUIT"} {
			ready, heirs, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			script := `for s in TERM QUIT; do trap "echo $s; exit" $s; done; `
			if serves {
				script += `printf 1 >&3; `
			}
			cmd := exec.Command(shell, "-c", script+`echo up; while :; do sleep 0.01; done`)
			cmd.ExtraFiles = []*os.File{heirs}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			heirs.Close()
			var text strings.Builder
			read := func(until string) {
				b := make([]byte, 64)
				for !strings.Contains(text.String(), until) {
					n, err := out.Read(b)
					if text.Write(b[:n]); err != nil {
						t.Fatalf("%q, %v", text.String(), err)
					}
				}
			}
			read("up\n")
			u := &upgrade{cmd: cmd, ready: ready, done: make(chan error, 1), ended: func() error {
				_, err := cmd.Process.Wait()
				return errors.Join(errors.New("ended"), err)
			}}
			go func() { u.done <- u.await(upgradeTimeout) }()
			if got := u.end(sig); got != serves {
				t.Errorf("serves: %v, in truth %v", got, serves)
			}
			read("\n" + name + "\n")
			if got, want := text.String(), "up\n"+name+"\n"; got != want {
				t.Errorf("serves: %v, %s: %q", serves, name, got)
			}
		}
	}
}

// If the new process serves already, it is the server, also while both stop: the pid file and the sockets are its own. The service manager
// kills what is left when the main process has ended, so it is told of the new process when this one ends, if that has not ended before.
func TestStopHandsOver(t *testing.T) {
	for _, first := range []string{"old", "new"} {
		address, next := manager(t)
		_, timers, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(needs(t, "sh"), "-c", `trap "" TERM; echo up; exec sleep 60`)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end := func() { cmd.Process.Kill(); cmd.Wait() }
		defer end()
		if _, err := io.ReadFull(out, make([]byte, len("up\n"))); err != nil {
			t.Fatal(err)
		}
		s := newServer(&options{})
		s.log, s.manager = slog.New(slog.DiscardHandler), &notifier{address: &net.UnixAddr{Name: address, Net: "unixgram"}}
		s.acme = acme.New(s.log, "test")
		file, err := plain(filepath.Join(t.TempDir(), "pid"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		s.pid = &pidFile{file.Name(), file}
		s.upgrading = &upgrade{cmd: cmd, timers: timers, handed: make(chan struct{}), done: make(chan error, 1)}
		s.upgrading.done <- nil
		s.beginStop(syscall.SIGTERM)
		if !s.handedOver || s.pid != nil {
			t.Errorf("handed over: %v; pid file: %v", s.handedOver, s.pid)
		}
		if got := next(); !strings.HasPrefix(got, "STOPPING=1\n") {
			t.Errorf("%q", got)
		}
		s.notify(s.manager.send("STATUS=completing requests"))
		if got := next(); !strings.HasPrefix(got, "STATUS=") {
			t.Errorf("told before the end of this process: %q", got)
		}
		want := fmt.Sprintf("MAINPID=%d", cmd.Process.Pid)
		if first == "new" {
			end()
			want = "STATUS=nothing"
		}
		s.tellSuccessor()
		s.notify(s.manager.send("STATUS=nothing"))
		if got := next(); got != want {
			t.Errorf("%s first: %q, want %q", first, got, want)
		}
	}
}
