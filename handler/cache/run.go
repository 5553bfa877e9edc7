package cache

import (
	"net/netip"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// runState is the state of a run, with its possible next states.
type runState uint8

const (
	runNew     runState = iota // → any
	runWaiting                 // waits for the fill of another run → serving, forward, failing, over
	runServing                 // is answered from the store → over
	runForward                 // the wrapped backend has it → serving, over
	runFailing                 // the engine will answer it with status → over
	runOver                    // has ended: no more calls
)

// run is an exchange that the cache takes part in. For the engine it is the Running; if the wrapped backend has it, it is the
// Exchange for that. Without a client (x is nil) it fills the store all the same.
type run struct {
	l     *loop
	x     backend.Exchange // nil: no client
	state runState
	queued,
	pooled bool
	next *run

	// The request.
	isHead, persistent, keepAlive, timed bool
	authorized, conditional              bool      // conditional: its conditions were left out of what the backend got
	insists                              bool      // the client accepts nothing that is not validated
	kept                                 *keptHead // for what comes after Start

	// What is known for the log.
	result              backend.CacheResult
	queueing, servicing time.Duration
	upstream            string // see backend.Forwarded
	tries               int

	// runServing.
	v     *variant
	plan  plan
	begun bool
	rest  []byte // of the head
	sent  int    // bytes of the body

	// runWaiting; after it, late stays.
	waitsFor *fill
	timer    backend.Timer
	late     bool
	listener int

	// runForward.
	inner         backend.Running
	filling       *fill         // nil: its response is not kept
	capture       *capture      // nil: nothing is looked at any more
	invalidates   []byte        // key of what a response without an error makes invalid
	seen          []byte        // of the head that decides on that, if it has not come as a whole
	ahead         int           // bytes that were looked at, and that the client has not taken
	bodyOver      bool          // the backend has the whole request body, or knows that it will not
	validates     bool          // the request asks whether filling.prev is still valid
	held          []byte        // output that the client has not taken
	files         []fileRange   // what comes after held
	stall         backend.Timer // since it took too little
	blocked       bool          // the backend waits for OutputRoom
	ended         bool          // the backend has called Done, Failed, or Left after Complete
	completed     bool          // it has called Complete
	closing       bool          // the response of the client is over when held is sent
	end           backend.End
	ownAnswer     bool     // the client does not get what the backend outputs
	answer        *variant // but this, held, when the backend has ended
	peerEnded     bool
	why           string         // for Cache-Status
	local, remote netip.AddrPort // without a client
	alone         backend.Timer  // without a client

	status int // runFailing
	retry  time.Duration
}

// init makes it the run of an exchange that starts. r.l is set already: other loops may read it by now.
func (r *run) init(x backend.Exchange, h *httpparse.Head) {
	r.x = x
	r.isHead, r.persistent, r.timed = h.IsHead, h.Persistent, h.Timed()
	r.keepAlive = h.Persistent && h.Minor == 0
	r.queueing, r.servicing = -1, -1
}

// settle does at the end of a turn what must not be done in Start.
func (r *run) settle() {
	r.queued = false
	switch r.state {
	case runServing:
		r.send()
	case runFailing:
		r.state = runOver
		r.x.Failed(r.status, r.retry)
	}
	r.recycle()
}

// recycle gives the run back if it is over.
func (r *run) recycle() {
	if r.state == runOver && !r.queued {
		r.l.giveBack(r)
	}
}

// CacheTimes implements backend.CacheTimed.
func (r *run) CacheTimes() (queue, service time.Duration, result backend.CacheResult) {
	if r.state == runForward && r.capture == nil && !r.ended && !r.ownAnswer {
		r.noteTimes()
	}
	return r.queueing, r.servicing, r.result
}

// noteTimes asks the backend for the times of an exchange that ends.
func (r *run) noteTimes() {
	if !r.timed || r.inner == nil {
		return
	}
	r.queueing, r.servicing, _ = backend.TimesOf(r.inner)
	r.upstream, r.tries = backend.UpstreamOf(r.inner)
	r.timed = false
}

// Upstream implements backend.Forwarded. It follows CacheTimes.
func (r *run) Upstream() (address string, sent int) { return r.upstream, r.tries }

// OutputRoom implements backend.Running.
func (r *run) OutputRoom() {
	switch r.state {
	case runServing:
		r.send()
		r.recycle()
	case runForward:
		r.flush()
	}
}

// PeerEnd implements backend.Running. A fill that others wait for, or that has begun to be kept, goes on without its client.
func (r *run) PeerEnd() {
	r.peerEnded = true
	if r.state == runForward && !r.outlivesClient() && r.inner != nil {
		r.inner.PeerEnd()
	}
}

// Cancel implements backend.Running.
func (r *run) Cancel() {
	switch r.state {
	case runWaiting:
		r.unwait()
		r.state = runOver
	case runServing:
		r.endServing()
		r.cancelInner()
	case runForward:
		r.cancelForward()
	case runFailing:
		r.state = runOver
	}
	r.recycle()
}

func (r *run) cancelForward() {
	detaches := r.outlivesClient()
	r.local, r.remote = r.x.Addrs()
	r.dropHeld()
	r.x = nil
	if detaches {
		r.goesAlone()
	}
	switch {
	case r.ended:
		r.state = runOver
	case r.invalidates != nil:
		r.detachUnsafe()
	case detaches:
		if r.blocked {
			r.blocked = false
			r.inner.OutputRoom()
		}
	default:
		r.state = runOver
		r.dropAnswer()
		r.finishFill(nil, 0)
		r.inner.Cancel()
	}
}

// cancelInner tells the backend that nothing waits for the end of its handler.
func (r *run) cancelInner() {
	if r.inner != nil && !r.ended && r.completed {
		r.inner.Cancel()
	}
}

// outlivesClient reports whether the exchange goes on when its client has gone.
func (r *run) outlivesClient() bool {
	return r.capture != nil && (r.capture.decided || r.filling.waitedFor())
}

// The following methods implement backend.Running for requests with a body, which are always forwarded.

func (r *run) BodyRoom() (a, b []byte) {
	if r.inner == nil {
		return nil, nil
	}
	return r.inner.BodyRoom()
}

func (r *run) BodyCommit(n int) { r.inner.BodyCommit(n) }

func (r *run) BodyEnd() {
	r.bodyOver = true
	r.inner.BodyEnd()
}

func (r *run) BodyAbort(tooLarge bool) {
	r.bodyOver = true
	r.inner.BodyAbort(tooLarge)
}

// BodyTrailer implements backend.Trailered.
func (r *run) BodyTrailer(section []byte) {
	if t, ok := r.inner.(backend.Trailered); ok {
		t.BodyTrailer(section)
	}
}
