package pool

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	lineMax = 8 << 10 // bytes of a logged line; what goes beyond is cut off

	// A script that writes in a loop must not fill the disk: so many lines a second reach the log, with a reserve for
	// tracebacks, which come in bursts. The rest is counted.
	linesPerSecond = 200
	linesBurst     = 2000
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

// take reports whether a line may be logged, and how many were dropped before it.
func (l *lineLog) take(now time.Time) (ok bool, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = min(linesBurst, l.tokens+now.Sub(l.at).Seconds()*linesPerSecond)
	l.at = now
	if l.tokens < 1 {
		l.dropped++
		return false, 0
	}
	l.tokens--
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}

func (l *lineLog) line(text string, attrs []slog.Attr) {
	ok, dropped := l.take(time.Now())
	if dropped > 0 {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "lines of standard error dropped", slog.Int("count", dropped))
	}
	if ok {
		l.log.LogAttrs(context.Background(), slog.LevelInfo, text, attrs...)
	}
}

// copy reads r to its end and closes it. tail, if not nil, hears of each line too.
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

// splitter makes lines out of bytes, at most lineMax long.
type splitter struct {
	emit func(string)
	line []byte
}

func (s *splitter) write(p []byte) {
	for _, b := range p {
		if b == '\n' {
			s.emit(string(s.line))
			s.line = s.line[:0]
		} else if len(s.line) < lineMax {
			s.line = append(s.line, b)
		}
	}
}

func (s *splitter) end() {
	if len(s.line) > 0 {
		s.emit(string(s.line))
		s.line = nil
	}
}
