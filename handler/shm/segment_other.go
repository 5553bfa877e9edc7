//go:build !linux

package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// createSegment makes a segment as an unlinked temporary file.
//
// There are no seals on these systems: if a worker truncates the out segment, the server dies of SIGBUS at the next access.
// readOnly: the descriptor that workers get is open for reading only.
func createSegment(name string, size uint64, readOnly bool) (Segment, error) {
	f, err := os.CreateTemp("", name+"-*")
	if err != nil {
		return Segment{}, err
	}
	s := Segment{f: f}
	err = fill(&s, size)
	if err == nil && readOnly {
		var r *os.File
		if r, err = os.Open(f.Name()); err == nil {
			s.f = r
			err = f.Close()
		}
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return Segment{}, errors.Join(err, s.close())
	}
	return s, nil
}

// createFile makes the file of a segment that this process does not map.
func createFile(name string, size uint64) (*os.File, error) {
	f, err := os.CreateTemp("", name+"-*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(int64(size)), os.Remove(f.Name())); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func fill(s *Segment, size uint64) (err error) {
	if err = s.f.Truncate(int64(size)); err != nil {
		return err
	}
	s.b, err = unix.Mmap(int(s.f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap of %d bytes: %w", size, err)
	}
	return nil
}
