package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// backlogUnix is the length of the accept queue, as in package reactor.
const backlogUnix = 4096

// listenAsRoot opens a Unix socket where only root may make its file, which then belongs to the user. A mode of 0 leaves the
// permissions that the umask results in. The user may be able to change a part of the path meanwhile: root changes nothing
// but the file that it has made. absolute is the absolute form of path.
func listenAsRoot(path, absolute string, mode os.FileMode, user *syscall.Credential) (fd int, err error) {
	w, name, err := walkGuarded(absolute, user)
	if err != nil {
		return -1, err
	}
	defer w.close()
	if err := w.removeStale(path, name); err != nil {
		return -1, err
	}
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err = w.bindUnix(fd, path, name, mode); err == nil {
		if err = unix.Listen(fd, backlogUnix); err != nil {
			unix.Unlinkat(w.dir, name, 0)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// removeStale removes the file of a socket on which no process listens any more.
func (w *guardedPath) removeStale(path, name string) error {
	var st unix.Stat_t
	switch err := unix.Fstatat(w.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return os.NewSyscallError("stat", err)
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("file exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return os.NewSyscallError("bind", unix.EADDRINUSE)
	}
	return os.NewSyscallError("unlink", unix.Unlinkat(w.dir, name, 0))
}

// bindUnix binds a socket, and gives the new file its permissions and its owner.
func (w *guardedPath) bindUnix(fd int, path, name string, mode os.FileMode) error {
	before := time.Now().Unix()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	file, err := unix.Openat(w.dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(file)
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return os.NewSyscallError("stat", err)
	}
	// Some file systems keep whole seconds only, or less.
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Nlink != 1 || int(st.Uid) != os.Geteuid() || st.Mtim.Sec < before-2 {
		return errGuarded
	}
	if mode != 0 {
		if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", file), mode); err != nil {
			return err
		}
	}
	return os.NewSyscallError("chown", unix.Fchownat(file, "", int(w.user.Uid), int(w.user.Gid), unix.AT_EMPTY_PATH))
}
