package reactor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sockPathMax is the number of bytes that fit into an address, without the final NUL.
const sockPathMax = len(unix.RawSockaddrUnix{}.Path) - 1

// sockFile is the file of a bound Unix socket. It is identified by its inode and, since inode numbers are reused, its time of
// creation (nothing modifies a socket file later), so that a file which another process has put there since is left alone.
type sockFile struct {
	asked string      // path as it was given
	path  string      // the same without symbolic links, which may lead elsewhere later
	info  fs.FileInfo // nil: the file was gone when the socket was inherited
}

func newSockFile(path string) (f *sockFile, err error) {
	f = &sockFile{asked: path, path: WithoutLinks(path)}
	f.info, err = os.Lstat(f.path)
	return f, err
}

// WithoutLinks returns the absolute path of a file, without links in that of its directory. If the directory cannot be found, it is
// the path as it is given.
func WithoutLinks(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err == nil { // Abs may use PWD
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return path
	}
	return filepath.Join(dir, filepath.Base(path))
}

// listenUnix opens the listening socket of a path.
func listenUnix(path string, o ListenOptions) (file *sockFile, fds []int, err error) {
	if path == "" || path[0] == '@' || path[0] == 0 {
		return nil, nil, errors.New("not a path of a socket file")
	}
	if len(path) > sockPathMax {
		return nil, nil, fmt.Errorf("path of %d bytes, more than %d", len(path), sockPathMax)
	}
	if err = clearPath(path); err != nil {
		return nil, nil, err
	}
	fd, err := openSocket(unix.AF_UNIX)
	if err != nil {
		return nil, nil, os.NewSyscallError("socket", err)
	}
	if file, err = bindUnix(fd, path, o); err != nil {
		unix.Close(fd)
		return nil, nil, err
	}
	return file, []int{fd}, nil
}

// bindUnix binds, sets the permissions, and only then listens, so that no process without permission can connect.
func bindUnix(fd int, path string, o ListenOptions) (file *sockFile, err error) {
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	if file, err = newSockFile(path); err != nil {
		os.Remove(path)
		return nil, err
	}
	if o.Mode != 0 {
		if err = os.Chmod(path, o.Mode.Perm()); err != nil {
			file.remove()
			return nil, err
		}
	}
	if err = unix.Listen(fd, o.Backlog); err != nil {
		file.remove()
		return nil, os.NewSyscallError("listen", err)
	}
	return file, nil
}

// clearPath removes a stale socket file, that is, one that refuses connections. Anything else at path is an error.
func clearPath(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return causeOf(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("file exists and is not a socket")
	}
	fd, err := openSocket(unix.AF_UNIX)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	unix.Close(fd)
	switch {
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINPROGRESS):
		return os.NewSyscallError("bind", syscall.EADDRINUSE) // a server answers, or would if its backlog were not full
	case errors.Is(err, unix.ECONNREFUSED):
		return causeOf(os.Remove(path))
	}
	return os.NewSyscallError("connect", err)
}

// removeFile is os.Remove. Tests have another one.
var removeFile = os.Remove

// remove removes the file if it still is that of the socket.
func (f *sockFile) remove() error {
	if !f.isAt(f.path) {
		return nil
	}
	return removeFile(f.path)
}

// removeMost is how long the end of listening waits for the file to be removed. Its disk may hang. A variable for tests.
var removeMost = time.Second

// removeSoon is remove, for a bounded time. What hangs goes on.
func (f *sockFile) removeSoon() error {
	if f == nil {
		return nil
	}
	removed := make(chan error, 1)
	go func() { removed <- f.remove() }()
	select {
	case err := <-removed:
		return err
	case <-time.After(removeMost):
		return fmt.Errorf("%s: not removed within %v", f.path, removeMost)
	}
}

// isAt reports whether the file of the socket is at a path.
func (f *sockFile) isAt(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime())
}

// InPlace reports whether peers find the listener at the address that was given: the file of a Unix socket may have been
// removed, or the path may lead elsewhere by now. If the process is not permitted to look, the answer is yes.
func (ln *Listener) InPlace() bool {
	f := ln.sockFile
	if f == nil || f.isAt(f.asked) {
		return true
	}
	_, err := os.Lstat(f.asked)
	return errors.Is(err, fs.ErrPermission)
}

// causeOf removes the path from an error that will be shown after it.
func causeOf(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return os.NewSyscallError(pathError.Op, pathError.Err)
	}
	return err
}
