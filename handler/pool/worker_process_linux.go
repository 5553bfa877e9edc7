package pool

import (
	"golang.org/x/sys/unix"
)

// process is a handle of a process that need not be our child: unlike its number it cannot come to mean another one.
type process struct{ fd int }

func openProcess(pid int) process {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		fd = -1
	}
	return process{fd}
}

// signal reports whether it could be sent, or was not needed any more. false: there is no handle.
func (p process) signal(sig unix.Signal) bool {
	return p.fd >= 0 && unix.PidfdSendSignal(p.fd, sig, nil, 0) != unix.EPERM
}

func (p process) close() {
	if p.fd >= 0 {
		unix.Close(p.fd)
	}
}
