package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// health is what is known about a server by its requests. The atomics are read for each request, the rest only when something has
// failed.
type health struct {
	troubled atomic.Bool  // there was a failure: outUntil or fails are not zero
	outUntil atomic.Int64 // 0: up. A server whose time is over is on trial
	trying   atomic.Bool  // on trial, and it has a request

	mu     sync.Mutex
	fails  int   // within the window
	window int64 // when it began
	outFor time.Duration
}

// standing is whether a server may get a request.
type standing uint8

const (
	up      standing = iota // like any other
	out                     // not at present
	onTrial                 // one request at a time
)

func (v *Server) standing(now int64) standing {
	if v.checks.down.Load() {
		return out
	}
	if !v.health.troubled.Load() {
		return up
	}
	switch until := v.health.outUntil.Load(); {
	case until == 0:
		return up
	case now < until || v.health.trying.Load():
		return out
	}
	return onTrial
}

// tryNow takes the one request of a server on trial.
func (h *health) tryNow() bool { return h.trying.CompareAndSwap(false, true) }

func (h *health) endTrial() { h.trying.Store(false) }

// failed counts a failure.
func (v *Server) failed(now int64) {
	p := &v.set.o.Passive
	v.failures.Add(1)
	if p.Fails == 0 {
		return
	}
	h := &v.health
	h.mu.Lock()
	defer h.mu.Unlock()
	h.troubled.Store(true)
	switch until := h.outUntil.Load(); {
	case until != 0 && now < until:
		// Requests that were on their way when it was taken out, or that it got in spite of that.
	case until != 0:
		h.takeOut(now, min(2*h.outFor, p.OutMax))
	default:
		if h.fails == 0 || now-h.window > int64(p.Window) {
			h.fails, h.window = 0, now
		}
		if h.fails++; h.fails >= p.Fails {
			h.takeOut(now, p.Out)
		}
	}
	h.endTrial()
}

func (h *health) takeOut(now int64, d time.Duration) {
	h.fails, h.outFor = 0, d
	h.outUntil.Store(now + int64(d))
}

// succeeded ends a trial. A success of a server that is up does not forget its failures within the window: one that fails half
// of its requests should be left out.
func (v *Server) succeeded(now int64) {
	h := &v.health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch until := h.outUntil.Load(); {
	case until != 0 && now >= until:
		h.fails, h.outFor = 0, 0
		h.outUntil.Store(0)
		h.troubled.Store(false)
		v.upSince.Store(now)
	case until == 0 && now-h.window > int64(v.set.o.Passive.Window):
		h.fails = 0
		h.troubled.Store(false)
	}
	h.endTrial()
}

// checks is what health checks have found.
type checks struct {
	down atomic.Bool

	mu   sync.Mutex
	row  int // successes in a row, or failures if negative
	seen bool
}

// Checked tells the result of a health check. The first one decides at once, later ones by Active.Rise and Active.Fall.
func (v *Server) Checked(now int64, ok bool) {
	a := v.set.o.Active
	if a == nil {
		return
	}
	c := &v.checks
	c.mu.Lock()
	defer c.mu.Unlock()
	rise, fall := a.Rise, a.Fall
	if !c.seen {
		c.seen, rise, fall = true, 1, 1
	}
	if ok {
		c.row = max(c.row, 0) + 1
	} else {
		c.row = min(c.row, 0) - 1
	}
	switch down := c.down.Load(); {
	case down && c.row >= rise:
		c.down.Store(false)
		v.upSince.Store(now)
		v.set.queue.becomesFree()
	case !down && -c.row >= fall:
		c.down.Store(true)
	}
}
