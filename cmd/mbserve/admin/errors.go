package admin

import (
	"context"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	// errorsMax is how many records of the log are kept.
	errorsMax = 50
	// errorBytesMax bounds a message, and a traceback.
	errorBytesMax = 8 << 10
	// valueBytesMax bounds any other value.
	valueBytesMax = 512
)

// Error is a record of the log at level WARN or ERROR.
type Error struct {
	Time      time.Time         `json:"time"`
	Level     string            `json:"level"`
	Message   string            `json:"message"`
	Traceback string            `json:"traceback,omitempty"`
	Fields    map[string]string `json:"fields,omitempty"`
}

// Errors keeps the last warnings and errors of a log.
type Errors struct{ ring ring[Error] }

// Last returns them, the latest first.
func (e *Errors) Last() []Error {
	list := e.ring.all()
	slices.Reverse(list)
	return list
}

// Handler returns a handler of a log that passes everything on to next.
func (e *Errors) Handler(next slog.Handler) slog.Handler { return &keeper{Handler: next, to: e} }

// keeper keeps what is serious, and passes on everything.
type keeper struct {
	slog.Handler
	to    *Errors
	attrs []slog.Attr
}

// Handle implements slog.Handler.
func (k *keeper) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		k.to.ring.add(k.errorOf(&r), errorsMax)
	}
	return k.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (k *keeper) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &keeper{k.Handler.WithAttrs(attrs), k.to, slices.Concat(k.attrs, attrs)}
}

// WithGroup implements slog.Handler. The fields are kept without the name of the group.
func (k *keeper) WithGroup(name string) slog.Handler {
	return &keeper{k.Handler.WithGroup(name), k.to, k.attrs}
}

func (k *keeper) errorOf(r *slog.Record) Error {
	one := Error{Time: r.Time, Level: r.Level.String(), Message: cut(r.Message, errorBytesMax), Fields: make(map[string]string)}
	note := func(a slog.Attr) bool {
		if a.Key == "traceback" {
			one.Traceback = cut(a.Value.String(), errorBytesMax)
		} else {
			one.Fields[a.Key] = cut(a.Value.String(), valueBytesMax)
		}
		return true
	}
	for _, a := range k.attrs {
		note(a)
	}
	r.Attrs(note)
	return one
}

// cut shortens a text to a number of bytes, between two characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
