package static

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// opened is an open directory. openat2 opens files below it: no path and no symbolic link leads out, whatever changes meanwhile.
// It is safe to close while it is used.
type opened struct {
	info os.FileInfo
	f    *os.File
	root *portableDir // instead of f, if the kernel has no openat2
}

// noOpenat2 is set by tests.
var noOpenat2 = false

func open(path string) (*opened, error) {
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0) // it need not be readable
	if err != nil {
		return nil, err
	}
	o := &opened{f: f}
	if o.info, err = f.Stat(); err != nil {
		f.Close()
		return nil, err
	}
	// Kernels before 5.6 do not know the call; some sandboxes refuse it.
	_, err = o.stat(".", false)
	switch {
	case noOpenat2 || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
		f.Close()
		if o.root, err = openPortable(path); err != nil {
			return nil, err
		}
	case err != nil: // without the permission to enter it, all its files would be missing
		f.Close()
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return o, nil
}

func (o *opened) close() {
	if o.root != nil {
		o.root.close()
	} else {
		o.f.Close()
	}
}

// stat tells what a name leads to. It opens nothing that would notice. outside allows symbolic links to lead out of the directory.
func (o *opened) stat(name string, outside bool) (i info, err error) {
	if o.root != nil {
		return o.root.stat(name, outside)
	}
	fd, err := o.openat2(name, unix.O_PATH, outside)
	if err != nil {
		return info{}, err
	}
	defer unix.Close(fd)
	return infoOf(fd)
}

// open opens a regular file. It is only called for names that stat has found to be one: to open a FIFO or a device may have
// effects. If it has become one since, the open does not block.
func (o *opened) open(name string, outside bool) (*file, info, error) {
	if o.root != nil {
		return o.root.open(name, outside)
	}
	fd, err := o.openat2(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, outside)
	if err != nil {
		return nil, info{}, err
	}
	i, err := infoOf(fd)
	if err == nil && i.kind != kindFile {
		err = errNotRegular
	}
	if err != nil {
		unix.Close(fd)
		return nil, info{}, err
	}
	return newFile(fd, nil), i, nil
}

// openDirectory opens a directory to read it.
func (o *opened) openDirectory(name string, outside bool) (*os.File, error) {
	if o.root != nil {
		return o.root.openDirectory(name, outside)
	}
	fd, err := o.openat2(name, unix.O_RDONLY|unix.O_DIRECTORY, outside)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openat2Tries bounds how often a call is repeated that a rename elsewhere has disturbed (EAGAIN).
const openat2Tries = 16

func (o *opened) openat2(name string, flags uint64, outside bool) (fd int, err error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	if !outside {
		how.Resolve |= unix.RESOLVE_BENEATH
	}
	raw, err := o.f.SyscallConn()
	if err != nil {
		return -1, os.ErrClosed // the only cause; the error itself does not say so
	}
	failed := raw.Control(func(dirfd uintptr) {
		for range openat2Tries {
			fd, err = unix.Openat2(int(dirfd), name, &how)
			if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if failed != nil {
		return -1, os.ErrClosed
	}
	return fd, err
}
