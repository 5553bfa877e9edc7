package bus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
)

const patience = 60 * time.Second

// fakeLog is a log in memory, whose connections break when the test says so.
type fakeLog struct {
	mu      sync.Mutex
	name    string
	entries []*entry
	first   uint64
	next    uint64
	changed chan struct{}
	away    bool
	mute    bool // entries are appended, and then the connection breaks
	refuses bool
	most    int // bytes of an entry: a larger one is refused; 0: none is
	open    map[*fakeSession]bool
	dials   int
}

func newFakeLog(name string) *fakeLog {
	return &fakeLog{name: name, first: 1, next: 1, changed: make(chan struct{}), open: make(map[*fakeSession]bool)}
}

var errAway = errors.New("away")

func (l *fakeLog) dial(context.Context, *window) (session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials++
	if l.away {
		return nil, errAway
	}
	s := &fakeSession{l: l, broken: make(chan struct{})}
	l.open[s] = true
	return s, nil
}

// set changes the log, and lets connections break.
func (l *fakeLog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	for s := range l.open {
		s.end()
	}
}

// keep removes all entries but the last ones.
func (l *fakeLog) keep(n int) {
	n = min(n, len(l.entries))
	l.first += uint64(len(l.entries) - n)
	l.entries = l.entries[len(l.entries)-n:]
}

type fakeSession struct {
	l      *fakeLog
	broken chan struct{}
}

func (s *fakeSession) close() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.end()
}

func (s *fakeSession) end() {
	if s.l.open[s] {
		delete(s.l.open, s)
		close(s.broken)
	}
}

func (s *fakeSession) about(context.Context) (about, error) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	return about{s.l.name, s.l.first, s.l.next - 1}, nil
}

