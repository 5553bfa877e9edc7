package static

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// dir is the directory of a rule. Each lookup uses the one that its path leads to: a directory that was removed and made again, as
// build tools do it, is noticed.
type dir struct {
	path string

	mu     sync.Mutex
	opened *opened
}

func openDir(path string) (*dir, error) {
	o, err := open(path)
	if err != nil {
		return nil, err
	}
	return &dir{path: path, opened: o}, nil
}

// current returns the directory, open.
func (d *dir) current() *opened {
	d.mu.Lock()
	defer d.mu.Unlock()
	if info, err := os.Stat(d.path); err == nil && !os.SameFile(info, d.opened.info) {
		if o, err := open(d.path); err == nil {
			d.opened.close()
			d.opened = o
		}
	}
	return d.opened
}

// check reports why a file cannot be served.
func (d *dir) check(name string) error {
	f, _, err := d.current().open(name, true)
	if err != nil {
		return fmt.Errorf("open %s/%s: %w", d.path, name, err)
	}
	f.Release()
	return nil
}

func (d *dir) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened.close()
}

// kind is what a name leads to.
type kind uint8

const (
	kindOther kind = iota // a FIFO, a socket, a device: never served
	kindFile
	kindDirectory
)

// info is what distinguishes two versions of a file.
type info struct {
	kind          kind
	size          int64
	modified      int64 // nanoseconds since 1970
	changed       int64 // the same, of the inode: it also changes with permissions and links
	device, inode uint64
}

// file is an open regular file, counted by its users. It implements backend.SentFile.
type file struct {
	fd    int
	kept  *os.File // owns fd; nil: it is our own
	mount uint64   // as in backend.MountedFile; it is set before the file is sent
	refs  atomic.Int32
}

func newFile(fd int, kept *os.File) *file {
	f := &file{fd: fd, kept: kept}
	f.refs.Store(1)
	return f
}

// Fd returns the descriptor.
func (f *file) Fd() int { return f.fd }

// acquire adds a user. It returns false if the file has been closed.
func (f *file) acquire() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release removes a user. The last one closes the file.
func (f *file) Release() {
	switch n := f.refs.Add(-1); {
	case n < 0:
		panic("static: file released too often")
	case n > 0:
	case f.mount != 0:
		go f.close() // the file system may let it wait
	default:
		f.close()
	}
}

func (f *file) close() {
	if f.kept != nil {
		f.kept.Close()
	} else {
		unix.Close(f.fd)
	}
}

// Mount implements backend.MountedFile.
func (f *file) Mount() uint64 { return f.mount }

// infoOf returns what is known about an open file.
func infoOf(fd int) (info, error) {
	var st unix.Stat_t
	if err := ignoringEINTR(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return info{}, err
	}
	i := info{
		size:     st.Size,
		modified: unix.TimespecToNsec(st.Mtim), changed: unix.TimespecToNsec(st.Ctim),
		device: uint64(st.Dev), inode: st.Ino,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		i.kind = kindFile
	case unix.S_IFDIR:
		i.kind = kindDirectory
	}
	return i, nil
}

func ignoringEINTR(fn func() error) error {
	for {
		if err := fn(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// errNotRegular: the name leads to something that is not a regular file.
var errNotRegular = errors.New("not a regular file")

// statusOf is the status for an error of the system. 404 stands for everything that means: there is no such file for clients.
func statusOf(err error) int {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return 403
	case errors.Is(err, os.ErrClosed), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EAGAIN):
		return 503
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ESTALE):
		return 500
	}
	return 404
}
