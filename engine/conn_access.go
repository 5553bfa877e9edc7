package engine

import (
	"net/netip"

	"moonbridge/httpparse"
)

// These methods are called only if there is an access log.

// recordHead starts the record of the exchange whose head is h, and gives the exchange its id.
func (c *conn) recordHead(h *httpparse.Head) {
	if c.exchange.record == nil {
		c.exchange.record = c.l.newRecord()
	}
	c.exchange.record.setHead(h, c.l)
	h.ID = c.exchange.record.part(partID)
}

// recordAnswer records a response of the engine's own. If the head of the request could not be parsed, the record starts
// here.
func (c *conn) recordAnswer(page []byte) {
	if c.exchange.record == nil {
		c.exchange.record = c.l.newRecord()
		c.exchange.record.setOwnID(c.l)
	}
	if !c.socket.broken {
		c.exchange.record.response.write(page)
	}
}

// logAccess passes the record to the access log, when the exchange is over in whatever way.
func (c *conn) logAccess(complete bool) {
	a, l := c.exchange.record, c.l
	c.exchange.record = nil
	bytes := a.response.body
	if !complete {
		bytes = max(0, bytes-int64(c.output.Len()))
	}
	l.logged = Access{
		Loop: l.index, Peer: c.socket.peer, Time: a.at,
		Method: a.part(partMethod), Target: a.part(partTarget), Minor: a.minor,
		Referer: a.part(partReferer), UserAgent: a.part(partAgent), ID: a.part(partID),
		Status: a.status(), Bytes: bytes, Complete: complete,
		Queue: a.queue, Service: a.service, Total: l.sys.wallClock().Sub(a.at),
	}
	l.e.accessLog(&l.logged)
	l.releaseRecord(a)
}

// logTurnedAway logs a connection that was answered with page before it could send anything.
func (l *loop) logTurnedAway(peer netip.AddrPort, page []byte) {
	var r responseScan
	r.write(page)
	l.logged = Access{
		Loop: l.index, Peer: peer, Time: l.sys.wallClock(),
		Status: r.final(), Bytes: r.body, Complete: true, Queue: -1, Service: -1,
	}
	l.e.accessLog(&l.logged)
}
