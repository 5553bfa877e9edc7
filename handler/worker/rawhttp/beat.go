package rawhttp

import (
	"sync/atomic"
	"time"

	"moonbridge/handler/shm"
)

// beatState is the state of the beat.
type beatState struct {
	over   chan struct{} // closed with the connection
	begun  chan struct{} // an exchange has started while the beat was parked
	parked atomic.Bool
}

// While a handler runs, the beat comes by every beatEvery. Output that has been held back for pendingBeats of them is sent:
// between 50 and 75 ms after it reached minimum_output_chunk_size.
const (
	beatEvery    = 25 * time.Millisecond
	pendingBeats = 3
)

func (c *Conn) startBeat() {
	c.over = make(chan struct{})
	c.begun = make(chan struct{}, 1)
	c.parked.Store(true)
	go c.beat()
}

// wake starts the beat if it is parked. In the usual case, short exchanges in quick succession, it is not parked, and this
// costs nothing.
func (c *Conn) wake() {
	if c.parked.Load() && c.parked.Swap(false) {
		c.begun <- struct{}{}
	}
}

func (c *Conn) beat() {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-c.begun:
		case <-c.over:
			return
		}
		ticker.Reset(beatEvery)
		for held := (heldBack{}); c.comeBy(&held); {
			select {
			case <-ticker.C:
			case <-c.over:
				return
			}
		}
		ticker.Stop()
	}
}

// heldBack counts the beats for which an exchange has held back output.
type heldBack struct {
	number uint64
	beats  int
}

// comeBy does the work of one beat. It returns false if no exchange runs; then the beat is parked.
func (c *Conn) comeBy(h *heldBack) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.running || c.fd < 0 {
		c.parked.Store(true)
		return false
	}
	if h.number != c.number || c.cfg.Out.Flags.Load()&shm.OutPending == 0 {
		*h = heldBack{number: c.number}
	} else if h.beats++; h.beats == pendingBeats {
		h.beats = 0
		// Flush takes the lock of the response, which the main thread may hold while it waits for mu.
		c.mu.Unlock()
		c.cfg.Flush()
		c.mu.Lock()
		if !c.running || c.fd < 0 {
			return true
		}
	}
	c.lookAtSocket()
	if c.complete() {
		c.afterResponse()
		c.endHandler()
		return true
	}
	if !c.endHandler() {
		return true
	}
	if c.waiting == 0 && (passed(c.respondAt) || c.stuck && passed(c.stallAt()) && !c.peerAdvances()) {
		// The handler is told. The peer sees the reset when the socket object is closed, which we cannot do.
		c.fail()
		c.endHandler()
		c.shut()
		c.stirred = true
		return true
	}
	// The main thread moves what it waits for: it would not notice that another thread has done so.
	if c.waiting&pollOut == 0 && c.send() {
		c.stirred = true
	}
	if c.waiting == 0 && c.pump() {
		c.stirred = true
	}
	return true
}
