//go:build !linux

package spool

import (
	"errors"

	"golang.org/x/sys/unix"
)

func openUnnamed(dir string) (int, error) { return openNamed(dir) }

// openAgain duplicates fd: the file has no name to open.
func openAgain(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

func punchHole(int, int64, int64) error { return errors.ErrUnsupported }
