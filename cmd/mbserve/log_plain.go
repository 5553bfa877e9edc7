package main

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plainHandler writes log records for a reader at a terminal: the time of day, the message, and what belongs to it. A text of
// several lines, such as a traceback, keeps its lines.
type plainHandler struct {
	to      io.Writer
	level   slog.Leveler
	replace func(groups []string, a slog.Attr) slog.Attr // may leave out time and level; nil: shows them
	attrs   []slog.Attr
	prefix  string // of keys, from groups
}

// Enabled implements slog.Handler.
func (h *plainHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs implements slog.Handler.
func (h *plainHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		a.Key = h.prefix + a.Key
		c.attrs = append(c.attrs, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *plainHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.prefix += name + "."
	return &c
}

// Handle implements slog.Handler.
func (h *plainHandler) Handle(_ context.Context, r slog.Record) error {
	var b []byte
	if h.shows(slog.Time(slog.TimeKey, r.Time)) {
		b = r.Time.AppendFormat(b, "15:04:05 ")
	}
	switch {
	case !h.shows(slog.Any(slog.LevelKey, r.Level)):
	case r.Level >= slog.LevelError:
		b = append(b, "ERROR "...)
	case r.Level >= slog.LevelWarn:
		b = append(b, "WARNING "...)
	case r.Level < slog.LevelInfo:
		b = append(b, "debug "...)
	}
	b = appendPlain(b, r.Message)
	var long []string // texts of several lines
	add := func(a slog.Attr) {
		text := a.Value.Resolve().String()
		if strings.Contains(text, "\n") {
			long = append(long, text)
			return
		}
		b = append(b, ' ')
		b = append(b, a.Key...)
		b = append(b, '=')
		b = appendPlainValue(b, text)
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(func(a slog.Attr) bool {
		a.Key = h.prefix + a.Key
		add(a)
		return true
	})
	b = append(b, '\n')
	for _, text := range long {
		for line := range strings.Lines(text) {
			b = append(b, "         "...)
			b = appendPlain(b, strings.TrimSuffix(line, "\n"))
			b = append(b, '\n')
		}
	}
	_, err := h.to.Write(b)
	return err
}

func (h *plainHandler) shows(a slog.Attr) bool {
	return h.replace == nil || !h.replace(nil, a).Equal(slog.Attr{})
}

// appendPlainValue appends a value, in quotation marks if it has a blank or is empty.
func appendPlainValue(b []byte, text string) []byte {
	if text != "" && !strings.ContainsAny(text, " =\"") {
		return appendPlain(b, text)
	}
	return append(appendPlain(append(b, '"'), strings.ReplaceAll(text, `"`, `\"`)), '"')
}

// appendPlain appends text without what a terminal would take for a command.
func appendPlain(b []byte, text string) []byte {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == '\n':
			b = append(b, "\n         "...)
		case r == '\t':
			b = append(b, "    "...)
		case r == utf8.RuneError && n == 1:
			b = append(b, `\x`...)
			b = append(b, hexDigits[text[i]>>4], hexDigits[text[i]&15])
		case unicode.IsPrint(r):
			b = append(b, text[i:i+n]...)
		default:
			q := strconv.QuoteRune(r)
			b = append(b, q[1:len(q)-1]...)
		}
		i += n
	}
	return b
}
