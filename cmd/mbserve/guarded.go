package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Root opens some files for a server that runs as another user. The user may be able to change a part of a file's path, so
// that it leads to a file that only root may write to. Such a path is walked step by step. Links are followed as long as the
// user cannot have made them. In a directory that the user may change, and below, none are followed, and the file itself
// must be an ordinary one with a single name.

// access is what a user can do to a directory.
type access uint8

const (
	noAccess access = iota
	addNames        // make files, but not remove or replace those of others: the directory is sticky
	fullAccess
)

// errGuarded is the refusal of a path.
var errGuarded = errors.New("root does not follow a link, or open a special file, that the server's user could have made")

// errReplaced is the refusal to remove another file than the one that was meant.
var errReplaced = errors.New("another file has that name now")

const (
	linksMax     = 40 // as in Linux
	linkBytesMax = 4096
)

// guardedPath is a walk.
type guardedPath struct {
	user    *syscall.Credential
	dir     int      // open directory
	rest    []string // names still to be walked
	trusted bool     // the user cannot have made the directory, or what led to it
	access  access   // to the directory
	links   int      // followed
	special bool     // the file is a link of the kernel's to a pipe or the like, as /proc/self/fd/2
}

// walkGuarded walks to the directory of a file and returns it open, with the name of the file in it. path is absolute.
func walkGuarded(path string, user *syscall.Credential) (w *guardedPath, name string, err error) {
	w = &guardedPath{user: user, dir: -1, rest: strings.Split(path, "/"), trusted: true}
	if err = w.toRoot(); err != nil {
		return nil, "", err
	}
	for {
		if name, err = w.step(); err != nil || name != "" {
			break
		}
	}
	if err != nil {
		w.close()
		return nil, "", err
	}
	return w, name, nil
}

func (w *guardedPath) close() { unix.Close(w.dir) }

func (w *guardedPath) toRoot() error { return w.to(unix.AT_FDCWD, "/", w.trusted) }

// to goes on in a directory.
func (w *guardedPath) to(dir int, name string, trusted bool) error {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if w.dir >= 0 {
		unix.Close(w.dir)
	}
	w.dir, w.trusted, w.access = fd, trusted, accessOf(w.user, fd)
	return nil
}

// step walks one name. It returns the last one.
func (w *guardedPath) step() (last string, err error) {
	if len(w.rest) == 0 {
		return "", unix.EISDIR
	}
	name := w.rest[0]
	w.rest = w.rest[1:]
	if name == "" || name == "." {
		return "", nil
	}
	var st unix.Stat_t
	err = unix.Fstatat(w.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	isLink := err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
	trusted := w.trusted && (w.access == noAccess || w.access == addNames && st.Uid != w.user.Uid)
	switch {
	case len(w.rest) == 0 && (err == unix.ENOENT || err == nil && !isLink):
		return name, nil
	case err != nil:
		return "", err
	case !isLink:
		return "", w.to(w.dir, name, trusted)
	case !trusted:
		return "", errGuarded
	}
	return w.follow(name)
}

// follow goes on where a link leads. It returns the last name if that is a link that cannot be followed by its text.
func (w *guardedPath) follow(name string) (last string, err error) {
	if w.links++; w.links > linksMax {
		return "", unix.ELOOP
	}
	b := make([]byte, linkBytesMax)
	n, err := unix.Readlinkat(w.dir, name, b)
	if err != nil {
		return "", err
	}
	to := string(b[:n])
	if len(w.rest) == 0 && strings.Contains(to, ":[") && !strings.Contains(to, "/") {
		w.special = true
		return name, nil
	}
	w.rest = append(strings.Split(to, "/"), w.rest...)
	if strings.HasPrefix(to, "/") {
		return "", w.toRoot()
	}
	return "", nil
}

// accessOf returns what a user can do to an open directory. Its owner can change its permissions.
func accessOf(user *syscall.Credential, dir int) access {
	var st unix.Stat_t
	if unix.Fstat(dir, &st) != nil || st.Uid == user.Uid {
		return fullAccess
	}
	if st.Mode&0o222 == 0 {
		return noAccess // the system says otherwise of /proc/self/fd
	}
	err := asUser(user, func() error { return unix.Faccessat(dir, ".", unix.W_OK, unix.AT_EACCESS) })
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return noAccess
	case errors.Is(err, errors.ErrUnsupported) && st.Mode&0o022 == 0:
		return noAccess
	case st.Mode&unix.S_ISVTX != 0:
		return addNames
	}
	return fullAccess
}

// safe reports whether the user cannot have made the last name.
func (w *guardedPath) safe() bool { return w.trusted && w.access == noAccess }

// openGuarded opens a file as root for a user who may not open it.
func openGuarded(path string, flag int, user *syscall.Credential) (*os.File, error) {
	w, name, err := walkGuarded(path, user)
	if err != nil {
		return nil, err
	}
	defer w.close()
	flag |= unix.O_CREAT | unix.O_CLOEXEC
	if !w.special {
		flag |= unix.O_NOFOLLOW
	}
	if !w.safe() {
		flag |= unix.O_NONBLOCK // it may be a pipe without a reader
	}
	fd, err := unix.Openat(w.dir, name, flag, 0o644)
	if err != nil {
		return nil, err
	}
	if !w.safe() {
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1) {
			err = errGuarded
		}
		if err != nil {
			unix.Close(fd)
			return nil, err
		}
		unix.SetNonblock(fd, false)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// removeGuarded removes a file as root, if it is still the one that is open as own: another server may have put its own in the place of
// that.
func removeGuarded(path string, own int, user *syscall.Credential) error {
	w, name, err := walkGuarded(path, user)
	if err != nil {
		return err
	}
	defer w.close()
	var is, ours unix.Stat_t
	if err := unix.Fstatat(w.dir, name, &is, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if err := unix.Fstat(own, &ours); err != nil {
		return err
	}
	if is.Dev != ours.Dev || is.Ino != ours.Ino {
		return errReplaced
	}
	return unix.Unlinkat(w.dir, name, 0)
}
