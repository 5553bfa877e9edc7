//go:build !linux

package reactor

import (
	"os"
	"syscall"
)

// CanSplice: these systems have no splice(2).
const CanSplice = false

// OpenPipe fails on this system.
func OpenPipe() (Pipe, error) { return Pipe{}, os.NewSyscallError("splice", syscall.ENOSYS) }

// Splice fails on this system.
func Splice(from, to, n int) (moved int, errno syscall.Errno) { return 0, syscall.ENOSYS }

// ReadPipe fails on this system.
func ReadPipe(fd int, p []byte) (n int, errno syscall.Errno) { return 0, syscall.ENOSYS }
