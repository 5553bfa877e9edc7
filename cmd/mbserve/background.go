package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Go program cannot fork, so mbserve goes into the background by starting itself again in a new session. The first
// process waits until the second one is ready. Until then errors are shown as in the foreground, and a failed start
// sets the exit code.

// backgroundEnv gives the second process the descriptor on which it reports that it is ready.
const backgroundEnv = "MOONBRIDGE_BACKGROUND"

// goBackground starts the second process and returns the exit code of the first.
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
	cmd.Stderr = os.Stderr // for errors at start
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// In its session the second process does not hear what ends this one: an interrupt from the terminal, for example.
	ends := make(chan os.Signal, 4)
	signal.Notify(ends, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	err = cmd.Start()
	w.Close()
	if err != nil {
		return complain(stderr, err)
	}
	over := make(chan int, 1)
	go func() { over <- awaitBackground(cmd, r, stderr) }()
	for interrupted := false; ; interrupted = true {
		select {
		case code := <-over:
			return code
		case sig := <-ends:
			cmd.Process.Signal(sig)
			if interrupted { // a disk that does not answer, for example, can delay its end for as long as it likes
				return complain(stderr, fmt.Errorf("server in the background: process %d is to end, and is not waited for any more", cmd.Process.Pid))
			}
		}
	}
}

// awaitBackground waits until the second process is ready or has ended. It returns the exit code of the first.
func awaitBackground(cmd *exec.Cmd, r io.Reader, stderr io.Writer) int {
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err == nil {
		return exitOK
	}
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code > 0 {
		return code // it has printed the reason
	}
	if err == nil {
		err = errors.New("ended before it was ready")
	}
	return complain(stderr, fmt.Errorf("server in the background: %w", err))
}

// detacher detaches a background process when it is ready. It is nil in the foreground.
type detacher struct{ ready *os.File }

// inBackground returns a detacher if this is the second process. Standard output is /dev/null from the start, since the
// script and its workers inherit it.
func inBackground() (*detacher, error) {
	text := os.Getenv(backgroundEnv)
	os.Unsetenv(backgroundEnv)
	if text == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%s: not a descriptor", backgroundEnv, text)
	}
	syscall.CloseOnExec(fd)
	return &detacher{os.NewFile(uintptr(fd), "ready")}, nil
}

// detach disconnects the process from the terminal and from the waiting first process.
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
