package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"moonbridge/engine"
)

// The new process has these descriptors besides the standard ones: the end of a pipe, on which it says that it serves, and then the listening
// sockets. An address has several, one for each event loop (SO_REUSEPORT). The variable says how many.
const (
	readyFD         = 3
	firstSocketFD   = 4
	socketsVariable = "RESTART_SOCKETS"
)

// inherited returns the listening sockets from the old process, and a function that tells it that this one serves. If there is no old
// process, there are no sockets, and the function does nothing.
func inherited() (sockets []int, ready func() error) {
	n, _ := strconv.Atoi(os.Getenv(socketsVariable))
	os.Unsetenv(socketsVariable) // programs that this one starts do not inherit them
	if n == 0 {
		return nil, func() error { return nil }
	}
	for fd := readyFD; fd < firstSocketFD+n; fd++ {
		syscall.CloseOnExec(fd)
	}
	for i := range n {
		sockets = append(sockets, firstSocketFD+i)
	}
	pipe := os.NewFile(readyFD, "ready")
	return sockets, func() error {
		defer pipe.Close()
		_, err := pipe.Write([]byte("1"))
		return err
	}
}

// startHeir starts the new process, and waits until it serves. If it does not within a minute, or ctx ends before, it is killed.
func startHeir(ctx context.Context, ln *engine.Listener) error {
	sockets, err := ln.Files() // duplicates
	if err != nil {
		return err
	}
	fromHeir, toOld, err := os.Pipe()
	if err != nil {
		closeAll(sockets)
		return err
	}
	defer fromHeir.Close()
	// The file as it was named when this process was started, so a program that calls os.Chdir needs an absolute path here.
	heir := exec.Command(os.Args[0], os.Args[1:]...)
	heir.Stdout, heir.Stderr = os.Stdout, os.Stderr
	heir.ExtraFiles = append([]*os.File{toOld}, sockets...) // the first one is descriptor 3
	heir.Env = append(os.Environ(), fmt.Sprintf("%s=%d", socketsVariable, len(sockets)))
	err = heir.Start()
	closeAll(heir.ExtraFiles) // the new process has its own
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	context.AfterFunc(ctx, func() { fromHeir.Close() })
	// Read ends with the byte; or without one, if the new process, which has the only other end, has ended, or if ctx has and fromHeir is closed.
	if n, _ := fromHeir.Read(make([]byte, 1)); n == 0 {
		heir.Process.Kill()
		heir.Wait()
		return errors.New("the new process does not serve")
	}
	return nil // without Wait: this process ends before the new one
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
