package main

import (
	"errors"
	"fmt"
	"os"
)

// pidFile is a file that holds our process id, locked while we run.
type pidFile struct{ f *os.File }

func writePidFile(name string) (*pidFile, error) {
	f, err := openLocked(name, 0)
	if err == nil {
		if info, errStat := f.Stat(); errStat == nil && !info.Mode().IsRegular() {
			err = errors.New("is not a regular file") // it is removed at the end
		} else if err = f.Truncate(0); err == nil {
			_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		}
		if err != nil {
			f.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("pid file %s: %w", name, err)
	}
	return &pidFile{f}, nil
}

func (p *pidFile) remove() {
	os.Remove(p.f.Name())
	p.f.Close()
}
