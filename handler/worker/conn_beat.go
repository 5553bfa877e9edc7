package worker

import (
	"sync/atomic"
	"time"

	"moonbridge/handler/shm"
)

// beatState is what the beat knows of itself.
type beatState struct {
	over   chan struct{} // closed with the connection
	begun  chan struct{} // an exchange has begun while the beat was parked
	parked atomic.Bool
}

// While a handler runs, the beat comes by every beatEvery. What is held back for pendingBeats of them goes out: between 50
// and 75 ms after it had reached minimum_output_chunk_size.
const (
	beatEvery    = 25 * time.Millisecond
	pendingBeats = 3
)

func (c *conn) startBeat() {
	c.over = make(chan struct{})
	c.begun = make(chan struct{}, 1)
	c.parked.Store(true)
	go c.beat()
}

// wake has the beat come by from now on. The usual case, short exchanges one after the other, costs it nothing.
func (c *conn) wake() {
	if c.parked.Load() && c.parked.Swap(false) {
		c.begun <- struct{}{}
	}
}

func (c *conn) beat() {
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

// heldBack counts the beats that an exchange has held output back for.
type heldBack struct {
	number uint64
	beats  int
}

// comeBy does the work of one beat. false: no exchange runs, and the beat is parked.
func (c *conn) comeBy(h *heldBack) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.running || c.fd < 0 {
		c.parked.Store(true)
		return false
	}
	if h.number != c.number || c.out.Flags.Load()&shm.OutPending == 0 {
		*h = heldBack{number: c.number}
	} else if h.beats++; h.beats == pendingBeats {
		h.beats = 0
		// It takes the lock of the response, which the main thread may hold while it waits for mu.
		c.mu.Unlock()
		c.flush()
		c.mu.Lock()
		if !c.running || c.fd < 0 {
			return true
		}
	}
	c.lookAtSocket()
	if c.waiting == 0 && (passed(c.respondAt) || c.stuck && passed(c.stallAt())) {
		// The handler hears of it. The peer sees the reset when the socket object is closed, which is not ours to do.
		c.fail()
		c.shut()
		c.stirred = true
		return true
	}
	// What the main thread waits for it moves itself: it would not notice that this was done.
	if c.waiting&pollOut == 0 && c.send() {
		c.stirred = true
	}
	if c.waiting == 0 && c.pump() {
		c.stirred = true
	}
	return true
}
