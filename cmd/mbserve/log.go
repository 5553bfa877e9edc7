package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// errLocked means that a running server has locked the file.
var errLocked = errors.New("in use by a running server")

// logFile is a writer whose file can be reopened under the same name after it was moved away.
type logFile struct {
	name string

	mu sync.Mutex
	f  *os.File
}

// openLogFile opens and locks the file. inherited is the file locked by the process that we take over from, or nil.
func openLogFile(name string, inherited *os.File) (*logFile, error) {
	if inherited != nil {
		return &logFile{name: name, f: inherited}, nil
	}
	f, err := openLocked(name, os.O_APPEND)
	if err != nil {
		return nil, fmt.Errorf("log file %s: %w", name, err)
	}
	return &logFile{name: name, f: f}, nil
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(p)
}

// file returns the current file.
func (l *logFile) file() *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f
}

// reopen switches to the file that has the name now. If that fails, the old file stays in use.
func (l *logFile) reopen() error {
	// The old file stays locked until it is closed. If it was not moved away, it is the file with that name, which we
	// have locked.
	l.mu.Lock()
	defer l.mu.Unlock()
	old, errOld := l.f.Stat()
	now, errNow := os.Stat(l.name)
	if errOld == nil && errNow == nil && os.SameFile(old, now) {
		return nil
	}
	f, err := openLocked(l.name, os.O_APPEND)
	if err != nil {
		return fmt.Errorf("log file %s: %w", l.name, err)
	}
	l.f.Close()
	l.f = f
	return nil
}

// openLocked opens name for writing and locks it until it is closed. A device or pipe is not locked: several servers
// may use it.
func openLocked(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o644)
	if err != nil {
		var perr *os.PathError
		if errors.As(err, &perr) {
			err = perr.Err
		}
		return nil, err
	}
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return f, nil
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, err
	}
	return f, nil
}

// logFormat is the format of a line of the log.
type logFormat string

const (
	logText logFormat = "text" // key=value pairs
	logJSON logFormat = "json" // one object a line
)

func (f *logFormat) String() string { return string(*f) }
func (f *logFormat) Type() string   { return "FORMAT" }

func (f *logFormat) Set(s string) error {
	switch logFormat(s) {
	case logText, logJSON:
		*f = logFormat(s)
		return nil
	}
	return errors.New("text or json")
}

func (f logFormat) handler(w io.Writer, o *slog.HandlerOptions) slog.Handler {
	if f == logJSON {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

func handlerOptions(debug bool) *slog.HandlerOptions {
	if debug {
		return &slog.HandlerOptions{Level: slog.LevelDebug}
	}
	return &slog.HandlerOptions{Level: slog.LevelInfo}
}

// newLogger returns a logger that writes to w. On a terminal it shortens the time.
func newLogger(w io.Writer, format logFormat, debug bool) *slog.Logger {
	o := handlerOptions(debug)
	if f, ok := w.(*os.File); ok && format == logText && isTerminal(f) {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
			}
			return a
		}
	}
	return slog.New(format.handler(w, o))
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// openLog opens the log specified on the command line. file is nil if the log is not a file.
func openLog(o *options, stderr io.Writer, inherited *os.File) (log *slog.Logger, file *logFile, err error) {
	switch {
	case o.logFile != "":
		if file, err = openLogFile(o.logFile, inherited); err != nil {
			return nil, nil, err
		}
		return newLogger(file, o.logFormat, o.debug), file, nil
	case o.logFacility != "":
		log, err = openSyslog(o.logFacility, o.logIdent, o.logFormat, o.debug)
		return log, nil, err
	}
	return newLogger(stderr, o.logFormat, o.debug), nil, nil
}
