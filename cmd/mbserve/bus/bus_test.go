package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/channel"
)

func numbers(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// eventually waits for something.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to this: ", what)
		}
	}
}

func TestBus(t *testing.T) {
	l := newFakeLog("log")
	a, b := newNode(t, patience, l.dial), newNode(t, patience, l.dial)
	here, there := a.follow("", "x"), b.follow("", "x")
	for i := range 1000 {
		a.publish("x", fmt.Sprint(i))
	}
	here.want(numbers(0, 1000)...)
	there.want(numbers(0, 1000)...)
	b.publish("x", "end")
	here.until("the last message", func() bool { return len(here.data) == 1001 })
	eventually(t, "the figures", func() bool { return b.Stats().Sent == 1 })
	if s, r := a.Stats(), b.Stats(); s.Sent != 1000 || s.Received != 1 || r.Received != 1000 || s.Dropped+r.Dropped+s.Gaps+r.Gaps != 0 || s.Waiting != 0 || !s.Connected {
		t.Errorf("statistics: %+v, %+v", s, r)
	}
	// One that comes later has the histories, and continues with ids of the others.
	c := newNode(t, patience, l.dial)
	c.follow(here.last(), "x").until("nothing", func() bool { return true })
	late := c.follow("0", "x")
	late.want(append(numbers(0, 1000), "end")...)
	if late.last() != here.last() {
		t.Errorf("ids %q and %q", late.last(), here.last())
	}
}

// The bus is away for a while. Nothing is lost or doubled, and what is too much is refused.
func TestBusAway(t *testing.T) {
	l := newFakeLog("log")
	a, b := newNode(t, patience, l.dial), newNode(t, patience, l.dial)
	here, there := a.follow("", "x"), b.follow("", "x")
	a.publish("x", "0")
	there.want("0")
	l.set(func() { l.away = true })
	for i := 1; i < 600; i++ {
		a.publish("x", fmt.Sprint(i))
	}
	a.queueBytes = a.Stats().Waiting
	if _, err := a.hub.Publish("x", channel.Post{Data: "too much"}); !errors.Is(err, ErrFull) {
		t.Errorf("the queue is full: %v", err)
	}
	l.set(func() { l.away, l.mute = false, true }) // it breaks again when the first batch is there
	here.want(numbers(0, 600)...)
	there.want(numbers(0, 600)...)
	if s := a.Stats(); s.Dropped != 1 || s.Gaps != 0 || s.Sent != 600 {
		t.Errorf("statistics: %+v", s)
	}
	if text := a.text.String(); strings.Count(text, "bus connected") < 2 || strings.Count(text, "err=away") > 1 {
		t.Errorf("log: %s", text)
	}
	if here.lost || here.slow || there.lost || there.slow {
		t.Error("told of a loss that there was not")
	}
}

// Entries go before a server has read them.
func TestBusGap(t *testing.T) {
	l := newFakeLog("log")
	a, b := newNode(t, patience, l.dial), newNode(t, patience, l.dial)
	there := b.follow("", "x")
	a.publish("x", "0")
	there.want("0")
	away := make(chan struct{})
	b.mu.Lock()
	open := b.open
	b.open = func(ctx context.Context, w *window) (session, error) { <-away; return open(ctx, w) }
	b.mu.Unlock()
	b.restart()
	eventually(t, "it is away", func() bool { return !b.Stats().Connected })
	here := a.follow("", "x")
	a.publish("x", "1")
	here.want("1")
	a.publish("x", "2")
	here.want("1", "2")
	l.mu.Lock()
	l.keep(1)
	l.mu.Unlock()
	close(away)
	there.until("it is ended", func() bool { return there.slow })
	back := b.follow(there.last(), "x")
	back.want("2")
	if !back.lost || b.Stats().Gaps != 1 {
		t.Errorf("told of the loss: %v; statistics: %+v", back.lost, b.Stats())
	}
}

