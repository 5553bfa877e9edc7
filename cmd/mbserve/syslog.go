package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"maps"
	"slices"
	"strings"

	"moonbridge/handler/logging"
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

// openSyslog returns a logger that writes to the system log, and the queue before it. Time and level are part of the
// syslog protocol, not of the text.
func openSyslog(facility, ident string, format logFormat, debug bool) (*slog.Logger, *logging.Queue, error) {
	w, err := syslog.Dial(syslogAt.network, syslogAt.address, facilities[facility]|syslog.LOG_INFO, ident)
	if err != nil {
		return nil, nil, fmt.Errorf("system log: %w (use --logfile)", err)
	}
	o := handlerOptions(debug)
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	log, queue := queuedLogger(syslogTarget{w}, func(to io.Writer) slog.Handler {
		return newLevelHandler(to, func(l slog.Level) string { return levelBytes[levelOf(l)] }, func(line io.Writer) slog.Handler { return format.handler(line, o) })
	})
	return log, queue, nil
}

// A record on its way to the system log begins with a byte for its level.
const (
	levelDebug   = 'd'
	levelInfo    = 'i'
	levelWarning = 'w'
	levelError   = 'e'
)

var levelBytes = map[syslog.Priority]string{
	syslog.LOG_DEBUG: string(levelDebug), syslog.LOG_INFO: string(levelInfo), syslog.LOG_WARNING: string(levelWarning), syslog.LOG_ERR: string(levelError),
}

// syslogTarget sends records to the system log, each with its level.
type syslogTarget struct{ w *syslog.Writer }

func (t syslogTarget) Write(p []byte) (n int, err error) {
	for n < len(p) {
		line, _, _ := bytes.Cut(p[n:], lineBreak)
		if err = t.send(line); err != nil {
			return n, err
		}
		n = min(n+len(line)+1, len(p))
	}
	return n, nil
}

func (t syslogTarget) send(line []byte) error {
	if len(line) == 0 {
		return nil
	}
	text := string(line[1:])
	switch line[0] {
	case levelDebug:
		return t.w.Debug(text)
	case levelInfo:
		return t.w.Info(text)
	case levelWarning:
		return t.w.Warning(text)
	}
	return t.w.Err(text)
}
