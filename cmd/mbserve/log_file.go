package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// errLocked means that a running server has locked the file.
var errLocked = errors.New("in use by a running server")

// logFile is what the writer of a queue writes to: a file that can be reopened under the same name after it was moved
// away, standard error or standard output.
type logFile struct {
	// Immutable.
	what string // for messages, such as "log file"
	name string // empty: cannot be reopened
	open func(name string) (*os.File, error)
	lock bool // it must not belong to another server, as long as it is not left

	mu   sync.Mutex // not held while the file is used: that may block
	f    *os.File
	left bool // to a process that takes over: this one does not lock it any more

	asked atomic.Int32 // calls of reopen that are not done

	// Owned by the goroutine that writes.
	last *os.File // the file of the last write
	torn bool     // the last line in it is incomplete: the disk was full
}

// newLogFile opens a file with open. inherited is the file of the process that we take over from, or nil.
func newLogFile(what, name string, lock bool, open func(string) (*os.File, error), inherited *os.File) (*logFile, error) {
	l := &logFile{what: what, name: name, open: open, lock: lock, f: inherited}
	if inherited != nil {
		return l, nil
	}
	var err error
	if l.f, err = open(name); err == nil && lock {
		err = lockFile(l.f)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", what, name, err)
	}
	return l, nil
}

// lockFile locks a file until it is closed, and closes it if that fails. A device or pipe is not locked: several servers may
// use it.
func lockFile(f *os.File) error {
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil
	}
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// leave gives up the lock for a process that takes over and was given a file before. If that is still the file, they share the lock.
func (l *logFile) leave(given *os.File) {
	if l == nil || !l.lock {
		return
	}
	l.mu.Lock()
	l.left = true
	f := l.f
	l.mu.Unlock()
	if info, err := f.Stat(); f != given && err == nil && info.Mode().IsRegular() {
		unix.Flock(int(f.Fd()), unix.LOCK_UN)
	}
}

// file returns the current file.
func (l *logFile) file() *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f
}

// Write writes lines. If the disk was full in the middle of a line, the next one begins on a line of its own.
func (l *logFile) Write(p []byte) (n int, err error) {
	for {
		f := l.file()
		if f != l.last {
			l.last, l.torn = f, false
		}
		var k int
		k, err = l.writeTo(f, p[n:])
		n += k
		if err == nil || l.file() == f {
			return n, err
		}
		// It was closed by reopen while it was written to: it may have been a pipe that blocked.
	}
}

func (l *logFile) writeTo(f *os.File, p []byte) (n int, err error) {
	if l.torn {
		if _, err := f.Write(lineBreak); err != nil {
			return 0, err
		}
		l.torn = false
	}
	n, err = f.Write(p)
	l.torn = err != nil && n > 0 && p[n-1] != '\n'
	return n, err
}

var lineBreak = []byte("\n")

// reopen switches to the file that has the name now. It does not wait for that, since even opening a file may block. done
// is called with the result.
func (l *logFile) reopen(done func(error)) {
	if l.asked.Add(1) > 1 {
		return // one that is in progress looks again
	}
	go func() {
		for {
			n := l.asked.Load()
			done(l.reopenNow())
			if l.asked.CompareAndSwap(n, 0) {
				return
			}
		}
	}()
}

// reopenNow switches to the file that has the name now. If that fails, the old file stays in use.
func (l *logFile) reopenNow() error {
	// The old file stays locked until it is closed. If it was not moved away, it is the file with that name, which we
	// may have locked.
	old, errOld := l.file().Stat()
	now, errNow := os.Stat(l.name)
	if errOld == nil && errNow == nil && os.SameFile(old, now) {
		return nil
	}
	f, err := l.open(l.name)
	if err == nil {
		if now, errNow = f.Stat(); errOld == nil && errNow == nil && os.SameFile(old, now) {
			return f.Close() // we could not see that before
		}
		if l.locks() {
			err = lockFile(f)
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", l.what, l.name, err)
	}
	l.mu.Lock()
	before := l.f
	l.f = f
	if l.left { // meanwhile
		unix.Flock(int(f.Fd()), unix.LOCK_UN)
	}
	l.mu.Unlock()
	before.Close()
	return nil
}

func (l *logFile) locks() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lock && !l.left
}

// pass calls fn with the current file, which is not closed meanwhile. stale: it is about to be replaced by the one that has its name now.
func (l *logFile) pass(fn func(*os.File) error) (stale bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked.Load() > 0, fn(l.f)
}

// eachRecord writes every record with a separate write, so that on a pipe the records of several processes do not mix.
type eachRecord struct{ to *logFile }

func (e eachRecord) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		end := len(p)
		if i := bytes.IndexByte(p[n:], '\n'); i >= 0 {
			end = n + i + 1
		}
		var k int
		k, err = e.to.Write(p[n:end])
		n += k
	}
	return n, err
}
