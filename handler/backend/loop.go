package backend

import "time"

// Loop is what a backend may ask of the loop that it is attached to. Only Post may be called from elsewhere.
type Loop interface {
	// Index counts loops from 0; Count is how many there are.
	Index() int
	Count() int
	// Post has fn called on the loop.
	Post(fn func())
	// Now is the time of this turn in nanoseconds on a monotonic clock; Clock reads that clock anew.
	Now() int64
	Clock() int64
	// After calls fn once, after d, on the loop.
	After(d time.Duration, fn func()) Timer
	// Watch calls ready on each edge of fd's readability. The loop does not own fd.
	Watch(fd int, ready func()) error
	Unwatch(fd int) error
	// OnTurn has t called around each turn of the loop, until OffTurn.
	OnTurn(t Turn)
	OffTurn(t Turn)
}

// Timer is what Loop.After returns.
type Timer interface {
	// Stop keeps the timer from firing; false: it has fired or was stopped already.
	Stop() bool
}

// Turn is called around each turn (one batch of events) of a loop.
type Turn interface {
	// BeginTurn comes before the first event of a turn.
	BeginTurn()
	// EndTurn comes when the events of the turn are handled. again asks for another turn without blocking in between.
	EndTurn() (again bool)
}
