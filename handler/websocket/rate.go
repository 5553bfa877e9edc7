package websocket

import (
	"math"
	"time"
)

// bucket bounds the rate of messages (GCRA).
type bucket struct {
	interval int64 // ns from one message to the next, on average; 0: there is no bound
	reserve  int64 // how much earlier than that a message may come: the burst without its first message
	next     int64 // when the next message would be on time
	waiting  bool  // a message waits for its time
}

// allow sets how many messages may come in a second, and at once. A rate of 0 or less is no bound.
func (b *bucket) allow(rate float64, burst int) {
	if !(rate > 0) {
		return
	}
	if burst <= 0 {
		burst = int(min(rate, math.MaxInt32))
	}
	b.interval = int64(min(max(float64(time.Second)/rate, 1), float64(intervalMax)))
	b.reserve = min(int64(max(burst-1, 0)), int64(reserveMax)/b.interval) * b.interval
}

// Bounds that keep the arithmetic from overflowing.
const (
	intervalMax = 31_536_000 * time.Second
	reserveMax  = 3_153_600_000 * time.Second
)

// admit takes a message from the rate. false: it has to wait, and parse is called when its time has come.
func (c *Conn) admit() bool {
	b := &c.bucket
	if b.interval == 0 {
		return true
	}
	if b.waiting {
		return false
	}
	now := c.loop.Now()
	b.next = max(b.next, now)
	if early := b.next - now - b.reserve; early > 0 {
		b.waiting = true
		c.loop.After(time.Duration(early), c.inTime)
		return false
	}
	b.next += b.interval
	return true
}

// inTime lets the message come that waits for its time.
func (c *Conn) inTime() {
	c.bucket.waiting = false
	c.parse()
}
