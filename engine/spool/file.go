package spool

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// File is a file of a Spool.
type File struct {
	s       *Spool
	fd      int
	size    int64 // bytes appended
	dropped int64 // bytes at the start whose space was freed
}

// Variables for tests.
var (
	pwrite = unix.Pwrite
	punch  = punchHole
)

// Append writes p to the end. If only the first n bytes were written, the error says why: ErrFull, ErrTooLarge, or an error of
// the system, such as ENOSPC.
func (f *File) Append(p []byte) (n int, err error) {
	if n := int64(len(p)); f.Held()+n > f.s.limit || f.size+n > f.s.sizeMax {
		return 0, ErrTooLarge
	}
	if !f.s.reserve(int64(len(p))) {
		return 0, ErrFull
	}
	for n < len(p) && err == nil {
		var k int
		k, err = pwrite(f.fd, p[n:], f.size)
		switch {
		case err == unix.EINTR:
			err = nil
		case err != nil:
			err = fmt.Errorf("spool: write: %w", err)
		case k == 0:
			err = fmt.Errorf("spool: write: %w", io.ErrShortWrite)
		default:
			n += k
			f.size += int64(k)
		}
	}
	f.s.bytes.Add(int64(n - len(p)))
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		k, err := unix.Pread(f.fd, p[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, fmt.Errorf("spool: read: %w", err)
		case k == 0:
			return n, io.EOF
		default:
			n += k
		}
	}
	return n, nil
}

// Size returns how many bytes have been appended. It does not shrink.
func (f *File) Size() int64 { return f.size }

// Fd returns the descriptor. It is valid until Close.
func (f *File) Fd() int { return f.fd }

// Open opens the file again, for reading only. The caller closes the descriptor.
func (f *File) Open() (fd int, err error) { return openAgain(f.fd) }

// Drop frees the space of the bytes before off, which must not be read again. A file system that cannot do that keeps them
// until Close.
func (f *File) Drop(off int64) {
	if off > f.dropped && punch(f.fd, f.dropped, off-f.dropped) == nil {
		f.s.bytes.Add(f.dropped - off)
		f.dropped = off
	}
}

// Held returns how many bytes the file counts for in its spool.
func (f *File) Held() int64 { return f.size - f.dropped }

// Close frees everything. If another process has the file open, its space on the disk is free once that process has closed it.
func (f *File) Close() error {
	f.s.bytes.Add(-f.Held())
	f.s.files.Add(-1)
	return unix.Close(f.fd)
}