// The log is another one after a while, or has lost its end.
func TestBusReplaced(t *testing.T) {
	l := newFakeLog("log")
	a, b := newNode(t, patience, l.dial), newNode(t, patience, l.dial)
	for i, change := range []func(){
		func() { l.name, l.entries, l.first, l.next = "other", nil, 1, 1 },
		func() { l.entries, l.next = l.entries[:1], l.first+1 },
	} {
		here, there := a.follow("", "x"), b.follow("", "x")
		for i := range 3 {
			a.publish("x", fmt.Sprint(i))
			here.until("it comes", func() bool { return len(here.data) > i })
			there.until("it comes", func() bool { return len(there.data) > i })
		}
		eventually(t, "they have it", func() bool { return a.Stats().Sent == uint64(4*i+3) })
		l.set(change)
		there.until("it is ended", func() bool { return there.slow })
		eventually(t, "they notice", func() bool { return a.Stats().Gaps == uint64(i+1) && b.Stats().Gaps == uint64(i+1) })
		back := b.follow(there.last(), "x")
		a.publish("x", "new")
		back.until("it goes on", func() bool { return len(back.data) > 0 && back.data[len(back.data)-1] == "new" })
		if !back.lost {
			t.Error("not told of the loss")
		}
	}
}

// A server starts while the bus is away: it serves, and its histories begin when the bus is there.
func TestBusLate(t *testing.T) {
	l := newFakeLog("log")
	a := newNode(t, patience, l.dial)
	a.publish("x", "old")
	eventually(t, "it is sent", func() bool { return a.Stats().Sent == 1 })
	l.set(func() { l.away = true })
	b := newNode(t, time.Millisecond, l.dial)
	there := b.follow("", "x")
	b.publish("x", "new")
	l.set(func() { l.away = false })
	there.until("it is told", func() bool { return there.slow || len(there.data) == 1 })
	all := b.follow("0", "x")
	all.until("what it sent itself", func() bool { return len(all.data) > 0 })
	if all.data[0] != "new" {
		t.Errorf("it got %q", all.data)
	}
}

// Histories are not filled in time.
func TestBusSlowFill(t *testing.T) {
	l := newFakeLog("log")
	a := newNode(t, patience, l.dial)
	for i := range 10 {
		a.publish("x", fmt.Sprint(i))
		eventually(t, "it is sent", func() bool { return a.Stats().Sent == uint64(i+1) })
	}
	first := true
	ctx, late := context.WithCancel(t.Context())
	b := newNodeWith(t, patience, &Address{name: "test", hosts: []string{"nowhere"}}, func(ctx context.Context, w *window) (session, error) {
		s, err := l.dial(ctx, w)
		if first && err == nil {
			first, s = false, &slowSession{s.(*fakeSession), late}
		}
		return s, err
	}, func(*node) context.Context { return ctx })
	eventually(t, "it goes on without", func() bool { return b.Stats().Connections == 2 })
	all := b.follow("0", "x")
	a.publish("x", "new")
	all.until("the new one", func() bool { return len(all.data) > 0 && all.data[len(all.data)-1] == "new" })
	for _, one := range all.data {
		if one != "0" && one != "new" {
			t.Errorf("it got %q", all.data)
		}
	}
	if n := b.Stats().Gaps; n != 0 {
		t.Errorf("%d gaps: what it has passed over is not missing", n)
	}
}

// slowSession passes on one entry only, and then the server does not wait for it any longer.
type slowSession struct {
	*fakeSession
	late func()
}

func (s *slowSession) follow(ctx context.Context, after uint64, fn func(e *entry) error) error {
	s.fakeSession.follow(ctx, after, func(e *entry) error {
		if err := fn(e); err != nil {
			return err
		}
		return errAway
	})
	s.late()
	<-ctx.Done()
	return ctx.Err()
}

