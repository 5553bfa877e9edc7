package pool

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	lineMax = 8 << 10 // bytes of a logged line; the rest is cut off

	// A script that writes in a loop must not fill the disk. The log takes linesPerSecond, and linesBurst at once, since
	// tracebacks come in bursts. Further lines are counted, and the count is logged once a second.
	linesPerSecond = 200
	linesBurst     = 2000
	droppedEvery   = time.Second
)

// lineLog writes the standard error of processes into the log, line by line. Safe for concurrent use.
type lineLog struct {
	log *slog.Logger

	mu      sync.Mutex
	tokens  float64
	at      time.Time
	dropped int
}

func newLineLog(log *slog.Logger) *lineLog {
	return &lineLog{log: log, tokens: linesBurst, at: time.Now()}
}

// allow reports whether a line may be logged.
func (l *lineLog) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = min(linesBurst, l.tokens+now.Sub(l.at).Seconds()*linesPerSecond)
	l.at = now
	if l.tokens < 1 {
		if l.dropped == 0 {
			time.AfterFunc(droppedEvery, l.report)
		}
		l.dropped++
		return false
	}
	l.tokens--
	return true
}

// report says how many lines were dropped.
func (l *lineLog) report() {
	l.mu.Lock()
	dropped := l.dropped
	l.dropped = 0
	l.mu.Unlock()
	l.log.LogAttrs(context.Background(), slog.LevelWarn, "lines of standard error dropped: too many", slog.Int("count", dropped))
}

func (l *lineLog) line(text string, attrs []slog.Attr) {
	if l.allow(time.Now()) {
		l.log.LogAttrs(context.Background(), slog.LevelInfo, text, attrs...)
	}
}

// copy reads r to its end and closes it. tail, if not nil, is called with each line too.
func (l *lineLog) copy(r io.ReadCloser, tail func(string), attrs ...slog.Attr) {
	defer r.Close()
	s := splitter{emit: func(text string) {
		if tail != nil {
			tail(text)
		}
		l.line(text, attrs)
	}}
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		s.write(buf[:n])
		if err != nil {
			s.end()
			return
		}
	}
}

// splitter splits bytes into lines of at most lineMax. A line that was longer says how much of it is missing.
type splitter struct {
	emit func(string)
	line []byte
	cut  int // bytes of the line that are missing
}

func (s *splitter) write(p []byte) {
	for len(p) > 0 {
		part, rest, whole := bytes.Cut(p, newline)
		n := min(len(part), lineMax-len(s.line))
		s.line = append(s.line, part[:n]...)
		s.cut += len(part) - n
		if whole {
			s.flush()
		}
		p = rest
	}
}

var newline = []byte("\n")

func (s *splitter) flush() {
	text := printable(s.line)
	if s.cut > 0 {
		text += fmt.Sprintf("… (%d more bytes)", s.cut)
	}
	s.line, s.cut = s.line[:0], 0
	s.emit(text)
}

func (s *splitter) end() {
	if len(s.line) > 0 {
		s.flush()
	}
}

// printable is a line in which all bytes that are neither text nor a tab are written as \xNN. The formats of the log escape
// too, but some of them make such bytes indistinguishable, and the last lines of a fork server are shown on a terminal.
func printable(line []byte) string {
	line = bytes.TrimSuffix(line, []byte("\r"))
	clean := true
	for _, r := range string(line) {
		clean = clean && (r == '\t' || r != utf8.RuneError && unicode.IsPrint(r))
	}
	if clean {
		return string(line)
	}
	var b strings.Builder
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		if r == '\t' || r != utf8.RuneError && unicode.IsPrint(r) {
			b.Write(line[:n])
		} else {
			for _, c := range line[:n] {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		line = line[n:]
	}
	return b.String()
}
