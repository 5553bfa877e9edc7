package engine

import (
	"cmp"
	"os"
	"time"

	"moonbridge/handler/backend"
)

// The defaults of backend.Bounds.
const (
	rawInputDefault  = 64 << 10
	rawOutputDefault = 256 << 10
	rawLingerDefault = 5 * time.Second
)

// rawBounds are backend.Bounds with the defaults filled in; times in milliseconds, 0 for none.
type rawBounds struct {
	input, output    int
	idleMS, lingerMS uint64
	// closeMS is how long a closed connection waits for its peer to take more of the output, if that differs from lingerMS; 0: it does not.
	closeMS uint64
}

func resolveBounds(b backend.Bounds) *rawBounds {
	return &rawBounds{
		input:    cmp.Or(max(b.Input, 0), rawInputDefault),
		output:   cmp.Or(max(b.Output, 0), rawOutputDefault),
		idleMS:   milliseconds(b.Idle, 0),
		lingerMS: milliseconds(b.Linger, rawLingerDefault),
	}
}

// closingMS is how long a closed connection waits for its peer to take more of the output.
func (b *rawBounds) closingMS() uint64 { return cmp.Or(b.closeMS, b.brokenMS()) }

// brokenMS is how long a connection may stay that cannot send any more.
func (b *rawBounds) brokenMS() uint64 {
	return cmp.Or(b.lingerMS, milliseconds(rawLingerDefault, 0))
}

// SetDeadline implements backend.Conn.
func (c *rawConn) SetDeadline(d time.Duration) {
	if c.state != rawOpen {
		return
	}
	nowMS := c.l.sys.nowMS()
	c.limitMS = 0
	if d != 0 {
		c.limitMS = nowMS + milliseconds(max(d, 1), 0)
	}
	c.deadline.set(&c.l.sys, earlier(c.limitMS, after(nowMS, c.idleMS())))
}

// idleMS is how long an open connection may be without a byte in either direction; 0: for ever. If a write has failed, that is
// short even if the Stream has paused and waits for Room, which does not follow.
func (c *rawConn) idleMS() uint64 {
	if c.socket.broken {
		return earlier(c.bounds.idleMS, c.bounds.brokenMS())
	}
	return c.bounds.idleMS
}

// setTimeout makes timeoutMS, from now, the only deadline; 0 means none.
func (c *rawConn) setTimeout(timeoutMS uint64) {
	c.limitMS = 0
	c.deadline.set(&c.l.sys, after(c.l.sys.nowMS(), timeoutMS))
}

// moved: bytes were sent or received, or the connection is new.
func (c *rawConn) moved() {
	switch idle := c.idleMS(); {
	case c.state == rawOpen && idle != 0:
		c.deadline.set(&c.l.sys, earlier(c.limitMS, c.l.sys.nowMS()+idle))
	case c.state == rawClosing:
		c.setTimeout(c.bounds.closingMS())
	}
}

// timedOut is what a raw connection does at its deadline.
func (c *rawConn) timedOut(nowMS uint64) {
	switch {
	case c.state == rawLingering:
		if c.tarpitted() || !c.acknowledgesMore() {
			c.gone = true
			return
		}
		c.setTimeout(c.bounds.lingerMS)
	case c.peerAdvances(nowMS):
		c.moved()
	default:
		c.abort(os.ErrDeadlineExceeded)
	}
}

// peerAdvances reports whether the peer has taken output since the deadline was last reached. The kernel reports room in a socket
// only when a third of its buffer is free, which may take a slow peer minutes.
func (c *rawConn) peerAdvances(nowMS uint64) bool {
	return c.Held() > 0 && (c.limitMS == 0 || c.limitMS > nowMS) && c.acknowledgesMore()
}

// acknowledgesMore reports whether the peer has not acknowledged everything, but more than when the deadline was last reached. If a connection
// that lingers was closed then, the next bytes of its peer, such as window updates of HTTP/2, would be answered with a RST, which destroys what
// is still on its way.
func (c *rawConn) acknowledgesMore() bool {
	left := c.l.sys.unacknowledged(c.socket.fd)
	acked := c.written - left
	if left < 0 || left == 0 && c.Held() == 0 || acked <= c.acked {
		return false
	}
	c.acked = acked
	return true
}

// Progress implements backend.Progress.
func (c *rawConn) Progress() (taken, left int64) {
	if c.state.over() {
		return 0, 0
	}
	unacknowledged := max(c.l.sys.unacknowledged(c.socket.fd), 0) // 0 if it is not known
	return c.written - unacknowledged, unacknowledged + int64(c.Held())
}
