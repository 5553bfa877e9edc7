package engine

import (
	"moonbridge/timers"
)

// A connection has one timer. Deadlines move with nearly every event, mostly to a later time: then only deadlineMS is
// written, and the timer, when it fires too early, is set anew. So the ordinary request does not touch the wheel.

// setDeadline sets the deadline to timeoutMS from now; 0 means none.
func (c *conn) setDeadline(timeoutMS uint64) {
	c.setDeadlineAt(c.l.after(timeoutMS))
}

func (c *conn) setDeadlineAt(at uint64) {
	c.deadlineMS = at
	if at != 0 && (!c.timer.Armed() || c.timer.Deadline() > at) {
		c.l.SetTimer(&c.timer, at)
	}
}

// updateDeadline sets the deadline of a connection with a request or a response: the stall timeout where we wait for the
// peer (it has not sent its body, or not taken our output), and the response timeout in any case. It is called when bytes
// have moved, or we begin or cease to wait.
func (c *conn) updateDeadline() {
	waits := true
	switch c.state {
	case stateBody, stateWriting:
	case stateDispatched:
		waits = c.out.Len() > 0 || c.body.Missing() && !c.body.full && !c.body.Expecting()
	default:
		return
	}
	at := c.respondMS
	if waits {
		if stall := c.l.after(c.s.limits.stallMS); stall != 0 && (at == 0 || stall < at) {
			at = stall
		}
	}
	c.setDeadlineAt(at)
}

// Expired is called by the loop's wheel.
func (c *conn) Expired(*timers.Timer) {
	now := c.l.NowMS()
	if c.deadlineMS == 0 || c.state == stateClosed {
		return
	}
	if c.deadlineMS > now {
		c.l.SetTimer(&c.timer, c.deadlineMS)
		return
	}
	switch c.state {
	case stateIdle:
		c.linger()
	case stateHead, stateBody:
		c.refuse(statusTimeout)
	case stateDispatched:
		if c.out.Len() == 0 && c.body.Missing() && (c.respondMS == 0 || now < c.respondMS) {
			// The body does not come. The handler hears of it and may still answer.
			c.abortBody(false)
			return
		}
		c.reset()
	case stateWriting:
		c.reset()
	case stateLingering:
		c.close()
	}
}
