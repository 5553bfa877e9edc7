package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
)

// replayLogMax bounds what is kept of the log of a replay.
const replayLogMax = 64 << 10

// replayLog keeps the log of a replay in case that it cannot be started, or shows it at once.
type replayLog struct {
	logger *slog.Logger
	now    io.Writer // nil: it is kept

	mu   sync.Mutex
	kept bytes.Buffer
}

func newReplayLog(debug bool, stderr io.Writer) *replayLog {
	l := &replayLog{}
	if debug {
		l.now = stderr
	}
	l.logger = slog.New(logPlain.handler(l, handlerOptions(debug)))
	return l
}

func (l *replayLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now != nil {
		return l.now.Write(p)
	}
	if l.kept.Len()+len(p) <= replayLogMax {
		l.kept.Write(p)
	}
	return len(p), nil
}

// show shows what is kept.
func (l *replayLog) show(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.WriteTo(w)
}

// printable is text of a file or of a network for a terminal.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' || unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, text)
}
