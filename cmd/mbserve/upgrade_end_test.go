package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
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
			script := `for s in TERM QUIT; do trap "echo $s; exit" $s; done; echo up; `
			if serves {
				script += `printf 1 >&3; `
			}
			cmd := exec.Command(shell, "-c", script+`while :; do sleep 0.01; done`)
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
			u.end(sig)
			read("\n" + name + "\n")
			if got, want := text.String(), "up\n"+name+"\n"; got != want {
				t.Errorf("serves: %v, %s: %q", serves, name, got)
			}
		}
	}
}