// Another process takes over while messages wait, and one batch is on its way.
func TestBusHandOver(t *testing.T) {
	l := newFakeLog("log")
	a, b := newNode(t, patience, l.dial), newNode(t, patience, l.dial)
	there := b.follow("", "x")
	l.set(func() { l.mute = true })
	a.publish("x", "0") // is appended, but not confirmed
	there.want("0")
	l.set(func() { l.away = true })
	for i := range 300 {
		a.publish("x", fmt.Sprint(i+1))
	}
	state := a.HandOver()
	if _, err := a.hub.Publish("x", channel.Post{}); !errors.Is(err, channel.ErrMoved) {
		t.Errorf("after that: %v", err)
	}
	heir := newNodeWith(t, patience, &Address{name: "test", hosts: []string{"nowhere"}}, func(ctx context.Context, w *window) (session, error) {
		l.set(func() { l.away = false })
		return l.dial(ctx, w)
	}, func(heir *node) context.Context {
		heir.publish("x", "301") // in prepare
		if err := heir.TakeOver(state); err != nil {
			t.Fatal(err)
		}
		return t.Context()
	})
	there.want(numbers(0, 302)...)
	if list, _ := heir.hub.History("x", "", 1000); len(list) != 302 {
		t.Errorf("%d messages in the process that takes over, want 302", len(list))
	}
	if s := b.Stats(); s.Gaps != 0 || there.slow {
		t.Errorf("statistics: %+v", s)
	}
	a.Close(context.Background())
	if s := a.Stats(); s.Waiting != 0 || s.Dropped != 0 {
		t.Errorf("statistics: %+v", s)
	}
	// That process does not live.
	l.set(func() { l.away = true })
	heir.publish("x", "302")
	heir.HandOver()
	heir.Stay(nil)
	l.set(func() { l.away = false })
	heir.publish("x", "303")
	there.want(numbers(0, 304)...)
}

// stopping is a session that appends as many batches as left says, and then waits for ever.
type stopping struct {
	session
	left *int
}

func (s stopping) append(ctx context.Context, b *batch) error {
	if *s.left == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	*s.left--
	return s.session.append(ctx, b)
}

// The process that takes over dies when it has appended some of what it got, or all of it. The old one goes on, and nothing comes twice.
func TestBusHeirDies(t *testing.T) {
	for _, batches := range []int{0, 1, 3, 4} {
		l := newFakeLog("log")
		a, b := newNode(t, patience, l.dial), newNode(t, patience, l.dial)
		there := b.follow("", "x")
		a.publish("x", "0")
		there.want("0")
		eventually(t, "it is sent", func() bool { return a.Stats().Sent == 1 })
		l.set(func() { l.away = true })
		eventually(t, "the bus is away", func() bool { return !a.Stats().Connected })
		for i := range 600 { // three batches
			a.publish("x", fmt.Sprint(i+1))
		}
		state, left := a.HandOver(), batches
		heir := newNodeWith(t, patience, &Address{name: "test", hosts: []string{"nowhere"}}, func(ctx context.Context, w *window) (session, error) {
			l.set(func() { l.away = false })
			s, err := l.dial(ctx, w)
			return stopping{s, &left}, err
		}, func(heir *node) context.Context {
			if err := heir.TakeOver(state); err != nil {
				t.Fatal(err)
			}
			return t.Context()
		})
		heir.publish("x", "of the heir")
		want := numbers(0, min(1+batches*batchMessages, 601))
		if batches == 4 {
			want = append(want, "of the heir")
		}
		there.want(want...)
		a.Stay(nil)
		a.publish("x", "601")
		want = numbers(0, 601)
		if batches == 4 {
			want = append(want, "of the heir")
		}
		there.want(append(want, "601")...)
		if s := b.Stats(); s.Gaps != 0 || there.slow {
			t.Errorf("%d batches: statistics: %+v", batches, s)
		}
		eventually(t, "all is sent", func() bool { return a.Stats().Sent == 602 })
		if s := a.Stats(); s.Received+s.Dropped != 0 || s.Waiting != 0 {
			t.Errorf("%d batches: statistics: %+v", batches, s)
		}
	}
}

