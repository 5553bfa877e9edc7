package reactor

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/timers"
)

// TestTimersFire: timers never fire early, none is forgotten, and at least half of them fire about on time even on a busy
// machine.
func TestTimersFire(t *testing.T) {
	l := startLoop(t, Options{})
	const count = 200
	late := make(chan time.Duration, count)
	on(t, l, func() {
		for range count {
			d := time.Duration(rand.IntN(300_000)) * time.Microsecond
			begin := time.Now()
			l.After(d, func() { late <- time.Since(begin) - d })
		}
	})
	soon := 0
	for range count {
		by := wait(t, late, "timer")
		if by < 0 {
			t.Errorf("%v early", -by)
		}
		if by < 2*time.Second {
			soon++
		}
	}
	if soon < count/2 {
		t.Errorf("only %d of %d timers less than 2 s late", soon, count)
	}
	on(t, l, func() {
		if l.wheel.Len() != 0 {
			t.Errorf("%d timers left", l.wheel.Len())
		}
	})
}

func TestAfterStop(t *testing.T) {
	l := startLoop(t, Options{})
	on(t, l, func() {
		a := l.After(0, func() { t.Error("a stopped timer fired") })
		if !a.Stop() || a.Stop() {
			t.Error("wrong answer of Stop")
		}
	})
	fired := make(chan struct{})
	var a *After
	on(t, l, func() { a = l.After(-time.Hour, func() { close(fired) }) })
	wait(t, fired, "timer")
	on(t, l, func() {
		if a.Stop() {
			t.Error("Stop of a timer that has fired is true")
		}
		l.After(math.MaxInt64, func() {}).Stop()
	})
}

// TestEarlierTimer: neither a deadline before the one that the alarm is set to is missed, nor the later one after it.
func TestEarlierTimer(t *testing.T) {
	l := startLoop(t, Options{})
	fired := make(chan string, 2)
	set := func(d time.Duration, name string) (due int64) {
		on(t, l, func() {
			due = l.Clock() + int64(d)
			l.After(d, func() { fired <- name })
		})
		return due
	}
	on(t, l, func() { l.After(time.Hour, func() { t.Error("too early") }) })
	later := set(60*time.Millisecond, "the later one")
	sooner := set(5*time.Millisecond, "the sooner one")
	first := wait(t, fired, "timer")
	wait(t, fired, "timer")
	// On a busy machine the second one may be set so late that it is due after the first one.
	if first != "the sooner one" && sooner < later-int64(2*time.Millisecond) {
		t.Errorf("%s has fired first", first)
	}
}

// mover is a timer that is moved to later again and again, like the timeouts of a busy connection.
type mover struct{ timers.Timer }

func (m *mover) Expired(*timers.Timer) {}

// TestAlarmIsLazy: moving a timer to later neither rings the bell nor makes turns, except at its old deadline.
func TestAlarmIsLazy(t *testing.T) {
	l := startLoop(t, Options{})
	var m mover
	m.Init(&m)
	turns := &turnCounter{}
	on(t, l, func() {
		l.OnTurn(turns)
		for i := range 10_000 {
			l.SetTimer(&m.Timer, l.NowMS()+1000+uint64(i))
		}
		l.CancelTimer(&m.Timer)
	})
	time.Sleep(50 * time.Millisecond)
	if n := turns.count.Load(); n > 5 {
		t.Errorf("%d turns", n)
	}
}

// TestIdleLoopSleeps: an idle loop whose only timer is far away has hardly any turns.
func TestIdleLoopSleeps(t *testing.T) {
	l := startLoop(t, Options{})
	turns := &turnCounter{}
	on(t, l, func() {
		l.OnTurn(turns)
		l.After(time.Hour, func() {})
	})
	time.Sleep(300 * time.Millisecond)
	if n := turns.count.Load(); n > 20 {
		t.Errorf("%d turns", n)
	}
}

type turnCounter struct{ count atomic.Int64 }

func (c *turnCounter) BeginTurn()    { c.count.Add(1) }
func (c *turnCounter) EndTurn() bool { return false }

func TestClocks(t *testing.T) {
	l := startLoop(t, Options{})
	on(t, l, func() {
		now := l.Now()
		time.Sleep(2 * time.Millisecond)
		if l.Now() != now || l.Clock() < now+int64(2*time.Millisecond) {
			t.Errorf("Now %d, then %d, Clock %d", now, l.Now(), l.Clock())
		}
		if l.NowMS() != uint64(now/1e6) {
			t.Errorf("NowMS is %d at %d ns", l.NowMS(), now)
		}
		if at := l.tickAfter(time.Millisecond); int64(at)*1e6 < l.Clock()-int64(time.Minute) || int64(at)*1e6 < now+1e6 {
			t.Errorf("tickAfter is %d at %d ns", at, now)
		}
	})
}
