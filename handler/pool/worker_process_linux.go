package pool

import (
	"golang.org/x/sys/unix"
)

// process is a handle of a process, which need not be our child. Unlike its number, it never comes to mean another process.
type process struct{ fd int }

func openProcess(pid int) process {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		fd = -1
	}
	return process{fd}
}

// signal reports whether the signal was sent, or was no longer needed. false: there is no handle.
func (p process) signal(sig unix.Signal) bool {
	return p.fd >= 0 && unix.PidfdSendSignal(p.fd, sig, nil, 0) != unix.EPERM
}

// pidfdGroup is PIDFD_SIGNAL_PROCESS_GROUP, of Linux 6.9. A variable for tests.
var pidfdGroup = 1 << 2

// signalGroup sends a signal to the process and to the process group that it leads. The process may have left that group.
func (p process) signalGroup(pid int, sig unix.Signal) bool {
	if p.fd < 0 {
		return false
	}
	err := unix.PidfdSendSignal(p.fd, sig, nil, pidfdGroup)
	// As long as the process has not been reaped, no other group can have its number.
	if err == unix.EINVAL && unix.PidfdSendSignal(p.fd, 0, nil, 0) == nil {
		unix.Kill(-pid, sig)
	}
	return p.signal(sig)
}

// ended reports whether the process is known to have ended, whether it was reaped or not.
func (p process) ended() bool {
	if p.fd < 0 {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1 && fds[0].Revents&unix.POLLIN != 0
}

func (p process) close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
}
