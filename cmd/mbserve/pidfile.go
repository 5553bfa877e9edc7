package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// pidFile is a file with our process id, locked while we run.
type pidFile struct {
	name string
	f    *os.File
}

// writePidFile locks and writes the file. inherited is the file locked by the process that we take over from, or nil.
func writePidFile(name string, inherited *os.File) (*pidFile, error) {
	f := inherited
	var err error
	if f == nil {
		f, err = openLocked(name, 0)
	}
	if err == nil {
		if info, errStat := f.Stat(); errStat == nil && !info.Mode().IsRegular() {
			err = errors.New("is not a regular file") // it would be removed at exit
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
		size = 0 // not a pid file
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

// remove removes the file, or empties it if we no longer have permission to remove it.
func (p *pidFile) remove() {
	if p == nil {
		return
	}
	if os.Remove(p.name) != nil {
		p.f.Truncate(0)
	}
	p.f.Close()
}
