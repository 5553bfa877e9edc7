package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// createSegment makes a segment that has no name, disappears with its last user, and cannot change its size. Otherwise a
// worker could truncate the file, and the server would die of SIGBUS at the next access.
//
// readOnly: only the mapping that is made here can be written to (Linux 5.1 and later; before that a worker has to be
// trusted not to map it writable).
func createSegment(name string, size uint64, readOnly bool) (Segment, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return Segment{}, fmt.Errorf("memfd_create: %w", err)
	}
	s := Segment{f: os.NewFile(uintptr(fd), name)}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return Segment{}, errors.Join(fmt.Errorf("ftruncate to %d bytes: %w", size, err), s.close())
	}
	if s.b, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return Segment{}, errors.Join(fmt.Errorf("mmap of %d bytes: %w", size, err), s.close())
	}
	if err := seal(fd, readOnly); err != nil {
		return Segment{}, errors.Join(err, s.close())
	}
	return s, nil
}

// createFile makes the file of a segment that this process does not map.
func createFile(name string, size uint64) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, errors.Join(fmt.Errorf("ftruncate to %d bytes: %w", size, err), f.Close())
	}
	if err := seal(fd, false); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// seal fixes the size of a segment, then whether it can be written to, then its seals.
func seal(fd int, readOnly bool) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW); err != nil {
		return fmt.Errorf("seal size: %w", err)
	}
	if readOnly {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE)
		if err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("seal against writing: %w", err)
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL); err != nil {
		return fmt.Errorf("seal seals: %w", err)
	}
	return nil
}
