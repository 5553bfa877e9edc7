package spool

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openUnnamed opens an unnamed file for reading and writing. Not all file systems can do that.
func openUnnamed(dir string) (int, error) {
	for {
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o400)
		switch {
		case err == nil:
			return fd, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.EINVAL):
			return openNamed(dir)
		}
		return -1, &os.PathError{Op: "create a file in", Path: dir, Err: err}
	}
}

// openAgain opens the file of fd again, for reading. Where /proc is missing, the new descriptor can write too.
func openAgain(fd int) (int, error) {
	for {
		again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch err {
		case unix.EINTR:
			continue
		case unix.ENOENT, unix.EACCES:
			return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		}
		return again, err
	}
}

// punchHole frees n bytes at off.
func punchHole(fd int, off, n int64) error {
	return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}
