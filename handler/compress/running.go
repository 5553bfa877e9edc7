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

// CacheTimes implements backend.CacheTimed: the inner backend may be a cache.
func (r *running) CacheTimes() (queue, service time.Duration, result backend.CacheResult) {
	e := (*exchange)(r)
	if e.inner == innerRuns {
		e.noteTimes()
	}
	return e.told.queue, e.told.service, e.told.result
}

// Upstream implements backend.Forwarded. It follows CacheTimes.
func (r *running) Upstream() (address string, sent int) { return r.told.address, r.told.sent }

// told is what the inner backend says of an exchange, for logs and traces.
type told struct {
	queue, service time.Duration
	result         backend.CacheResult
	address        string // see backend.Forwarded
	sent           int
}

// noteTimes asks the inner backend. It knows until the call that ends the exchange.
func (e *exchange) noteTimes() {
	if e.asked.timed {
		e.told.queue, e.told.service, e.told.result = backend.TimesOf(e.r)
		e.told.address, e.told.sent = backend.UpstreamOf(e.r)
	}
}

var (
	_ backend.CacheTimed = (*running)(nil)
	_ backend.Forwarded  = (*running)(nil)
	_ backend.Trailered  = (*running)(nil)
)
