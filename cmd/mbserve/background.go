package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Go program cannot fork, so it goes into the background by starting itself once more, in a session of its own. The
// first process waits until the second one is ready, and shows what keeps it from that: who types the command sees errors,
// and its exit code, as in the foreground.

// backgroundEnv tells the second process the descriptor on which it says that it is ready.
const backgroundEnv = "MOONBRIDGE_BACKGROUND"

// goBackground starts the second process, and returns the exit code of the first.
func goBackground(args []string, stderr io.Writer) int {
	program, err := os.Executable()
	if err != nil {
		return complain(stderr, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return complain(stderr, err)
	}
	defer r.Close()
	cmd := exec.Command(program)
	cmd.Args = append([]string{os.Args[0]}, args...)
	cmd.Env = append(os.Environ(), backgroundEnv+"=3")
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = os.Stderr // for errors at the start
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return complain(stderr, err)
	}
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err == nil {
		return exitOK
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code > 0 {
		return code // it has said why
	}
	if err == nil {
		err = errors.New("ended before it was ready")
	}
	return complain(stderr, fmt.Errorf("server in the background: %w", err))
}

// detacher is what a process in the background has to do when it is ready; nil in the foreground.
type detacher struct{ ready *os.File }

// inBackground reports whether this is the second process. Its standard output is nowhere from the beginning: the script
// and its workers get that.
func inBackground() (*detacher, error) {
	text := os.Getenv(backgroundEnv)
	os.Unsetenv(backgroundEnv)
	if text == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%s: no descriptor", backgroundEnv, text)
	}
	syscall.CloseOnExec(fd)
	return &detacher{os.NewFile(uintptr(fd), "ready")}, nil
}

// detach lets go of the terminal, and of the one who waits.
func (d *detacher) detach() error {
	if d == nil {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := unix.Dup2(int(null.Fd()), fd); err != nil {
			return os.NewSyscallError("dup2", err)
		}
	}
	_, err = d.ready.Write([]byte{0})
	return errors.Join(err, d.ready.Close())
}
