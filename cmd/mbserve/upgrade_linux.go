package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// startBeside starts a process whose parent is ours. The parent of a service is systemd, which waits for the end of a main process only if
// it is a child of its own: any other one, and all that belongs to it, is killed at once when the service is stopped. ended waits
// for its end.
func startBeside(cmd *exec.Cmd) (ended func() error, err error) {
	pidfd := -1
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT, PidFD: &pidfd}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error {
		if pidfd < 0 { // a kernel before Linux 5.4: nobody waits for it but its parent
			return errors.New("its parent knows how")
		}
		defer unix.Close(pidfd)
		for {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, -1); err != unix.EINTR {
				return errors.Join(os.NewSyscallError("poll", err), errors.New("only its parent knows how"))
			}
		}
	}, nil
}
