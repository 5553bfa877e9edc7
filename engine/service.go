package engine

import (
	"net/netip"

	"moonbridge/handler/backend"
)

// service is what the connections of one listener are served by, on one loop. It belongs to that loop.
type service struct {
	// Immutable.
	backend backend.LoopBackend
	index   int
	limits  limits
	addrs   *addrs

	next  *service // what has replaced it: connections go on with that when their next request comes
	ended bool     // nothing has replaced it: connections end
}

// binding is what becomes of new connections of a listener, on one loop: one of the two.
type binding struct {
	http    *service
	sockets *socketService
	addrs   *addrs
}

// bind has the connections of ln served by one of the two from now on.
func (l *loop) bind(ln *Listener, http *service, sockets *socketService) error {
	b := l.bindings[ln]
	if b == nil {
		b = &binding{addrs: newAddrs(ln)}
		err := ln.r.Attach(l.Loop, func(fd int, peer netip.AddrPort) {
			if b.http != nil {
				l.accept(b.http, fd, peer)
			} else {
				l.handOver(b.sockets, fd, peer)
			}
		})
		if err != nil {
			return err
		}
		l.bindings[ln] = b
	}
	if http != nil {
		http.addrs = b.addrs // connections that change over know their place in it
	} else {
		sockets.addrs = b.addrs
	}
	old := b.http
	b.http, b.sockets = http, sockets
	if old != nil && http != nil {
		old.next = http
	} else if old != nil {
		l.endService(old)
	}
	return nil
}

// unbind ends what the connections of ln are served by.
func (l *loop) unbind(ln *Listener) {
	b := l.bindings[ln]
	delete(l.bindings, ln)
	if b != nil && b.http != nil {
		l.endService(b.http)
	}
}

func (l *loop) endService(s *service) {
	s.ended = true
	l.drain(true)
}

// current brings the connection's service up to date. It is called before each request.
func (c *conn) current() {
	for c.s.next != nil {
		c.s = c.s.next
	}
}

// ending reports whether the connection is to end after the request in progress.
func (c *conn) ending() bool {
	s := c.s
	for s.next != nil {
		s = s.next
	}
	return s.ended || c.l.e.stopping.Load()
}
