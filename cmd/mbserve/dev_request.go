package main

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"moonbridge/engine"
)

// With --dev and without an access log, the log has a line for each response.

// logRequest implements engine.Options.AccessLog. The log never blocks.
func (s *server) logRequest(a *engine.Access) {
	if string(a.Target) == devPath {
		return
	}
	level := slog.LevelInfo
	if a.Status >= 500 {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, string(appendRequest(nil, a)))
}

// appendRequest describes an exchange: "GET /list 200, 5.1 kB in 12 ms (waited 3 ms)".
func appendRequest(b []byte, a *engine.Access) []byte {
	b = appendEscaped(b, orDash(a.Method))
	b = append(b, ' ')
	b = appendEscaped(b, orDash(a.Target))
	b = append(b, ' ')
	b = appendStatus(b, a.Status)
	b = append(b, ", "...)
	b = appendSize(b, a.Bytes)
	b = append(b, " in "...)
	b = appendMilliseconds(b, a.Total)
	if a.Queue >= time.Millisecond {
		b = append(b, " (waited "...)
		b = append(appendMilliseconds(b, a.Queue), ')')
	}
	if !a.Complete {
		b = append(b, ", not complete"...)
	}
	if a.Cache != "" {
		b = append(b, ", cache "...)
		b = append(b, a.Cache...)
	}
	return b
}

func appendSize(b []byte, n int64) []byte {
	switch {
	case n < 1000:
		return append(strconv.AppendInt(b, n, 10), " B"...)
	case n < 1e6:
		return append(strconv.AppendFloat(b, float64(n)/1e3, 'f', 1, 64), " kB"...)
	}
	return append(strconv.AppendFloat(b, float64(n)/1e6, 'f', 1, 64), " MB"...)
}

func appendMilliseconds(b []byte, d time.Duration) []byte {
	decimals := 1
	if d >= 10*time.Millisecond {
		decimals = 0
	}
	return append(strconv.AppendFloat(b, float64(max(0, d))/1e6, 'f', decimals, 64), " ms"...)
}
