package spool

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

var (
	// ErrFull: the files have reached their common limit. There may be room later.
	ErrFull = errors.New("spool: limit reached")
	// ErrTooLarge: a single file would exceed the common limit, or the largest size that the system allows
	// (RLIMIT_FSIZE).
	ErrTooLarge = errors.New("spool: too large for the limit")
)

// Spool is a directory for files and a bound on their bytes.
type Spool struct {
	dir     string
	limit   int64 // bytes that all files hold
	sizeMax int64 // largest size of a file

	bytes atomic.Int64
	files atomic.Int64
}

// New returns a spool in dir, whose files hold at most limit bytes together. The directory is not used before a file is
// created.
func New(dir string, limit int64) *Spool {
	return &Spool{dir: dir, limit: limit, sizeMax: fileSizeMax()}
}

// fileSizeMax is the largest file size that the system allows. A write beyond it would cause a signal that ends the process.
func fileSizeMax() int64 {
	var size unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &size) != nil || uint64(size.Cur) > 1<<62 {
		return 1 << 62
	}
	return int64(size.Cur)
}

// Dir returns the directory.
func (s *Spool) Dir() string { return s.dir }

// Bytes returns how many bytes the files hold, and Files how many files there are.
func (s *Spool) Bytes() int64 { return s.bytes.Load() }
func (s *Spool) Files() int64 { return s.files.Load() }

// Limit returns the bound on Bytes.
func (s *Spool) Limit() int64 { return s.limit }

// Room returns nil if a file of n bytes would fit now, otherwise ErrFull or ErrTooLarge. It reserves nothing.
func (s *Spool) Room(n int64) error {
	switch {
	case n > s.limit || n > s.sizeMax:
		return ErrTooLarge
	case n > s.limit-s.bytes.Load():
		return ErrFull
	}
	return nil
}

// Create opens an empty file. Its error is an error of the system.
func (s *Spool) Create() (*File, error) {
	fd, err := openUnnamed(s.dir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s.files.Add(1)
	return &File{s: s, fd: fd}, nil
}

// Check reports whether a file can be created and written to.
func (s *Spool) Check() error {
	f, err := s.Create()
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Append([]byte{0})
	return err
}

// reserve counts n more bytes if they fit.
func (s *Spool) reserve(n int64) bool {
	if s.bytes.Add(n) > s.limit {
		s.bytes.Add(-n)
		return false
	}
	return true
}

// openNamed creates a file and removes its name.
func openNamed(dir string) (int, error) {
	f, err := os.CreateTemp(dir, ".mbserve-spool-*")
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, err
	}
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}
