package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"sync"
	"syscall"
)

// levelOf is the level of a record in the terms of syslog.
func levelOf(level slog.Level) syslog.Priority {
	switch {
	case level < slog.LevelInfo:
		return syslog.LOG_DEBUG
	case level < slog.LevelWarn:
		return syslog.LOG_INFO
	case level < slog.LevelError:
		return syslog.LOG_WARNING
	}
	return syslog.LOG_ERR
}

// isJournal reports whether a file is the stream to systemd's journal that this process was started with (systemd.exec(5)). stream is
// the value of JOURNAL_STREAM.
func isJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && fmt.Sprintf("%d:%d", st.Dev, st.Ino) == stream
}

// journalHandler makes the handler for the journal: it takes the level from the beginning of a line (sd-daemon(3)), and removes it there.
func journalHandler(handler func(io.Writer) slog.Handler) func(io.Writer) slog.Handler {
	return func(to io.Writer) slog.Handler {
		return newLevelHandler(to, func(l slog.Level) string { return fmt.Sprintf("<%d>", levelOf(l)) }, handler)
	}
}

// journalLines is in front of the journal for what scripts write to standard output. They may write what a client has sent, so the journal
// must not take a level from the beginning of such a line: it gets one before it.
type journalLines struct {
	to   io.Writer
	open bool // the last line is not complete
}

// Write implements io.Writer.
func (j *journalLines) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if !j.open && p[n] == '<' {
			if _, err = fmt.Fprintf(j.to, "<%d>", syslog.LOG_INFO); err != nil {
				break
			}
		}
		end := len(p)
		if i := bytes.Index(p[n:], []byte("\n<")); i >= 0 {
			end = n + i + 1
		}
		var k int
		if k, err = j.to.Write(p[n:end]); k > 0 {
			n += k
			j.open = p[n-1] != '\n'
		}
	}
	return n, err
}

// levelLine is the current record, and where it goes.
type levelLine struct {
	mu  sync.Mutex
	b   bytes.Buffer
	out []byte // the same with its level
	to  io.Writer
}

// levelHandler puts the level of each record before its lines: each of them is a message there. inner formats records, into line.
type levelHandler struct {
	line  *levelLine
	begin func(slog.Level) string
	inner slog.Handler
}

// newLevelHandler makes one that writes to to. handler makes the one inside.
func newLevelHandler(to io.Writer, begin func(slog.Level) string, handler func(io.Writer) slog.Handler) *levelHandler {
	line := &levelLine{to: to}
	return &levelHandler{line, begin, handler(&line.b)}
}

// Enabled implements slog.Handler.
func (h *levelHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *levelHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.b.Reset()
	if err := h.inner.Handle(ctx, r); err != nil {
		return err
	}
	begin := h.begin(r.Level)
	h.line.out = h.line.out[:0]
	for line := range bytes.Lines(h.line.b.Bytes()) {
		h.line.out = append(append(h.line.out, begin...), line...)
	}
	_, err := h.line.to.Write(h.line.out)
	return err
}

// WithAttrs implements slog.Handler.
func (h *levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &levelHandler{h.line, h.begin, h.inner.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *levelHandler) WithGroup(name string) slog.Handler {
	return &levelHandler{h.line, h.begin, h.inner.WithGroup(name)}
}
