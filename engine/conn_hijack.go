package engine

import (
	"errors"
	"net"
)

// Reasons why a connection cannot leave HTTP (backend.Upgrader).
var (
	errNotRunning   = errors.New("engine: the exchange is over")
	errResponded    = errors.New("engine: the response has begun")
	errBodyMissing  = errors.New("engine: the request body is not complete")
	errOthersFollow = errors.New("engine: other requests of the connection are in progress")
)

// Hijack implements backend.Upgrader.
func (c *conn) Hijack(head []byte) (net.Conn, error) {
	if err := c.upgradable(); err != nil {
		return nil, err
	}
	conn, err := c.l.sys.detach(c.socket.fd)
	if err != nil {
		return nil, err
	}
	unread, held := c.leaveHTTP(head)
	return newDetached(c.l.e, conn, unread, held), nil
}

// upgradable returns nil if the connection may leave HTTP with the exchange in progress.
func (c *conn) upgradable() error {
	switch {
	case c.state != stateDispatched || c.socket.broken:
		return errNotRunning
	case c.exchange.begun || c.exchange.midHead():
		return errResponded
	case c.body.Missing():
		return errBodyMissing
	}
	if c.pipeline != nil {
		c.uncork(c.l.sys.nowMS())
		if c.pipeline.first != nil || c.waits() {
			return errOthersFollow
		}
	}
	if c.spool != nil || c.files != nil {
		return errOthersFollow
	}
	return nil
}

// leaveHTTP sends head, ends the exchange and everything that the connection has here, except for the descriptor. The connection
// stays counted. The results are copies of what was read and not used, and of what is not sent.
func (c *conn) leaveHTTP(head []byte) (unread, held []byte) {
	c.send(head)
	if record := c.exchange.record; record != nil {
		record.Response.Write(head)
	}
	unread = append(unread, c.input.Unread()...)
	held = append(held, c.output.Unsent()...)
	c.exchange.leave()
	if c.exchange.record != nil {
		c.logAccess(true)
	}
	if c.remains {
		c.cancelRemainders()
	}
	if c.pipeline != nil {
		c.endPipeline()
	}
	c.input.Release(c.l.pool)
	c.output.Release(c.l.pool)
	if c.l.e.connState != nil {
		c.report(ConnHijacked)
	}
	c.l.e.conns.Add(1)
	c.forget()
	return unread, held
}

// Hijack implements backend.Upgrader.
func (p *pipelined) Hijack(head []byte) (net.Conn, error) {
	if !p.current {
		return nil, errOthersFollow
	}
	c := p.c
	conn, err := c.Hijack(head)
	if err == nil {
		c.l.releasePipelined(p)
	}
	return conn, err
}
