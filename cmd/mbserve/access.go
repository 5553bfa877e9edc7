package main

import (
	"log/slog"
	"os"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/logging"
)

// Each loop has a lane of its own in the queue in front of the access log, so loops wait neither for the disk nor for each
// other.

const (
	// accessBufferMax bounds the lines that a loop holds for the writer, in bytes. Up to twice as much is held while it
	// writes.
	accessBufferMax = 1 << 20
	// accessDelay is how long lines are collected before they are written.
	accessDelay = 50 * time.Millisecond
)

// accessLog is the access log of a server.
type accessLog struct {
	// Immutable.
	format accessFormat
	log    *slog.Logger
	file   *logFile
	queue  *logging.Queue
	clocks []accessClock // of the lanes, each under the lock of its lane
}

// openAccessLog opens the access log. name is not empty; "-" is standard output. The file is not locked: a process that takes
// over from this one writes to it at the same time. Both write whole lines. inherited is the file of the process that we
// take over from, or nil.
func openAccessLog(o *options, log *slog.Logger, open func(string) (*os.File, error), inherited *os.File) (*accessLog, error) {
	l := &accessLog{format: o.accessFormat, log: log, clocks: make([]accessClock, loopsOf(o))}
	for i := range l.clocks {
		l.clocks[i].zone = time.Local
	}
	if o.accessLog == "-" {
		l.file = &logFile{f: os.Stdout}
	} else {
		var err error
		if l.file, err = newLogFile("access log", o.accessLog, false, open, inherited); err != nil {
			return nil, err
		}
	}
	l.queue = logging.NewQueue(l.file, logging.Options{
		Lanes: len(l.clocks), Bytes: accessBufferMax, Delay: accessDelay,
		Lost: func(lost int, err error) { warnLost(log, "access log", lost, err) },
	})
	return l, nil
}

// record implements engine.Options.AccessLog.
func (l *accessLog) record(a *engine.Access) {
	lane := a.Loop % len(l.clocks)
	l.queue.Append(lane, func(b []byte) []byte { return l.format.append(b, a, &l.clocks[lane]) })
}

// recordRaw implements pool.Config.RawAccess.
func (l *accessLog) recordRaw(_ int, e *engine.Access, lost int) {
	if lost > 0 {
		l.queue.Lose(lost)
	}
	l.record(e)
}

// reopen reopens the file after it was moved away.
func (l *accessLog) reopen() {
	if l == nil || l.file.name == "" {
		return
	}
	l.file.reopen(func(err error) {
		if err != nil {
			l.log.Error("access log not reopened: the old file stays in use", "err", err)
		}
	})
}

// logFile is the file, if there is one that has a name.
func (l *accessLog) logFile() *logFile {
	if l == nil || l.file.name == "" {
		return nil
	}
	return l.file
}

// close waits until all lines are written, for at most logCloseTimeout.
func (l *accessLog) close() {
	if l != nil && !l.queue.Close(logCloseTimeout) {
		l.log.Warn("access log: the last lines could not be written in time")
	}
}
