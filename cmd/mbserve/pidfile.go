package main

import (
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

func writePid(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

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
