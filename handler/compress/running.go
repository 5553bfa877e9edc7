package compress

import (
	"time"

	"moonbridge/handler/backend"
)

// running is the exchange as the connection sees it. Its calls go on to the inner backend, as long as that may be called.
type running exchange

// BodyRoom implements backend.Running.
func (r *running) BodyRoom() (a, b []byte) {
	e := (*exchange)(r)
	if e.inner != innerRuns {
		return nil, nil
	}
	return e.r.BodyRoom()
}

// BodyCommit implements backend.Running.
func (r *running) BodyCommit(n int) {
	e := (*exchange)(r)
	if e.inner == innerRuns {
		e.r.BodyCommit(n)
	}
}

// BodyEnd implements backend.Running.
func (r *running) BodyEnd() {
	e := (*exchange)(r)
	if e.inner == innerRuns {
		e.r.BodyEnd()
	}
}

// BodyAbort implements backend.Running.
func (r *running) BodyAbort(tooLarge bool) {
	e := (*exchange)(r)
	if e.inner == innerRuns {
		e.r.BodyAbort(tooLarge)
	}
}

// BodyTrailer implements backend.Trailered.
func (r *running) BodyTrailer(section []byte) {
	e := (*exchange)(r)
	if t, ok := e.r.(backend.Trailered); ok && e.inner == innerRuns {
		t.BodyTrailer(section)
	}
}

// PeerEnd implements backend.Running.
func (r *running) PeerEnd() {
	e := (*exchange)(r)
	if e.inner == innerRuns {
		e.r.PeerEnd()
	}
}

// OutputRoom implements backend.Running.
func (r *running) OutputRoom() {
	e := (*exchange)(r)
	if e.state == stateOver || !e.drain() {
		return
	}
	e.advance()
}

// advance does what can be done now: encode what has come, let the inner backend go on, end the exchange. It is not called
// within a call of Output.
func (e *exchange) advance() {
	e.giveRoom()
	if e.state == stateBody {
		e.encodeMore()
		e.giveRoom()
	}
	e.conclude()
}

// giveRoom lets the inner backend go on if it waits for that and there is room.
func (e *exchange) giveRoom() {
	if !e.blocked || e.inner != innerRuns {
		return
	}
	room := len(e.unsent) == 0 && len(e.files) == 0
	switch e.state {
	case stateBody:
		room = len(e.body.in) < bufferBytes
	case stateBroken, stateOver:
		return
	}
	if room {
		e.blocked = false
		e.r.OutputRoom()
	}
}

// Cancel implements backend.Running.
func (r *running) Cancel() {
	e := (*exchange)(r)
	if e.state == stateOver {
		return
	}
	e.state = stateOver
	if e.inner != innerEnded {
		e.r.Cancel()
	}
	e.release()
}

// Times implements backend.Timed.
func (r *running) Times() (queue, service time.Duration) {
	e := (*exchange)(r)
	if e.inner == innerRuns {
		e.noteTimes()
	}
	return e.queue, e.served
}

// noteTimes takes the times of the exchange from the inner backend. It knows them only until the call that ends it.
func (e *exchange) noteTimes() {
	if e.asked.timed {
		e.queue, e.served, _ = backend.TimesOf(e.r)
	}
}

var (
	_ backend.Timed     = (*running)(nil)
	_ backend.Trailered = (*running)(nil)
)
