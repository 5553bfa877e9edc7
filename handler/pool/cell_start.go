package pool

import (
	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

// Start implements backend.LoopBackend.
func (l *loop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	c, err := l.reserve()
	if err != nil {
		return nil, err
	}
	if err := c.putRequest(x, h, listener, body, more, 0); err != nil {
		l.release(c)
		return nil, err
	}
	l.begin(c, x, h, listener)
	return c, nil
}

// begin publishes an exchange whose request is in place.
func (l *loop) begin(c *cell, x backend.Exchange, h *httpparse.Head, listener int) {
	c.x, c.kind = x, shm.KindHTTP
	c.idempotent = idempotent(h.Bytes(h.Method))
	c.peer.handler = l.p.handlerEnd(listener)
	switch {
	case h.Counted:
		c.times.count(l.on.Now())
	case len(h.ID) > 0:
		c.times.start(l.on.Clock())
	}
	l.living.Add(1)
	l.taken.Add(1)
	l.publish(c, l.on.Now())
}

// publish puts a cell with a complete request into the queue.
func (l *loop) publish(c *cell, now int64) {
	c.pos = l.queue.Next()
	c.queued = now
	c.watch = watch{}
	c.peer.told = false
	c.response.clean()
	c.out.OutHead.Store(0)
	c.out.OutStart.Store(0)
	c.out.Result.Store(shm.NoResult(c.pos))
	c.out.Flags.Store(0)
	if c.times.timed {
		c.out.Claimed.Store(0)
	}
	c.in.OutTail.Store(0)
	c.in.Published.Store(now + l.clockAt)
	c.body.publish()
	c.in.Gen.Store(c.pos)
	c.setState(cellQueued)
	l.queue.Push(c.index)
	l.fresh = true
	l.ticker.expect(l)
}

// idempotent reports whether a request may be given to another worker when its first one has died (RFC 9110 §9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}
