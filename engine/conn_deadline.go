package engine

import (
	"moonbridge/timers"
)

// deadline is the time at which a connection acts although nothing has happened on it. Times are ticks of the loop's wheel.
//
// A connection has one timer. Its deadline moves with nearly every event, and mostly to a later time. Then only atMS is
// written; a timer that fires too early is armed again. So an ordinary request does not touch the wheel.
type deadline struct {
	atMS       uint64       // when to act; 0: never
	timer      timers.Timer // armed for atMS or an earlier time, never for a later one
	responseMS uint64       // end of the response timeout; 0: none
}

// after is the deadline of a timeout that starts at nowMS. A timeout of 0 is none and has deadline 0.
func after(nowMS, timeoutMS uint64) uint64 {
	if timeoutMS == 0 {
		return 0
	}
	return nowMS + timeoutMS
}

// earlier is the earlier of two deadlines, of which 0 is none.
func earlier(a, b uint64) uint64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (d *deadline) set(sys *system, atMS uint64) {
	d.atMS = atMS
	if atMS != 0 && (!d.timer.Armed() || d.timer.Deadline() > atMS) {
		sys.setTimer(&d.timer, atMS)
	}
}

// due reports whether the deadline has passed, after the timer has fired. If it was moved meanwhile, the timer is armed
// again.
func (d *deadline) due(sys *system, nowMS uint64) bool {
	if d.atMS > nowMS {
		sys.setTimer(&d.timer, d.atMS)
		return false
	}
	return d.atMS != 0
}

// responseDue reports whether the response timeout has passed.
func (d *deadline) responseDue(nowMS uint64) bool { return d.responseMS != 0 && d.responseMS <= nowMS }

// setTimeout sets the deadline to timeoutMS from now; 0 means none.
func (c *conn) setTimeout(nowMS, timeoutMS uint64) {
	c.deadline.set(&c.l.sys, after(nowMS, timeoutMS))
}

// updateDeadline sets the deadline of a connection with an exchange: the response timeout, and the stall timeout if that
// ends first and we wait for the peer. It is called when bytes have moved, and when we start or stop waiting.
func (c *conn) updateDeadline(nowMS uint64) {
	switch c.state {
	case stateBody, stateSpooling, stateDispatched, stateWriting, stateDiscarding:
	default:
		return
	}
	at := c.deadline.responseMS
	if c.waitsForPeer() {
		at = earlier(at, after(nowMS, c.service.limits.stallMS))
		at = earlier(at, c.exchange.fastCheckMS())
	}
	c.deadline.set(&c.l.sys, at)
}

// waitsForPeer reports whether it is the peer's turn: it has not sent its body, or not taken our output.
func (c *conn) waitsForPeer() bool {
	if c.state != stateDispatched {
		return true
	}
	return c.waits() || c.exchange.wantsRoom || c.body.Missing() && !c.body.full && !c.body.Expecting()
}

// peerAdvances reports whether the peer has taken output since we began to wait for it, and then gives it the same time once
// more. It need not have made room in the socket for that: the kernel reports room when a third of its buffer is free, which
// may take a slow peer minutes.
func (c *conn) peerAdvances(nowMS uint64) bool {
	if !c.waits() && !c.exchange.wantsRoom || c.state != stateDispatched && c.state != stateWriting || c.deadline.responseDue(nowMS) {
		return false
	}
	left := c.l.sys.unacknowledged(c.socket.fd)
	if left < 0 || left >= c.output.unacknowledged {
		return false
	}
	c.output.unacknowledged = left
	c.updateDeadline(nowMS)
	return true
}

// timedOut is what a connection does at its deadline.
func (c *conn) timedOut(nowMS uint64) {
	if c.fastPeerChecked(nowMS) || c.peerAdvances(nowMS) {
		return
	}
	switch c.state {
	case stateIdle, stateDiscarding:
		c.linger(nowMS)
	case stateHead:
		c.refuse(nowMS, statusTimeout, causeHeadTimeout)
	case stateBody, stateSpooling:
		c.refuse(nowMS, statusTimeout, causeBodyTimeout)
	case stateDispatched:
		if !c.waits() && c.body.Missing() && !c.deadline.responseDue(nowMS) {
			// The body does not come. The handler is told, and may still answer.
			c.abortBody(nowMS, false)
			return
		}
		c.reset()
	case stateWriting:
		c.reset()
	case stateLingering:
		c.close()
	}
}