func (s *fakeSession) append(_ context.Context, b *batch) error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	switch {
	case !s.l.open[s]:
		return io.ErrClosedPipe
	case s.l.refuses || s.l.most > 0 && len(b.append(nil)) > s.l.most:
		return errRefused
	}
	s.l.entries = append(s.l.entries, &entry{s.l.next, time.Now().UnixMilli(), b.append(nil)})
	s.l.next++
	close(s.l.changed)
	s.l.changed = make(chan struct{})
	if s.l.mute {
		s.l.mute = false
		s.end()
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (s *fakeSession) follow(ctx context.Context, after uint64, fn func(e *entry) error) error {
	for {
		s.l.mu.Lock()
		var next *entry
		for _, e := range s.l.entries {
			if e.number > after {
				next = e
				break
			}
		}
		changed := s.l.changed
		s.l.mu.Unlock()
		if next != nil {
			if err := fn(next); err != nil {
				return err
			}
			after = next.number
			continue
		}
		select {
		case <-changed:
		case <-s.broken:
			return io.ErrUnexpectedEOF
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// node is a server: a hub with a loop, and a bus.
type node struct {
	*Bus
	t    *testing.T
	loop *loop
	text *text
}

// text is a log that can be read while it is written.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) { t.mu.Lock(); defer t.mu.Unlock(); return t.b.Write(p) }
func (t *text) String() string              { t.mu.Lock(); defer t.mu.Unlock(); return t.b.String() }

// newNode returns a server that is connected with a log. timeout is how long it waits for that.
func newNode(t *testing.T, timeout time.Duration, open func(context.Context, *window) (session, error)) *node {
	t.Helper()
	return newNodeAt(t, timeout, &Address{name: "test", hosts: []string{"nowhere"}}, open)
}

func newNodeAt(t *testing.T, timeout time.Duration, a *Address, open func(context.Context, *window) (session, error)) *node {
	t.Helper()
	return newNodeWith(t, timeout, a, open, func(*node) context.Context { return t.Context() })
}

// newNodeWith calls before before it connects. What that returns may end the wait.
func newNodeWith(t *testing.T, timeout time.Duration, a *Address, open func(context.Context, *window) (session, error), before func(*node) context.Context) *node {
	t.Helper()
	hub := channel.New(channel.Options{})
	if err := hub.SetRules([]channel.Rule{{Pattern: "*", Messages: 100_000}}); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, loop: newLoop(t), text: new(text)}
	n.Bus = New(a, hub, slog.New(slog.NewTextHandler(n.text, nil)))
	if open != nil {
		n.open = open
	}
	n.start(before(n), timeout)
	t.Cleanup(func() {
		n.cancel()
		<-n.done
		hub.Close()
	})
	return n
}

func (n *node) publish(name, data string) {
	n.t.Helper()
	if _, err := n.hub.Publish(name, channel.Post{Data: data}); err != nil {
		n.t.Fatal(err)
	}
}

// follow subscribes a client.
func (n *node) follow(after string, names ...string) *follower {
	n.t.Helper()
	f := &follower{n: n, more: make(chan struct{}, 1)}
	n.loop.run(func() {
		err := n.hub.On(n.loop).Join(&f.Member, f, "")
		if err == nil {
			err = f.SubscribeAfter(after, names...)
		}
		if err != nil {
			n.t.Error(err)
		}
	})
	return f
}

// follower is a client.
type follower struct {
	channel.Member
	n    *node
	mu   sync.Mutex
	data []string
	id   string
	lost bool
	slow bool
	more chan struct{}
}

func (f *follower) note(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	select {
	case f.more <- struct{}{}:
	default:
	}
}

func (f *follower) Deliver(r *channel.Run) bool {
	f.note(func() {
		for _, m := range r.Messages() {
			f.data, f.id = append(f.data, m.Data), m.Position()
		}
	})
	return true
}
func (f *follower) Lost()        { f.note(func() { f.lost = true }) }
func (f *follower) Taken() int64 { return 0 }
func (f *follower) Slow()        { f.note(func() { f.slow = true }) }

// until waits until something holds of the follower.
func (f *follower) until(what string, holds func() bool) {
	f.n.t.Helper()
	end := time.After(patience)
	for {
		f.mu.Lock()
		ok := holds()
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-f.more:
		case <-end:
			f.mu.Lock()
			defer f.mu.Unlock()
			f.n.t.Fatalf("%s: it got %.500q, lost %v, slow %v; log: %s", what, f.data, f.lost, f.slow, f.n.text)
		}
	}
}

// want waits for messages, and checks that there are no others.
func (f *follower) want(data ...string) {
	f.n.t.Helper()
	f.until("messages", func() bool { return len(f.data) >= len(data) })
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.data {
		if i >= len(data) || f.data[i] != data[i] {
			f.n.t.Fatalf("it got %.300q, want %.300q", f.data, data)
		}
	}
}

func (f *follower) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id
}

// loop runs on a goroutine of its own.
type loop struct {
	mu    sync.Mutex
	tasks []func()
	wake  chan struct{}
}

func newLoop(t *testing.T) *loop {
	l := &loop{wake: make(chan struct{}, 1)}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			l.mu.Lock()
			tasks := l.tasks
			l.tasks = nil
			l.mu.Unlock()
			for _, fn := range tasks {
				fn()
			}
			select {
			case <-l.wake:
			case <-end:
				return
			}
		}
	}()
	t.Cleanup(func() { close(end); <-ended })
	return l
}

func (l *loop) Post(fn func()) {
	l.mu.Lock()
	l.tasks = append(l.tasks, fn)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run runs fn on the loop, and waits for it.
func (l *loop) run(fn func()) {
	done := make(chan struct{})
	l.Post(func() { fn(); close(done) })
	<-done
}

func (l *loop) Index() int              { return 0 }
func (l *loop) Count() int              { return 1 }
func (l *loop) Now() int64              { return time.Now().UnixNano() }
func (l *loop) Clock() int64            { return time.Now().UnixNano() }
func (l *loop) Watch(int, func()) error { panic("Watch") }
func (l *loop) Unwatch(int) error       { panic("Unwatch") }
func (l *loop) OnTurn(backend.Turn)     { panic("OnTurn") }
func (l *loop) OffTurn(backend.Turn)    { panic("OffTurn") }
func (l *loop) After(d time.Duration, fn func()) backend.Timer {
	return time.AfterFunc(d, func() { l.Post(fn) })
}
