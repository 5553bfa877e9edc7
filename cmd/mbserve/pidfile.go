package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// pidFile is a file that holds our process id, locked while we run.
type pidFile struct {
	name string
	f    *os.File
}

// writePidFile locks the file and writes it. inherited is the file that a process which we take over from has locked; nil
// if there is none.
func writePidFile(name string, inherited *os.File) (*pidFile, error) {
	f := inherited
	var err error
	if f == nil {
		f, err = openLocked(name, 0)
	}
	if err == nil {
		if info, errStat := f.Stat(); errStat == nil && !info.Mode().IsRegular() {
			err = errors.New("is not a regular file") // it is removed at the end
		} else if inherited == nil {
			err = writePid(f)
		}
		if err != nil {
			f.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("pid file %s: %w", name, err)
	}
	return &pidFile{name, f}, nil
}

// writePid puts our process id into the file, which may hold another one. Whoever reads it meanwhile does not find it empty: the
// file gets its longer length first, then the number is written over the other in one piece, then the rest is cut off.
func writePid(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := int(info.Size())
	if size > pidMax {
		size = 0 // that was no pid file
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

// takeOver writes our id into a file that was inherited.
func (p *pidFile) takeOver() error {
	if p == nil {
		return nil
	}
	return writePid(p.f)
}

// remove removes the file, or empties it where we may not remove it any more.
func (p *pidFile) remove() {
	if p == nil {
		return
	}
	if os.Remove(p.name) != nil {
		p.f.Truncate(0)
	}
	p.f.Close()
}
