package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"moonbridge/engine"
)

// One goroutine writes the access log, so loops never wait for a disk or for the reader of a pipe. Each loop appends
// its lines to a separate buffer. Lines that do not fit are dropped and counted.

const (
	// accessBufferMax bounds the lines that a loop holds for the writer, in bytes. Up to twice as much is held while it
	// writes.
	accessBufferMax = 1 << 20
	// accessDelay is how long lines are collected before they are written.
	accessDelay = 50 * time.Millisecond
	// accessCloseTimeout is how long the server waits at exit for the last lines to be written.
	accessCloseTimeout = 2 * time.Second
	// accessReportEvery is how often lost lines are reported.
	accessReportEvery = time.Second
)

// accessLog is the access log of a server.
type accessLog struct {
	// Immutable.
	name   string // file name; "-": standard output
	format accessFormat
	log    *slog.Logger
	zone   *time.Location

	buffers   []accessBuffer // by loop
	wake      chan struct{}  // a buffer is no longer empty
	hurry     chan struct{}  // a buffer is half full
	reopening chan struct{}  // the file must be reopened
	ending    chan struct{}  // closed by close
	ended     chan struct{}  // closed when all lines are written

	// Owned by the writing goroutine.
	f    *os.File
	torn bool // the last line is incomplete: the disk was full

	mu     sync.Mutex
	lost   int   // lines since the last report
	reason error // error of the last failed write; nil: the buffer was full
}

// accessBuffer holds the lines of one loop for the writer.
type accessBuffer struct {
	mu    sync.Mutex
	lines []byte
	spare []byte // the other of two alternating buffers; owned by the writer
}

// openAccessLog opens the access log and starts its writer. name is not empty.
func openAccessLog(name string, format accessFormat, loops int, log *slog.Logger) (*accessLog, error) {
	if loops == 0 {
		loops = runtime.NumCPU()
	}
	l := &accessLog{
		name: name, format: format, log: log, zone: time.Local, buffers: make([]accessBuffer, loops),
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), reopening: make(chan struct{}, 1),
		ending: make(chan struct{}), ended: make(chan struct{}),
	}
	f, err := l.openFile()
	if err != nil {
		return nil, err
	}
	l.f = f
	go l.run()
	return l, nil
}

// openFile opens the file without locking it: a process that takes over from this one writes to it at the same time.
// Both write whole lines.
func (l *accessLog) openFile() (*os.File, error) {
	if l.name == "-" {
		return os.Stdout, nil
	}
	f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	return f, nil
}

// record implements engine.Options.AccessLog.
func (l *accessLog) record(a *engine.Access) {
	b := &l.buffers[a.Loop%len(l.buffers)]
	b.mu.Lock()
	before := len(b.lines)
	b.lines = l.format.append(b.lines, a, l.zone)
	after := len(b.lines)
	if after > accessBufferMax {
		b.lines = b.lines[:before]
	}
	b.mu.Unlock()
	switch {
	case after > accessBufferMax:
		l.lose(1, nil)
	case before == 0:
		signalTo(l.wake)
	case before < accessBufferMax/2 && after >= accessBufferMax/2:
		signalTo(l.hurry)
	}
}

// recordRaw implements pool.Config.RawAccess.
func (l *accessLog) recordRaw(e *engine.Access, lost int) {
	if lost > 0 {
		l.lose(lost, nil)
	}
	l.record(e)
}

// signalTo sends on a channel with a buffer of one; a pending signal is enough.
func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// lose counts lines that are not in the log, and schedules a report.
func (l *accessLog) lose(n int, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == 0 {
		// Not in the writer, which may be blocked.
		time.AfterFunc(accessReportEvery, l.report)
	}
	l.lost += n
	if reason != nil {
		l.reason = reason
	}
}

// report logs how many lines were lost.
func (l *accessLog) report() {
	l.mu.Lock()
	lost, reason := l.lost, l.reason
	l.lost, l.reason = 0, nil
	l.mu.Unlock()
	switch {
	case lost == 0:
	case reason != nil:
		l.log.Error("access log: lines lost", "count", lost, "err", reason)
	default:
		l.log.Warn("access log: lines lost: they cannot be written fast enough", "count", lost)
	}
}

// reopen makes the writer reopen the file after it was moved away.
func (l *accessLog) reopen() {
	if l != nil && l.name != "-" {
		signalTo(l.reopening)
	}
}

// close waits until all lines are written, for at most accessCloseTimeout.
func (l *accessLog) close() {
	if l == nil {
		return
	}
	close(l.ending)
	t := time.NewTimer(accessCloseTimeout)
	defer t.Stop()
	select {
	case <-l.ended:
	case <-t.C:
		l.log.Warn("access log: the last lines could not be written in time")
	}
	l.report()
}

// run is the writing goroutine.
func (l *accessLog) run() {
	defer close(l.ended)
	for ending := false; !ending; {
		select {
		case <-l.wake:
			ending = l.collect()
		case <-l.reopening:
			l.writeAll()
			l.reopenFile()
			continue
		case <-l.ending:
			ending = true
		}
		l.writeAll()
	}
	if l.name != "-" {
		l.f.Close()
	}
}

// collect waits for more lines, so that they are written together. It reports whether the log is being closed.
func (l *accessLog) collect() (ending bool) {
	t := time.NewTimer(accessDelay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.hurry:
	case <-l.ending:
		return true
	}
	return false
}

func (l *accessLog) reopenFile() {
	f, err := l.openFile()
	if err != nil {
		l.log.Error("access log not reopened: the old file stays in use", "err", err)
		return
	}
	l.f.Close()
	l.f, l.torn = f, false
}

func (l *accessLog) writeAll() {
	for i := range l.buffers {
		b := &l.buffers[i]
		b.mu.Lock()
		lines := b.lines
		b.lines = b.spare[:0]
		b.mu.Unlock()
		l.writeLines(lines)
		b.spare = lines
	}
}

// writeLines writes whole lines. Lines that cannot be written are lost.
func (l *accessLog) writeLines(lines []byte) {
	if len(lines) == 0 {
		return
	}
	if l.torn {
		if _, err := l.f.Write([]byte("\n")); err != nil {
			l.lose(bytes.Count(lines, []byte("\n")), err)
			return
		}
		l.torn = false
	}
	n, err := l.f.Write(lines)
	if err != nil {
		l.torn = n > 0 && lines[n-1] != '\n'
		l.lose(bytes.Count(lines[n:], []byte("\n")), err)
	}
}
