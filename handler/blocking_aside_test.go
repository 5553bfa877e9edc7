package handler

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// asideFake is a fake loop that takes work. It does it when a test says so.
type asideFake struct {
	*fakeLoop
	works    []backend.Aside
	relieved chan struct{}
	took     time.Duration // of each piece of work
}

func (l *asideFake) Aside(a backend.Aside) bool {
	l.works = append(l.works, a)
	return true
}

func (l *asideFake) Relieve(stint uint64) {
	if stint != 1 {
		l.t.Errorf("stint %d", stint)
	}
	select {
	case l.relieved <- struct{}{}:
	default: // the loop was left before
	}
}

// work does the work that there is, in turns of its own, and returns how much it was.
func (l *asideFake) work() int {
	works := l.works
	l.works = nil
	for _, a := range works {
		l.workOn(a)
	}
	return len(works)
}

func (l *asideFake) workOn(a backend.Aside) {
	l.relieved = make(chan struct{}, 1)
	returned, left := make(chan struct{}), make(chan bool, 1)
	go func() {
		a.Run(1)
		close(returned)
		if <-left {
			a.Away(l.took)
		}
	}()
	select {
	case <-l.relieved:
		left <- true
	case <-returned:
		select {
		case <-l.relieved:
			left <- true
		default:
			left <- false
			l.turn(func() { a.Back(l.took, 10*time.Microsecond) })
		}
	}
}

func attachAside(t *testing.T, c Config, h Handler, limit int) (*fakeBackend, *asideFake) {
	b := c.Blocking(h, limit).(*blocking)
	t.Cleanup(func() { checkIdle(t, b) })
	l := &asideFake{fakeLoop: newFakeLoop(t), took: time.Microsecond}
	lb, err := b.Attach(l)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeBackend{l.fakeLoop, lb}, l
}

// What a handler does on the loop's goroutine is answered as on any other, without a post.
func TestAsideExchange(t *testing.T) {
	for name, c := range map[string]struct {
		h       Func
		posts   bool // the handler has needed the loop
		outcome string
	}{
		"short":   {func(w *Response, _ *Request) { w.WriteString("hello") }, false, "keep"},
		"empty":   {func(*Response, *Request) {}, false, "keep"},
		"panic":   {func(*Response, *Request) { panic("x") }, false, "failed 500"},
		"abort":   {func(*Response, *Request) { panic(http.ErrAbortHandler) }, false, "reset"},
		"flush":   {func(w *Response, _ *Request) { w.WriteString("hello"); w.Flush() }, true, "keep"},
		"large":   {func(w *Response, _ *Request) { w.Write(make([]byte, 40<<10)) }, true, "keep"},
		"interim": {func(w *Response, _ *Request) { w.Interim(103) }, true, "keep"},
	} {
		t.Run(name, func(t *testing.T) {
			b, l := attachAside(t, Config{Logger: slog.New(slog.DiscardHandler)}, c.h, 0)
			x := b.start(-1, get11, "", false)
			if n := l.work(); n != 1 {
				t.Fatalf("%d pieces of work", n)
			}
			if posted := !x.over; posted != c.posts {
				t.Errorf("posted: %v", posted)
			}
			b.until("the end of the exchange", func() bool { return x.over })
			if got := x.outcome(); got != c.outcome {
				t.Errorf("outcome %s, want %s", got, c.outcome)
			}
		})
	}
}

// An exchange has a goroutine of its own if its body is not complete, if others wait, and if the Config says so.
func TestAsideNot(t *testing.T) {
	served := Func(func(w *Response, r *Request) { r.Body(100) })
	b, l := attachAside(t, Config{}, served, 0)
	x := b.start(-1, "POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\n", "hel", true)
	if n := l.work(); n != 0 {
		t.Error("the body of an exchange on the loop was not complete")
	}
	x.send([]byte("lo"))
	b.turn(func() { x.running.BodyEnd() })
	b.until("the end of the exchange", func() bool { return x.over })

	b, l = attachAside(t, Config{Apart: true}, served, 0)
	b.exchange(get11, "")
	if n := l.work(); n != 0 {
		t.Error("an exchange on the loop in spite of Apart")
	}

	b, l = attachAside(t, Config{}, served, 1)
	first := b.start(-1, get11, "", false)
	second := b.start(-1, get11, "", false)
	if n := l.work(); n != 1 {
		t.Errorf("%d exchanges on the loop, want 1", n)
	}
	b.until("the end of both exchanges", func() bool { return first.over && second.over })
}

// Handlers that take long are called by other goroutines, for longer and longer.
func TestAsidePauses(t *testing.T) {
	b, l := attachAside(t, Config{}, Func(func(*Response, *Request) {}), 0)
	onLoop := func() bool {
		x := b.start(-1, get11, "", false)
		n := l.work()
		b.until("the end of the exchange", func() bool { return x.over })
		return n == 1
	}
	l.took = time.Millisecond
	for _, pause := range []time.Duration{asidePause, 2 * asidePause, 4 * asidePause} {
		if !onLoop() {
			t.Fatal("not tried on the loop")
		}
		if onLoop() {
			t.Error("tried on the loop again at once")
		}
		b.advance(pause - 1)
		if onLoop() {
			t.Errorf("tried on the loop before %v", pause)
		}
		b.advance(1)
	}
	l.took = time.Microsecond
	for range trustAfter {
		if !onLoop() {
			t.Fatal("a short handler had to leave the loop")
		}
	}
	l.took = asideMost
	for range asideCredit / (asideWeight * asideMost) {
		if !onLoop() {
			t.Fatal("a few handlers that take long do not matter")
		}
	}
	onLoop()
	b.advance(asidePause)
	if !onLoop() {
		t.Error("the pause after many short handlers is longer than the first")
	}
}

// Rare handlers that wait take a small part of the loop's time at most. Interruptions, which hit the loop's own work as well, do no harm.
func TestAsideShare(t *testing.T) {
	const own, short = 10 * time.Microsecond, 3 * time.Microsecond
	for _, c := range []struct {
		every int // how many handlers there are for one that waits
		long  time.Duration
		both  bool // so does the loop itself, as often as its share of the time demands
		stays bool
	}{
		{1, 60 * time.Microsecond, false, false},
		{1, 15 * time.Microsecond, false, true},
		{30, 300 * time.Microsecond, false, false},
		{100, asideMost, false, false},
		{1000, asideMost, false, false},
		{5000, asideMost, false, true},
		{300, asideMost, true, true},
	} {
		var a asides
		pauses := 0
		for i := 1; i <= 100_000; i++ {
			took, work := short, own
			if i%c.every == 0 {
				took = c.long
			}
			if c.both && i%(c.every/3) == 1 {
				work = c.long
			}
			a.took(0, took, work)
			if i > 10_000 && a.notTill != 0 {
				pauses++
			}
			a.notTill = 0
		}
		if stays := pauses == 0; stays != c.stays {
			t.Errorf("one of %d takes %v: %d pauses", c.every, c.long, pauses)
		}
	}
}

// A pause is bounded.
func TestAsidePauseMax(t *testing.T) {
	var a asides
	for range 100 {
		a.took(0, time.Second, 0)
	}
	if a.notTill != int64(asidePauseMax) {
		t.Errorf("pause %v", time.Duration(a.notTill))
	}
}
