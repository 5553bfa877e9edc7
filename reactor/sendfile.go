package reactor

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyFile is SendFile by reading and writing. Bytes that the socket does not take are read again.
func copyFile(socket, file int, offset, n int64) (sent int64, errno syscall.Errno) {
	var room [16 << 10]byte
	for sent < n {
		p := room[:min(n-sent, int64(len(room)))]
		k, err := pread(file, p, offset+sent)
		if err == 0 && k > 0 {
			k, err = Write(socket, p[:k])
		}
		sent += int64(k)
		switch {
		case err != 0 && sent > 0:
			return sent, 0 // the next call returns the error
		case err != 0 || k == 0:
			return sent, err
		}
	}
	return sent, 0
}

func pread(file int, p []byte, offset int64) (n int, errno syscall.Errno) {
	return uninterrupted(func() (int, error) { return unix.Pread(file, p, offset) })
}

// uninterrupted makes a system call, again if a signal has interrupted it.
func uninterrupted(call func() (int, error)) (n int, errno syscall.Errno) {
	for {
		n, err := call()
		if err == nil {
			return n, 0
		}
		if errno := errnoOf(err); errno != unix.EINTR {
			return 0, errno
		}
	}
}

func errnoOf(err error) syscall.Errno {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return syscall.EIO
}
