package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"time"

	"moonbridge/handler/logging"
)

// logCloseTimeout is how long the server waits at exit for the last lines of each log to be written.
const logCloseTimeout = 2 * time.Second

// logFormat is the format of a line of the log.
type logFormat string

const (
	logText  logFormat = "text"  // key=value pairs
	logJSON  logFormat = "json"  // one object a line
	logPlain logFormat = "plain" // for reading
)

func (f logFormat) handler(w io.Writer, o *slog.HandlerOptions) slog.Handler {
	switch f {
	case logJSON:
		return slog.NewJSONHandler(w, o)
	case logPlain:
		return &plainHandler{to: w, level: o.Level, replace: o.ReplaceAttr}
	}
	return slog.NewTextHandler(w, o)
}

func handlerOptions(debug bool) *slog.HandlerOptions {
	if debug {
		return &slog.HandlerOptions{Level: slog.LevelDebug}
	}
	return &slog.HandlerOptions{Level: slog.LevelInfo}
}

// lineHandler returns a function that makes the handler for a writer of lines. On a terminal it shortens the time.
func lineHandler(format logFormat, debug, terminal bool) func(io.Writer) slog.Handler {
	o := handlerOptions(debug)
	if format == logText && terminal {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
			}
			return a
		}
	}
	return func(w io.Writer) slog.Handler { return format.handler(w, o) }
}

// newLogger returns a logger that writes to w, and blocks when w does.
func newLogger(w io.Writer, format logFormat, debug bool) *slog.Logger {
	return slog.New(lineHandler(format, debug, isTerminal(w))(w))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// queuedLogger returns a logger that never blocks, and the queue before its target. handler makes the handler for a
// writer of records.
func queuedLogger(target io.Writer, handler func(io.Writer) slog.Handler) (*slog.Logger, *logging.Queue) {
	var record bytes.Buffer
	marker := slog.New(handler(&record))
	q := logging.NewQueue(target, logging.Options{Mark: func(b []byte, lost int, err error) []byte {
		record.Reset()
		warnLost(marker, "log", lost, err)
		return append(b, record.Bytes()...)
	}})
	return slog.New(handler(q)), q
}

// warnLost logs that lines of one of the logs were lost. err is why they could not be written; nil: they were too many.
func warnLost(log *slog.Logger, what string, lost int, err error) {
	if err != nil {
		log.Error(what+": lines lost", "count", lost, "err", err)
		return
	}
	log.Warn(what+": lines lost: they cannot be written fast enough", "count", lost)
}

// openServerLog opens the log specified on the command line. file is nil if the log is not a file.
func openServerLog(o *options, stderr io.Writer, open func(string) (*os.File, error), inherited *os.File) (log *slog.Logger, queue *logging.Queue, file *logFile, err error) {
	switch {
	case o.logFile != "":
		if file, err = newLogFile("log file", o.logFile, true, open, inherited); err != nil {
			return nil, nil, nil, err
		}
		log, queue = queuedLogger(eachRecord{file}, lineHandler(o.logFormat, o.debug, false))
		return log, queue, file, nil
	case o.logFacility != "":
		log, queue, err = openSyslog(o.logFacility, o.logIdent, o.logFormat, o.debug)
		return log, queue, nil, err
	}
	target := stderr
	if f, ok := stderr.(*os.File); ok {
		target = eachRecord{&logFile{f: f}}
	}
	format, terminal := o.logFormat, isTerminal(stderr)
	if o.plain && terminal {
		format = logPlain
	}
	handler := lineHandler(format, o.debug, terminal)
	if isJournal(stderr, os.Getenv("JOURNAL_STREAM")) {
		handler = journalHandler(handler)
	}
	log, queue = queuedLogger(target, handler)
	return log, queue, nil, nil
}
