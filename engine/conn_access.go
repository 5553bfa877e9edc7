package engine

import (
	"net/netip"

	"moonbridge/handler/accesslog"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// These methods are called only if there is an access log.

// recordHead starts the record of the exchange whose head is h, and gives the exchange its id.
func (c *conn) recordHead(h *httpparse.Head) {
	if c.exchange.record == nil {
		c.exchange.record = c.l.newRecord()
	}
	c.exchange.record.SetHead(h, c.l)
	h.ID = c.exchange.record.Part(accesslog.PartID)
}

// recordAnswer records a response of the engine's own. If the head of the request could not be parsed, the record starts
// here.
func (c *conn) recordAnswer(page []byte) {
	if c.exchange.record == nil {
		c.exchange.record = c.l.newRecord()
		c.exchange.record.SetID(c.l)
	}
	if !c.socket.broken {
		c.exchange.record.Response.Write(page)
	}
}

// logAccess passes the record to the access log, when the exchange is over in whatever way.
func (c *conn) logAccess(complete bool) {
	a, l := c.exchange.record, c.l
	c.exchange.record = nil
	unsent := 0
	if !complete {
		unsent = c.output.Len() + int(c.spooledOutput())
	}
	l.logged = Access{
		Loop: l.index, Peer: c.socket.peer, Complete: complete,
		Queue: a.queue, Service: a.service, Total: l.sys.wallClock().Sub(a.At),
	}
	a.Fill(&l.logged, int64(unsent))
	l.e.accessLog(&l.logged)
	l.releaseRecord(a)
}

// logTurnedAway logs a connection that was answered with page before it could send anything.
func (l *loop) logTurnedAway(peer netip.AddrPort, page []byte) {
	var r httpwrite.Scan
	r.Write(page)
	l.logged = Access{
		Loop: l.index, Peer: peer, Time: l.sys.wallClock(),
		Status: r.Final(), Bytes: r.Body(), Complete: true, Queue: -1, Service: -1,
	}
	l.e.accessLog(&l.logged)
}
