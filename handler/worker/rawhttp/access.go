package rawhttp

import (
	"time"

	"moonbridge/handler/accesslog"
)

// access is the record of an exchange for the access log. Without a log it is not used.
type access struct {
	record  accesslog.Record
	started bool          // there is an exchange to be logged
	began   time.Time     // when the handler was called; zero: not yet
	service time.Duration // how long it ran; -1: it was not called
}

// recordHead starts the record of the exchange whose head has been parsed, and gives the exchange its id.
func (c *Conn) recordHead() {
	if c.cfg.Log == nil {
		return
	}
	c.startRecord()
	c.access.record.SetHead(&c.head, c.cfg.IDs)
	c.head.ID = c.access.record.Part(accesslog.PartID)
}

func (c *Conn) startRecord() {
	if c.access.started {
		return
	}
	c.access.started, c.access.began, c.access.service = true, time.Time{}, -1
	c.access.record.Start(time.Now())
}

// recordStart notes that the handler is about to be called.
func (c *Conn) recordStart() {
	if c.cfg.Log != nil {
		c.access.began = time.Now()
	}
}

// recordEnd notes that the handler has ended.
func (c *Conn) recordEnd() {
	if c.cfg.Log != nil && !c.access.began.IsZero() {
		c.access.service = time.Since(c.access.began)
	}
}

// recordAnswer starts the record of a request whose head could not be parsed, which is answered all the same.
func (c *Conn) recordAnswer() {
	if c.cfg.Log != nil && !c.access.started {
		c.startRecord()
		c.access.record.SetID(c.cfg.IDs)
	}
}

// recordOutput records bytes of the response that the socket has taken.
func (c *Conn) recordOutput(p []byte) {
	if c.cfg.Log != nil {
		c.access.record.Response.Write(p)
	}
}

// logAccess passes the record to the access log, when the exchange is over in whatever way. A request on a raw connection
// waits for no worker: it is already there.
func (c *Conn) logAccess(complete bool) {
	if !c.access.started {
		return
	}
	c.access.started = false
	e := accesslog.Entry{Complete: complete, Service: c.access.service, Total: time.Since(c.access.record.At)}
	if c.access.service < 0 {
		e.Queue = -1
	}
	c.access.record.Fill(&e, 0)
	c.cfg.Log(&e)
}