// What was published while another process was to take over is sent when that dies, even if it is more than may wait: publish has
// succeeded.
func TestBusHeirDiesNoRoom(t *testing.T) {
	l := newFakeLog("log")
	a, b := newNode(t, patience, l.dial), newNode(t, patience, l.dial)
	there := b.follow("", "x")
	l.set(func() { l.away = true })
	eventually(t, "the bus is away", func() bool { return !a.Stats().Connected })
	a.mu.Lock()
	a.queueBytes = 10 * messageBytes
	a.mu.Unlock()
	for i := range 5 {
		a.publish("x", fmt.Sprint(i))
	}
	conn, heir := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- a.hub.HandOver(conn) }()
	if _, err := io.ReadFull(heir, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, heir)
	for i := range 15 {
		a.publish("x", fmt.Sprint(5+i))
	}
	heir.Close()
	<-over
	if _, err := a.hub.Publish("x", channel.Post{Data: "20"}); err != ErrFull {
		t.Errorf("there is room: %v", err)
	}
	l.set(func() { l.away = false })
	there.want(numbers(0, 20)...)
	if s := a.Stats(); s.Dropped != 1 { // the last one
		t.Errorf("statistics: %+v", s)
	}
}

// What was handed over is refused afterwards. It is not taken for missing.
func TestBusRefusedAfterHandOver(t *testing.T) {
	l := newFakeLog("log")
	a, b := newNode(t, patience, l.dial), newNode(t, patience, l.dial)
	there := b.follow("", "x")
	a.publish("x", "0")
	there.want("0")
	l.set(func() { l.away = true })
	a.publish("x", strings.Repeat("x", batchBytes))
	a.publish("x", "1")
	a.HandOver()
	a.Stay(nil)
	l.set(func() { l.away, l.most = false, 1000 })
	a.publish("x", "2")
	there.want("0", "1", "2")
	eventually(t, "all is sent", func() bool { return a.Stats().Sent == 3 })
	if s, r := a.Stats(), b.Stats(); s.Dropped != 1 || s.Waiting != 0 || s.Gaps+r.Gaps != 0 {
		t.Errorf("statistics: %+v, %+v", s, r)
	}
}

func TestBusRefused(t *testing.T) {
	l := newFakeLog("log")
	a := newNode(t, patience, l.dial)
	here := a.follow("", "x")
	l.mu.Lock()
	l.refuses = true
	l.mu.Unlock()
	a.publish("x", "0")
	eventually(t, "it is dropped", func() bool { return a.Stats().Dropped == 1 })
	l.mu.Lock()
	l.refuses = false
	l.entries = append(l.entries, &entry{l.next, 1, []byte("nonsense")}, &entry{l.next + 1, 1, nil})
	l.next += 2
	l.mu.Unlock()
	a.publish("x", "1")
	here.want("1")
	if s := a.Stats(); s.Gaps != 0 || s.Malformed != 1 {
		t.Errorf("statistics: %+v", s)
	}
}

// What waits at the end is sent, if the bus is there.
func TestBusClose(t *testing.T) {
	l := newFakeLog("log")
	a, b := newNode(t, patience, l.dial), newNode(t, patience, l.dial)
	there := b.follow("", "x")
	for i := range 500 {
		a.publish("x", fmt.Sprint(i))
	}
	a.Close(context.Background())
	if _, err := a.hub.Publish("x", channel.Post{}); !errors.Is(err, ErrFull) {
		t.Errorf("after the end: %v", err)
	}
	there.want(numbers(0, 500)...)
	l.set(func() { l.away = true })
	eventually(t, "it is away", func() bool { return !b.Stats().Connected })
	b.publish("x", "lost")
	b.Close(context.Background())
	if s := b.Stats(); s.Dropped != 1 || !strings.Contains(b.text.String(), "not sent before the end") {
		t.Errorf("statistics: %+v; log: %s", s, b.text)
	}
}

