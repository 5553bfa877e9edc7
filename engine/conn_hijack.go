package engine

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"

	"moonbridge/bufio"
	"moonbridge/handler/backend"
)

// Reasons why a connection cannot leave HTTP (backend.Upgrader).
var (
	errNotRunning   = errors.New("engine: the exchange is over")
	errResponded    = errors.New("engine: the response has begun")
	errBodyMissing  = errors.New("engine: the request body is not complete")
	errOthersFollow = errors.New("engine: other requests of the connection are in progress")
	errNoPlace      = errors.New("engine: too many connections")
)

// Hijack implements backend.Upgrader.
func (c *conn) Hijack(head []byte) (net.Conn, error) {
	if err := c.upgradable(); err != nil {
		return nil, err
	}
	if m := c.l.multiplexed; m != nil {
		return m.hijack(c, head)
	}
	conn, err := c.l.takeOut(c.socket.fd)
	if err != nil {
		return nil, err
	}
	var held []byte
	if c.l.sealed == nil {
		c.send(head) // the descriptor is closed later in the turn
		held = bytes.Clone(c.output.Unsent())
	} else {
		held = append(bytes.Clone(c.output.Unsent()), head...)
	}
	unread := bytes.Clone(c.input.Unread())
	end := c.l.takePlace(c.socket.fd)
	c.leaveHTTP(head)
	return newHijacked(c.l.e, newDetached(conn, unread, held), end), nil
}

// Upgrade implements backend.Upgrader.
func (c *conn) Upgrade(head []byte, p backend.Protocol, b backend.Bounds) error {
	if err := c.upgradable(); err != nil {
		return err
	}
	r := c.becomeRaw(head, resolveBounds(b))
	r.open(p, c.service.latest().ended)
	r.again()
	return nil
}

// becomeRaw makes a raw connection of c, after head was sent. Nothing is left of c.
func (c *conn) becomeRaw(head []byte, b *rawBounds) *rawConn {
	c.send(head)
	c.input.Settle(c.l.pool)
	r := newRaw(c.l, c.socket, b, c.service.addrs, c.l.upgraded())
	r.input, r.output = c.input.Input, c.output.Output
	c.input.Input, c.output.Output = bufio.Input{}, bufio.Output{}
	r.due = r.input.Len() > 0 || r.socket.eof
	c.l.sys.hand(c.socket.fd, r)
	c.leaveHTTP(head)
	if r.socket.broken || r.socket.eof && c.l.cut(c.socket.fd) {
		r.fail(errReset)
	}
	return r
}

// upgraded is where a connection of the loop that has left HTTP is counted.
func (l *loop) upgraded() *atomic.Int64 {
	if l.multiplexed != nil {
		return &l.multiplexed.tunnels
	}
	return &l.e.conns
}

// upgradable returns nil if the connection may leave HTTP with the exchange in progress.
func (c *conn) upgradable() error {
	switch {
	case c.l.multiplexed != nil && !c.l.multiplexed.mayLeave(c.socket.fd):
		return errH2
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

// leaveHTTP ends the exchange, which was answered with head, and gives back everything that the connection has, except for the
// descriptor. The connection stays counted.
func (c *conn) leaveHTTP(head []byte) {
	if record := c.exchange.record; record != nil {
		record.Response.Write(head)
	}
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
	c.l.upgraded().Add(1)
	c.forget()
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

// Upgrade implements backend.Upgrader.
func (p *pipelined) Upgrade(head []byte, to backend.Protocol, b backend.Bounds) error {
	if !p.current {
		return errOthersFollow
	}
	c := p.c
	err := c.Upgrade(head, to, b)
	if err == nil {
		c.l.releasePipelined(p)
	}
	return err
}

var _, _ backend.Upgrader = (*conn)(nil), (*pipelined)(nil)
