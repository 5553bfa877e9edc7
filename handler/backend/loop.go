package backend

import (
	"time"

	"moonbridge/httpparse"
)

// Loop is the event loop that a backend is attached to, as far as the backend may use it. Other goroutines may call Post, Index, Count and
// Clock, and nothing else: nothing tells of the mistake but the race detector. A function that the loop calls must not panic, which ends the
// program, and not end its goroutine (runtime.Goexit, and so t.Fatal of a test), which ends the loop.
type Loop interface {
	// Index is the index of the loop, from 0. Count is the number of loops.
	Index() int
	Count() int
	// Post makes the loop call fn, at the end of this turn or in a later one, in the order of posts. It does not wait. When the engine has
	// ended, fn is not called.
	Post(fn func())
	// Now is the time of the current turn in nanoseconds on a monotonic clock. Clock reads that clock.
	Now() int64
	Clock() int64
	// After makes the loop call fn once, when at least d has passed, in whole milliseconds. 0 or less: soon. Timers that are pending when
	// the engine ends do not fire.
	After(d time.Duration, fn func()) Timer
	// Watch makes the loop call ready each time fd becomes readable (edge-triggered), until Unwatch. The loop does not
	// own fd.
	Watch(fd int, ready func()) error
	Unwatch(fd int) error
	// OnTurn makes the loop call t around each turn, until OffTurn. t must be comparable.
	OnTurn(t Turn)
	OffTurn(t Turn)
}

// Checker is implemented by Loops that can make mistakes of handlers show. If Check returns true, the use of anything that is not
// valid any more should panic, or show bytes that were never there: see Overwrite.
type Checker interface {
	Check() bool
}

// Checks reports whether l is a Checker that makes mistakes show.
func Checks(l Loop) bool {
	c, ok := l.(Checker)
	return ok && c.Check()
}

// Overwrite makes views of b that were kept too long show. A backend whose loop Checks calls it with memory that it is going to use again.
func Overwrite(b []byte) {
	for i := range b {
		b[i] = 0xDB
	}
}

// RefusalCounter is implemented by Loops that count refused exchanges, and log them at a bounded rate. What Start of the engine's backend
// refuses is counted without it.
type RefusalCounter interface {
	// CountRefused counts the exchange x with head h, which another backend has refused with err after Start had taken it.
	CountRefused(x Exchange, h *httpparse.Head, err error)
}

// CountRefused calls CountRefused of l, if it has it. A backend that keeps an exchange, and passes it on to another one later, calls it before
// Refuse.
func CountRefused(l Loop, x Exchange, h *httpparse.Head, err error) {
	if c, ok := l.(RefusalCounter); ok {
		c.CountRefused(x, h, err)
	}
}

// EndRepeater is implemented by Loops that may call EndTurn more than once in a turn. RepeatsEnd reports, within EndTurn, whether it is called
// once more before the loop waits for events: what was output so far is sent in between. A Turn need not get ready to wait then.
type EndRepeater interface {
	RepeatsEnd() bool
}

// Timer is a pending call of Loop.After.
type Timer interface {
	// Stop prevents the timer from firing. It returns false if the timer has already fired or been stopped.
	Stop() bool
}

// Turn is called around each turn of a loop, which handles one batch of events.
type Turn interface {
	// BeginTurn is called before the first event of a turn.
	BeginTurn()
	// EndTurn is called after the last event of a turn. again asks for another turn without waiting for events.
	EndTurn() (again bool)
}

// Asides is implemented by Loops whose own goroutine can run work that may take long. That saves two switches of goroutines, and most of
// the time of threads. Work that takes long holds up the loop for one or two milliseconds, then another goroutine becomes the loop.
type Asides interface {
	// Aside makes the loop run a soon. It returns false if it cannot. It is called on the loop.
	Aside(a Aside) bool
	// Relieve makes another goroutine the loop, if the work of this stint still holds it up. Any goroutine may call it.
	Relieve(stint uint64)
}

// Aside is work for a loop's goroutine. See Asides.
type Aside interface {
	// Run does it. stint is for Relieve; 0: it runs on a goroutine of its own, because work before it has taken long, or the loop has ended.
	Run(stint uint64)
	// Back is called on the loop when Run has returned. took is how long that was, and own how long the loop was at work of its own
	// since the work before.
	Back(took, own time.Duration)
	// Away is called in place of Back if another goroutine has become the loop meanwhile, on the goroutine of Run.
	Away(took time.Duration)
}
