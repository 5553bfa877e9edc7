package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"moonbridge/reactor"
)

// pidFile is a file with our process id, locked while we run.
type pidFile struct {
	path string // without links, which may lead elsewhere later
	f    *os.File
}

// writePidFile locks and writes the file. inherited is the file locked by the process that we take over from, or nil.
func writePidFile(name string, open func(string) (*os.File, error), inherited *os.File) (*pidFile, error) {
	p := &pidFile{path: reactor.WithoutLinks(name), f: inherited}
	err := p.open(name, open)
	if err != nil {
		return nil, fmt.Errorf("pid file %s: %w", name, err)
	}
	return p, nil
}

func (p *pidFile) open(name string, open func(string) (*os.File, error)) (err error) {
	if p.f != nil {
		p.path = pathOf(p.f, p.path)
		return nil
	}
	if err = p.lock(name, open); err != nil {
		return err
	}
	p.path = pathOf(p.f, p.path) // the name itself may be a link
	if err = checkPid(p.f); err == nil {
		err = writePid(p.f)
	}
	if err != nil {
		p.f.Close()
	}
	return err
}

// lock opens and locks the file. If another server has removed it between these two, since it has ended, the lock is one of a file without
// a name.
func (p *pidFile) lock(name string, open func(string) (*os.File, error)) (err error) {
	for {
		if p.f, err = open(name); err != nil {
			return err
		}
		info, err := p.f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("is not a regular file") // it would be removed at exit
		}
		if err != nil {
			p.f.Close()
			return err
		}
		if err = lockFile(p.f); err != nil {
			return err
		}
		now, err := os.Stat(name)
		if !errors.Is(err, fs.ErrNotExist) && (err != nil || os.SameFile(info, now)) {
			return nil
		}
		p.f.Close()
	}
}

// checkPid returns an error if the file has something else in it than a process id: whoever has named it by mistake would lose that.
func checkPid(f *os.File) error {
	var b [pidMax + 1]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	text := bytes.Trim(b[:n], " \t\r\n\x00") // zeros are what a crash of the machine may leave
	if n > pidMax || bytes.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		return errors.New("is not a pid file: it has something else in it than a process id")
	}
	return nil
}

// pathOf returns the path of an open file, if the system knows it, or else the given one.
func pathOf(f *os.File, otherwise string) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil || !isFile(path, f) {
		return otherwise
	}
	return path
}

// isFile reports whether a path leads to an open file.
func isFile(path string, f *os.File) bool {
	at, errAt := os.Lstat(path)
	is, err := f.Stat()
	return errAt == nil && err == nil && os.SameFile(at, is)
}

// writePid writes our process id to the file, which may contain another one. A concurrent reader never finds it empty:
// the file is first extended to the longer length, then the new id overwrites the old one in a single write, and then
// the rest is cut off.
func writePid(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := int(info.Size())
	if size > pidMax {
		size = 0 // somebody else has written to it
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	text := fmt.Appendf(nil, "%d\n", os.Getpid())
	rest := bytes.Repeat([]byte("\n"), max(size, len(text)))
	if _, err := f.WriteAt(rest[size:], int64(size)); err != nil {
		return err
	}
	if _, err := f.WriteAt(append(text, rest[len(text):]...), 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(text)))
}

// pidMax is more than the length of any pid file.
const pidMax = 16

// takeOver writes our id to an inherited file.
func (p *pidFile) takeOver() error {
	if p == nil {
		return nil
	}
	return writePid(p.f)
}

// removeFile is os.Remove. Tests have another one.
var removeFile = os.Remove

// remove removes the file, or empties it if neither we nor the root helper may remove it. A file that another server has
// put in its place stays.
func (p *pidFile) remove(root *rootFiles) {
	if p == nil {
		return
	}
	defer p.f.Close()
	if _, err := os.Lstat(p.path); !isFile(p.path, p.f) && !errors.Is(err, fs.ErrPermission) {
		return
	}
	err := removeFile(p.path)
	if errors.Is(err, fs.ErrPermission) && root != nil {
		_, err = root.ask(rootPid, p.f)
	}
	if err != nil {
		p.f.Truncate(0)
	}
}
