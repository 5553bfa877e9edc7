package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"log/syslog"
	"maps"
	"slices"
	"strings"
	"sync"
)

// facilities are the values of --logfacility.
var facilities = map[string]syslog.Priority{
	"kern": syslog.LOG_KERN, "user": syslog.LOG_USER, "mail": syslog.LOG_MAIL, "daemon": syslog.LOG_DAEMON,
	"auth": syslog.LOG_AUTH, "syslog": syslog.LOG_SYSLOG, "lpr": syslog.LOG_LPR, "news": syslog.LOG_NEWS,
	"uucp": syslog.LOG_UUCP, "cron": syslog.LOG_CRON, "authpriv": syslog.LOG_AUTHPRIV, "ftp": syslog.LOG_FTP,
	"local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3,
	"local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

func facilityNames() string { return strings.Join(slices.Sorted(maps.Keys(facilities)), ", ") }

// syslogAt is the address of the system log, for tests. Empty means the system's usual addresses.
var syslogAt struct{ network, address string }

// openSyslog returns a logger that writes to the system log. Time and level are part of the syslog protocol, not of the
// text.
func openSyslog(facility, ident string, format logFormat, debug bool) (*slog.Logger, error) {
	w, err := syslog.Dial(syslogAt.network, syslogAt.address, facilities[facility]|syslog.LOG_INFO, ident)
	if err != nil {
		return nil, fmt.Errorf("system log: %w (use --logfile)", err)
	}
	line := &syslogLine{w: w}
	o := handlerOptions(debug)
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(&syslogHandler{line: line, inner: format.handler(&line.b, o)}), nil
}

// syslogLine is the current line, and its destination.
type syslogLine struct {
	mu sync.Mutex
	b  bytes.Buffer
	w  *syslog.Writer
}

func (l *syslogLine) send(level slog.Level) error {
	text := strings.TrimSuffix(l.b.String(), "\n")
	switch {
	case level < slog.LevelInfo:
		return l.w.Debug(text)
	case level < slog.LevelWarn:
		return l.w.Info(text)
	case level < slog.LevelError:
		return l.w.Warning(text)
	}
	return l.w.Err(text)
}

// syslogHandler formats lines with inner, which writes to line.
type syslogHandler struct {
	line  *syslogLine
	inner slog.Handler
}

func (h *syslogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner.Enabled(ctx, level)
}

func (h *syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.b.Reset()
	if err := h.inner.Handle(ctx, r); err != nil {
		return err
	}
	return h.line.send(r.Level)
}

func (h *syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &syslogHandler{h.line, h.inner.WithAttrs(attrs)}
}

func (h *syslogHandler) WithGroup(name string) slog.Handler {
	return &syslogHandler{h.line, h.inner.WithGroup(name)}
}
