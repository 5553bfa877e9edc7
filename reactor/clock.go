package reactor

import (
	"time"

	"moonbridge/timers"
)

// started is the origin of the clock of all loops.
var started = time.Now()

const nsPerTick = int64(time.Millisecond)

// Now is the time at which the turn started, in nanoseconds on a monotonic clock that all loops of the process share.
func (l *Loop) Now() int64 { return l.now }

// Clock reads the same clock now. Any goroutine may call it.
func (l *Loop) Clock() int64 { return int64(time.Since(started)) }

// NowMS is Now in milliseconds, rounded down: the ticks of SetTimer.
func (l *Loop) NowMS() uint64 { return l.tick() }

func (l *Loop) tick() uint64 { return uint64(l.now / nsPerTick) }

// SetTimer arms t for tick deadlineMS, or moves it there. It expires within a turn, never before the deadline. One that is
// past due expires in this turn or the next.
func (l *Loop) SetTimer(t *timers.Timer, deadlineMS uint64) {
	l.wheel.Set(t, deadlineMS)
	if !l.turning {
		l.setAlarmOrRing()
	}
}

// CancelTimer disarms t, and reports whether it was armed.
func (l *Loop) CancelTimer(t *timers.Timer) bool { return l.wheel.Cancel(t) }

// After is a function that will be called later. See Loop.After.
type After struct {
	timer timers.Timer
	loop  *Loop
	fn    func()
}

// After calls fn once on the loop, when at least d has passed.
func (l *Loop) After(d time.Duration, fn func()) *After {
	a := &After{loop: l, fn: fn}
	a.timer.Init(a)
	l.SetTimer(&a.timer, l.tickAfter(d))
	return a
}

// tickAfter is the first tick that starts at least d from now: the deadline for a timeout of d.
func (l *Loop) tickAfter(d time.Duration) uint64 {
	const far = int64(1) << 62 // 146 years; keeps the sum from overflowing
	at := l.Clock() + min(max(int64(d), 0), far)
	return uint64((at + nsPerTick - 1) / nsPerTick)
}

// Expired implements timers.Expirer.
func (a *After) Expired(*timers.Timer) { a.fn() }

// Stop keeps fn from being called. It returns false if fn was called already, or Stop was.
func (a *After) Stop() bool { return a.loop.CancelTimer(&a.timer) }

// expire fires the timers that were due at the start of the turn.
func (l *Loop) expire() {
	if tick := l.tick(); tick != l.wheel.Now() || l.wheel.Due() {
		l.wheel.Advance(tick)
	}
}

// setAlarm makes the poller report an event at the next deadline, since it has no time limit. It returns true if that is now. An
// alarm that is too early is not moved: when it goes off and nothing is due, it is set again. So timers that are set and
// cancelled, or moved to later, cost nothing here.
func (l *Loop) setAlarm() (due bool) {
	next, ok := l.wheel.Next()
	if !ok || next >= l.alarmAt {
		return false
	}
	in := int64(min(next, never/uint64(nsPerTick)/2))*nsPerTick - l.Clock()
	if in <= 0 {
		return true
	}
	l.alarmAt = next
	l.alarm.set(time.Duration(in))
	return false
}

// alarmed is called on the loop when the alarm has gone off. The turn that this belongs to sets the next one.
func (l *Loop) alarmed() { l.alarmAt = never }

func (l *Loop) setAlarmOrRing() {
	if l.setAlarm() {
		l.ring()
	}
}
