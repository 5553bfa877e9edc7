package pool

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"moonbridge/handler/logging"
)

const (
	lineMax = 8 << 10 // bytes of a logged line; the rest is cut off

	// A script that writes in a loop must not fill the disk. The log takes linesPerSecond, and linesBurst at once.
	linesPerSecond = 200
	linesBurst     = 2000
)

// lineLog writes the standard error of processes into the log, line by line. Safe for concurrent use.
type lineLog struct {
	log   *slog.Logger
	quota *logging.Quota
}

func newLineLog(log *slog.Logger) *lineLog {
	return &lineLog{log: log, quota: logging.NewQuota(linesPerSecond, linesBurst, func(count int) {
		log.LogAttrs(context.Background(), slog.LevelWarn, "lines of standard error dropped: too many", slog.Int("count", count))
	})}
}

func (l *lineLog) line(text string, attrs []slog.Attr) {
	if l.quota.Allow() {
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
func printable(line []byte) string { return printableText(bytes.TrimSuffix(line, []byte("\r"))) }

// printableText is printable for text with line breaks, which are kept.
func printableText(text []byte) string {
	clean := true
	for _, r := range string(text) {
		clean = clean && isText(r)
	}
	if clean {
		return string(text)
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if isText(r) {
			b.Write(text[:n])
		} else {
			for _, c := range text[:n] {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		text = text[n:]
	}
	return b.String()
}

func isText(r rune) bool { return r == '\t' || r == '\n' || r != utf8.RuneError && unicode.IsPrint(r) }
