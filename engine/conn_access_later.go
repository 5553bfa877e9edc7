package engine

import "slices"

// A pipelined exchange may end before its response is sent. It is logged when it is, or when the connection ends.

// unlogged is an exchange that has ended and is not logged yet.
type unlogged struct {
	record *accessRecord
	left   int64 // bytes to be sent up to the end of its response
}

// logLater logs the exchange, which has ended, when its response is sent.
func (c *conn) logLater() {
	a := c.exchange.record
	if a == nil {
		return
	}
	c.exchange.record = nil
	c.pipeline.unlogged = append(c.pipeline.unlogged, unlogged{a, c.unsent()})
	c.logSent(0)
}

// logSent: n more bytes were sent.
func (c *conn) logSent(n int64) {
	l := c.pipeline
	done := 0
	for i := range l.unlogged {
		u := &l.unlogged[i]
		if u.left -= n; u.left <= 0 {
			c.logRecord(u.record, true, 0)
			done++
		}
	}
	l.unlogged = slices.Delete(l.unlogged, 0, done)
}

// logUnsent logs the exchanges whose responses will not be sent in full.
func (c *conn) logUnsent() {
	for _, u := range c.pipeline.unlogged {
		c.logRecord(u.record, false, u.left) // of those after the first no byte was sent
	}
	clear(c.pipeline.unlogged)
	c.pipeline.unlogged = c.pipeline.unlogged[:0]
}
