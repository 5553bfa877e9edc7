package engine

import (
	"net/netip"
	"unsafe"
)

// ConnState is a state of a connection for Options.ConnState, as http.ConnState.
type ConnState uint8

const (
	// ConnNew: it was accepted, with TLS its handshake is over, and it has not sent a request. Next: ConnActive, ConnClosed.
	ConnNew ConnState = iota + 1
	// ConnActive: it has sent the head of a request. Next: ConnIdle, ConnHijacked, ConnClosed.
	ConnActive
	// ConnIdle: its responses are sent, and it may send another request. Next: ConnActive, ConnClosed.
	ConnIdle
	// ConnHijacked: it has left its loop (backend.Upgrader). This is final.
	ConnHijacked
	// ConnClosed: it has ended. This is final.
	ConnClosed
)

func (s ConnState) String() string {
	return [...]string{"", "new", "active", "idle", "hijacked", "closed"}[s]
}

// ConnInfo tells connections apart.
type ConnInfo struct {
	Loop          int            // index of its loop
	ID            uint64         // no other open connection has it
	Local, Remote netip.AddrPort // not valid on a Unix socket
}

// report calls Options.ConnState if s is not the last state that it reported. It is not called without that function.
func (c *conn) report(s ConnState) {
	if m := c.l.multiplexed; m != nil {
		m.report(c.socket.fd, s)
		return
	}
	if c.reported == s {
		return
	}
	c.reported = s
	local, remote := c.Addrs()
	c.l.e.connState(ConnInfo{c.l.index, uint64(uintptr(unsafe.Pointer(c))), local, remote}, s)
}

// reportActive reports that an exchange begins, if states are reported.
func (c *conn) reportActive() {
	if c.l.e.connState != nil {
		c.report(ConnActive)
	}
}

// reportIdle reports that the connection waits for a request, if states are reported and no follower is in progress.
func (c *conn) reportIdle() {
	if c.l.e.connState != nil && (c.pipeline == nil || c.pipeline.first == nil) {
		c.report(ConnIdle)
	}
}
