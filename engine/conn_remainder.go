package engine

import (
	"moonbridge/handler/backend"
	"moonbridge/timers"
)

// remainder is what is left of an exchange whose response is complete although its handler still runs. The connection goes
// on without it, and may have several, one for each handler. It tells them of its own end, and of the end of their response
// timeout: that is how a handler that still writes learns that no client is there.
type remainder struct {
	c       *conn
	running backend.Running
	timer   timers.Timer // of the response timeout; not armed: there is none
	next    *remainder   // of the same connection
}

// Complete implements backend.Exchange: the response is complete, but the handler still runs.
func (c *conn) Complete(running backend.Running, end backend.End) {
	if c.state != stateDispatched {
		return
	}
	c.addRemainder(running, c.deadline.responseMS)
	c.Done(end)
}

// addRemainder adds a remainder whose response timeout ends at atMS; 0: never.
func (c *conn) addRemainder(running backend.Running, atMS uint64) {
	r := &remainder{c: c, running: running, next: c.l.remainders[c]}
	r.timer.Init(r)
	if atMS != 0 {
		c.l.sys.setTimer(&r.timer, atMS)
	}
	c.l.remainders[c], c.remains = r, true
}

// Left implements backend.Exchange: the handler has ended.
func (c *conn) Left(running backend.Running) {
	first := c.l.remainders[c]
	for at := &first; *at != nil; at = &(*at).next {
		if r := *at; r.running == running {
			*at = r.next
			c.l.sys.cancelTimer(&r.timer)
			break
		}
	}
	c.keepRemainders(first)
}

func (c *conn) keepRemainders(first *remainder) {
	if first != nil {
		c.l.remainders[c] = first
		return
	}
	delete(c.l.remainders, c)
	c.remains = false
	if c.l.multiplexed != nil {
		c.l.multiplexed.handlersLeft(c)
	}
}

// Expired implements timers.Expirer: the response timeout has ended.
func (r *remainder) Expired(*timers.Timer) {
	r.c.Left(r.running)
	r.running.Cancel()
}

// cancelRemainders tells the handlers that the connection is gone.
func (c *conn) cancelRemainders() {
	for c.remains {
		running := c.l.remainders[c].running
		c.Left(running)
		running.Cancel()
	}
}
