package handler

import (
	"math"
	"sync/atomic"
	"time"

	"moonbridge/handler/backend"
)

// Most handlers are done sooner than another goroutine would have begun. So the loop's own goroutine calls a handler, as long as
// handlers do not hold it up for long (backend.Asides). One that waits costs the other connections of the loop a millisecond or two. After
// that, other goroutines call handlers again for many times as long, and for longer each time it happens.

const (
	// asideShare is how many times the loop's own work the handlers on its goroutine may take on average.
	asideShare = 2
	// What takes longer than asideLong counts asideWeight times as much, so that few that wait weigh more than many that are short. That
	// goes for the loop's own work, too: both take long when the system runs something else meanwhile.
	asideLong   = 100 * time.Microsecond
	asideWeight = 10
	// asideMost is what counts of one handler: after that, it does not hold up the loop any more.
	asideMost = 2 * time.Millisecond
	// asideCredit is what handlers may take in advance, if they took less before.
	asideCredit = 200 * time.Millisecond

	// asidePause is for how long no handler is tried when they have taken more: at first, and at most.
	asidePause    = 50 * time.Millisecond
	asidePauseMax = 10 * time.Second
	// trustAfter is after how many handlers without a pause the next pause is the first again.
	trustAfter = 1 << 16
)

// asides decides whether the loop's goroutine calls handlers. Times are those of the loop.
type asides struct {
	loop backend.Asides // immutable; nil: it never does

	lost atomic.Int64 // to handlers that have returned elsewhere

	// Owned by the loop.
	notTill  int64 // no handler is tried before
	credit   time.Duration
	pause    time.Duration // the last one
	returned int           // handlers since the last pause
}

// now reports whether the loop may call a handler now.
func (a *asides) now(now int64) bool {
	if a.loop == nil || now < a.notTill {
		return false
	}
	if lost := a.lost.Swap(0); lost > 0 {
		a.took(now, time.Duration(lost), 0)
	}
	return now >= a.notTill
}

// took: a handler took so long, and the loop's own work since the one before took own.
func (a *asides) took(now int64, took, own time.Duration) {
	a.credit = min(a.credit+asideShare*weighed(own)-weighed(took), asideCredit)
	if a.credit < 0 {
		a.credit, a.returned = 0, 0
		a.pause = min(max(asidePause, 2*a.pause), asidePauseMax)
		a.notTill = now + int64(a.pause)
	} else if a.returned++; a.returned == trustAfter {
		a.pause = 0
	}
}

// weighed is what a piece of work counts that took d.
func weighed(d time.Duration) time.Duration {
	d = min(d, asideMost)
	if d > asideLong {
		d *= asideWeight
	}
	return d
}

// never: the loop does not call handlers.
func (a *asides) never() { a.notTill = math.MaxInt64 }

// Run implements backend.Aside: it calls the handler.
func (e *blockingExchange) Run(stint uint64) {
	e.stint = stint
	defer func() {
		if !e.hijacked {
			e.p.b.leaveCount()
		}
	}()
	e.serve()
}

// Back implements backend.Aside: the handler has returned, and the caller is the loop.
func (e *blockingExchange) Back(took, own time.Duration) {
	e.p.asides.took(e.p.loop.Now(), took, own)
	e.attend()
}

// Away implements backend.Aside: the handler has returned, and the caller is not the loop.
func (e *blockingExchange) Away(took time.Duration) {
	e.mu.Lock()
	if e.needed {
		took = asideMost
	}
	e.mu.Unlock()
	e.p.asides.lost.Add(int64(min(took, asideMost)))
	e.p.notify(e)
}
