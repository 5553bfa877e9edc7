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

func (p process) close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
}