// A bus ends at once if there is no time, though an attempt to connect goes on.
func TestBusCloseWhileConnecting(t *testing.T) {
	l := newFakeLog("log")
	n := newNode(t, patience, l.dial)
	begun, over := make(chan struct{}, 1), make(chan struct{})
	n.mu.Lock()
	n.open = func(context.Context, *window) (session, error) {
		begun <- struct{}{}
		<-over
		return nil, errors.New("away")
	}
	n.mu.Unlock()
	n.restart()
	<-begun
	now, cancel := context.WithCancel(context.Background())
	cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		n.Close(now)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("it waits for the attempt")
	}
	close(over)
	<-closed
}

func TestOrigins(t *testing.T) {
	var o origins
	see := func(origin, number uint64) verdict {
		v := o.look(origin, number)
		if v != batchAgain {
			o.note(origin, number)
		}
		return v
	}
	for i, c := range []struct {
		origin, number uint64
		want           verdict
	}{{1, 5, batchNext}, {1, 6, batchNext}, {1, 6, batchAgain}, {1, 1, batchAgain}, {2, 1, batchNext}, {1, 8, batchMissing}, {1, 9, batchNext}} {
		if got := see(c.origin, c.number); got != c.want {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
	o.miss()
	if see(1, 9) != batchAgain || see(1, 12) != batchNext || see(1, 14) != batchMissing {
		t.Error("after a gap, it takes what it has seen, or misses what is known to be missing")
	}
	for i := range uint64(10 * originsMax) {
		see(100+i, 1)
		see(1, 15+i)
		if i%1000 == 0 {
			o.miss()
		}
	}
	if n := len(o.now) + len(o.before) + len(o.gap); see(1, 15) != batchAgain || n > 5*originsMax {
		t.Errorf("%d origins are remembered", n)
	}
}

func TestWindow(t *testing.T) {
	w := window{maxEntries: 5, maxBytes: 1000}
	for i := range uint64(5) {
		w.add(10+i, 100)
	}
	if w.begins() != 0 {
		t.Errorf("nothing is too much: it begins at %d", w.begins())
	}
	if w.add(15, 100); w.begins() != 11 {
		t.Errorf("too many entries: it begins at %d", w.begins())
	}
	if w.add(16, 950); w.begins() != 16 || w.bytes != 950 {
		t.Errorf("too many bytes: it begins at %d", w.begins())
	}
	if w.add(17, 2000); w.begins() != 17 {
		t.Errorf("a large one: it begins at %d", w.begins())
	}
}

// The server begins to serve in the moment in which the bus has connected, and not yet begun to read.
func TestBusLateWhileConnecting(t *testing.T) {
	l := newFakeLog("log")
	a := newNode(t, patience, l.dial)
	here := a.follow("", "x")
	for i := range 3 { // entries
		a.publish("x", fmt.Sprint(i))
		here.want(numbers(0, i+1)...)
	}
	for _, kept := range []int{3, 2} { // a log that is full loses its first entries all the time
		b := newNodeWith(t, patience, &Address{name: "test", hosts: []string{"nowhere"}}, l.dial, func(n *node) context.Context {
			n.log = slog.New(slog.NewTextHandler(&onLine{"bus connected", func() {
				n.late.Store(true)
				n.restart()
				l.mu.Lock()
				defer l.mu.Unlock()
				l.keep(kept)
			}}, nil))
			return t.Context()
		})
		if s := b.Stats(); s.Connections != 2 {
			t.Errorf("%d connections, want another one that does not begin with what is old", s.Connections)
		}
		there := b.follow("", "x")
		a.publish("x", "new")
		there.want("new")
		if list, _ := b.hub.History("x", "", 9); len(list) != 1 {
			t.Errorf("%d old messages", len(list)-1)
		}
	}
}

// onLine calls a function when a line with a text is logged.
type onLine struct {
	text string
	call func()
}

func (o *onLine) Write(p []byte) (int, error) {
	if strings.Contains(string(p), o.text) {
		o.call()
	}
	return len(p), nil
}
