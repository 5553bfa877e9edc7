package channel

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// fakeLoop is a loop that runs on the test's goroutine, when the test says so.
type fakeLoop struct {
	index  int
	now    int64
	posted []func()
	timers []*fakeTimer
}

type fakeTimer struct {
	at int64
	fn func()
}

func (f *fakeTimer) Stop() bool { fn := f.fn; f.fn = nil; return fn != nil }

func (l *fakeLoop) Index() int              { return l.index }
func (l *fakeLoop) Count() int              { return 2 }
func (l *fakeLoop) Post(fn func())          { l.posted = append(l.posted, fn) }
func (l *fakeLoop) Now() int64              { return l.now }
func (l *fakeLoop) Clock() int64            { l.now += int64(10 * time.Microsecond); return l.now }
func (l *fakeLoop) Watch(int, func()) error { panic("Watch") }
func (l *fakeLoop) Unwatch(int) error       { panic("Unwatch") }
func (l *fakeLoop) OnTurn(backend.Turn)     { panic("OnTurn") }
func (l *fakeLoop) OffTurn(backend.Turn)    { panic("OffTurn") }
func (l *fakeLoop) After(d time.Duration, fn func()) backend.Timer {
	t := &fakeTimer{l.now + int64(d), fn}
	l.timers = append(l.timers, t)
	return t
}

// turn runs what was posted before, and reports whether that was anything.
func (l *fakeLoop) turn() bool {
	posted := l.posted
	l.posted = nil
	for _, fn := range posted {
		fn()
	}
	return len(posted) > 0
}

// settle runs turns until nothing is posted.
func (l *fakeLoop) settle(t *testing.T) {
	t.Helper()
	for range 100_000 {
		if !l.turn() {
			return
		}
	}
	t.Fatal("the loop does not come to rest")
}

// pass lets time pass, and runs the timers that are due.
func (l *fakeLoop) pass(d time.Duration) {
	for end := l.now + int64(d); ; {
		i := -1
		for j, timer := range l.timers {
			if timer.fn != nil && timer.at <= end && (i < 0 || timer.at < l.timers[i].at) {
				i = j
			}
		}
		if i < 0 {
			l.now = end
			return
		}
		timer := l.timers[i]
		l.timers = slices.Delete(l.timers, i, i+1)
		l.now = max(l.now, timer.at)
		timer.fn()
	}
}

// client is a subscriber that notes what it gets.
type client struct {
	Member
	t     *testing.T
	takes int // messages that it takes until it is full; below 0: all
	got   []*Message
	lost  int
	took  int64 // what Taken returns

	lostUpTo map[string]uint64 // of its channels, when it was told
	slow     bool
}

func (c *client) Deliver(r *Run) bool {
	if c.slow {
		c.t.Error("a message after Slow")
	}
	c.got = append(c.got, r.Messages()...)
	if c.takes >= 0 {
		c.takes = max(0, c.takes-len(r.Messages()))
	}
	return c.takes != 0
}

func (c *client) Lost() {
	c.lost++
	h := c.l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	for of := range c.channels {
		put(&c.lostUpTo, of.name, of.lost)
	}
}

func (c *client) Taken() int64 { return c.took }

func (c *client) Slow() { c.slow = true }

// data is what the client has got.
func (c *client) data() (list []string) {
	for _, m := range c.got {
		list = append(list, m.Data)
	}
	return list
}

func (c *client) want(data ...string) {
	c.t.Helper()
	if !slices.Equal(c.data(), data) {
		c.t.Errorf("got %q, want %q", c.data(), data)
	}
}

// rig is a hub with two loops.
type rig struct {
	t     *testing.T
	hub   *Hub
	ms    atomic.Int64 // since 1970: the hub sweeps on a goroutine of its own
	loops [2]*fakeLoop
}

func newRig(t *testing.T, o Options, rules ...Rule) *rig {
	r := &rig{t: t, hub: New(o)}
	r.ms.Store(1e12)
	r.hub.now = func() int64 { return r.ms.Load() }
	t.Cleanup(r.hub.Close)
	if err := r.hub.SetRules(rules); err != nil {
		t.Fatal(err)
	}
	for i := range r.loops {
		r.loops[i] = &fakeLoop{index: i, now: 1e15}
	}
	return r
}

func (r *rig) client(loop int, after string, names ...string) *client {
	r.t.Helper()
	c := &client{t: r.t, takes: -1}
	if err := r.hub.On(r.loops[loop]).Join(&c.Member, c, ""); err != nil {
		r.t.Fatal(err)
	}
	if err := c.SubscribeAfter(after, names...); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) publish(name, data string) int {
	r.t.Helper()
	n, err := r.hub.Publish(name, Post{Data: data})
	if err != nil {
		r.t.Fatalf("publish: %v", err)
	}
	return n
}

func (r *rig) settle() {
	r.t.Helper()
	for _, l := range r.loops {
		l.settle(r.t)
	}
}
