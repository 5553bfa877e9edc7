package websocket

import "time"

// bucket bounds the rate of messages (GCRA).
type bucket struct {
	next    int64 // when the next message would be on time
	waiting bool  // a message waits for its time
}

// admit takes a message from the rate. false: it has to wait, and parse is called when its time has come.
func (c *Conn) admit() bool {
	if c.e.o.Rate <= 0 {
		return true
	}
	if c.bucket.waiting {
		return false
	}
	interval := int64(time.Second) / int64(c.e.o.Rate)
	now := c.loop.Now()
	c.bucket.next = max(c.bucket.next, now)
	if early := c.bucket.next - now - interval*int64(max(c.e.o.Burst-1, 0)); early > 0 {
		c.bucket.waiting = true
		c.loop.After(time.Duration(early), c.inTime)
		return false
	}
	c.bucket.next += interval
	return true
}

// inTime lets the message come that waits for its time.
func (c *Conn) inTime() {
	c.bucket.waiting = false
	c.parse()
}
