package engine

import (
	"net/netip"
	"time"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// These methods are called only if there is an access log, if the states of connections are reported, or if requests are traced.

// recordOf is a record of an exchange of peer whose head is h. It gives the exchange its id.
func (l *loop) recordOf(h *httpparse.Head, s *service, peer netip.Addr) *accessRecord {
	a := l.newRecord()
	l.setHead(a, h, s, peer)
	return a
}

// setHead puts what the log needs of a request into its record.
func (l *loop) setHead(a *accessRecord, h *httpparse.Head, s *service, peer netip.Addr) {
	a.account = s.account
	if l.turn != nil {
		h.Counted, h.ID = true, nil
		return
	}
	if l.tracer != nil {
		l.tracer.begin(a, h, s, peer)
	}
	h.Counted = l.e.counts && !a.traced.recorded
	switch {
	case h.Counted:
		h.ID = nil
	case l.e.accessBrief && !a.traced.recorded:
		a.SetBrief(h, l)
		h.ID = a.Part(accesslog.PartID)
	default:
		a.SetHead(h, l)
		h.ID = a.Part(accesslog.PartID)
	}
}

// recordHead starts the record of the exchange whose head is h, and gives the exchange its id.
func (c *conn) recordHead(h *httpparse.Head) {
	c.reportActive()
	if c.exchange.record == nil {
		c.exchange.record = c.l.newRecord()
	}
	c.l.setHead(c.exchange.record, h, c.service, c.socket.peer.Addr())
}

// recordAnswer records a response of the engine's own. If the head of the request could not be parsed, the record starts
// here.
func (c *conn) recordAnswer(page []byte) {
	c.reportActive()
	if c.exchange.record == nil {
		c.exchange.record = c.l.newRecord()
		c.exchange.record.account = c.service.account
		if !c.l.e.counts {
			c.exchange.record.SetID(c.l)
		}
	}
	if !c.socket.broken {
		c.exchange.record.Response.Write(page)
	}
}

// logAccess passes the record to the access log, when the exchange is over in whatever way.
func (c *conn) logAccess(complete bool) {
	a, unsent := c.exchange.record, int64(0)
	c.exchange.record = nil
	if !complete {
		unsent = c.unsent()
	}
	c.logRecord(a, complete, unsent)
}

// unsent is how many bytes of output are not sent.
func (c *conn) unsent() int64 {
	n := int64(c.output.Len()) + c.spooledOutput()
	if c.files != nil {
		n += c.files.unsent
	}
	return n
}

// logRecord passes a record to the access log. unsent is how many bytes of its response were not sent.
func (c *conn) logRecord(a *accessRecord, complete bool, unsent int64) {
	l := c.l
	if l.e.accessLog == nil {
		l.releaseRecord(a)
		return
	}
	if l.turn != nil {
		l.count(a, c.socket.peer, complete, unsent)
		l.releaseRecord(a)
		return
	}
	total := l.ended().Sub(a.At)
	l.logged = Access{
		Loop: l.index, Peer: c.socket.peer, Complete: complete,
		Queue: a.queue, Service: a.service, Total: total,
		Cache: a.cache.String(), Refreshes: a.cache == backend.CacheRefresh, Account: a.account,
	}
	if l.e.counts {
		l.logged.Queue = min(a.queue, total) // as in count: backends do not know when a counted request ends
	}
	a.Fill(&l.logged, unsent)
	a.traced.addTo(&l.logged)
	l.e.accessLog(&l.logged)
	if l.e.check {
		for i := range accesslog.Parts {
			backend.Overwrite(a.Part(i))
		}
	}
	l.releaseRecord(a)
}

// count passes a record to those who only count. Nothing else is ever set in what they get.
func (l *loop) count(a *accessRecord, peer netip.AddrPort, complete bool, unsent int64) {
	e := &l.counted
	e.Peer, e.Complete, e.Account, e.Cache = peer, complete, a.account, a.cache.String()
	e.Total = time.Duration(l.clock() - a.since)
	e.Queue, e.Service = min(a.queue, e.Total), a.service
	e.Status, e.Bytes = a.Outcome(unsent)
	l.e.accessLog(e)
}

// logTurnedAway logs a connection that was answered with page before it could send anything.
func (l *loop) logTurnedAway(peer netip.AddrPort, page []byte, account any) {
	var r httpwrite.Scan
	r.Write(page)
	l.logged = Access{
		Loop: l.index, Peer: peer, Time: l.sys.wallClock(),
		Status: r.Final(), Bytes: r.Body(), Complete: true, Queue: -1, Service: -1, Account: account,
	}
	l.e.accessLog(&l.logged)
}
