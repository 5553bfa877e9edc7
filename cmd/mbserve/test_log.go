package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// testLog is the log of "mbserve test". What is logged about a request is kept for the report of its test. Everything else is passed
// on at once.
type testLog struct {
	next slog.Handler
	kept *keptLog
}

// keptLog is what is logged about requests, by their ids.
type keptLog struct {
	mu   sync.Mutex
	by   map[string][]string
	n    int
	more chan struct{} // closed and replaced when something was added
}

const (
	testLogMax  = 1000        // records that are kept
	testLogWait = time.Second // for a record: that of a worker does not come the same way as its response
)

func newTestLog(next slog.Handler) *testLog {
	return &testLog{next: next, kept: &keptLog{by: make(map[string][]string), more: make(chan struct{})}}
}

func (l *testLog) logger() *slog.Logger { return slog.New(l) }

// Enabled implements slog.Handler.
func (l *testLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (l *testLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &testLog{next: l.next.WithAttrs(attrs), kept: l.kept}
}

// WithGroup implements slog.Handler.
func (l *testLog) WithGroup(name string) slog.Handler {
	return &testLog{next: l.next.WithGroup(name), kept: l.kept}
}

// Handle implements slog.Handler.
func (l *testLog) Handle(ctx context.Context, r slog.Record) error {
	id, text := "", r.Level.String()+" "+r.Message
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "request_id":
			id = a.Value.String()
		case "traceback":
			text += "\n" + a.Value.String()
		}
		return true
	})
	if id == "" || !l.kept.add(id, text) {
		return l.next.Handle(ctx, r)
	}
	return nil
}

// add keeps a record. false: there are too many.
func (k *keptLog) add(id, text string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.n == testLogMax {
		return false
	}
	k.n++
	k.by[id] = append(k.by[id], text)
	close(k.more)
	k.more = make(chan struct{})
	return true
}

// about returns what was logged about a request. It waits for it for a moment.
func (l *testLog) about(id string) []string {
	late := time.After(testLogWait)
	for {
		l.kept.mu.Lock()
		list, more := l.kept.by[id], l.kept.more
		l.kept.mu.Unlock()
		if len(list) > 0 {
			return list
		}
		select {
		case <-more:
		case <-late:
			return nil
		}
	}
}
