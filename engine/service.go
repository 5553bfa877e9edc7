package engine

import (
	"net"
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// service is what serves the connections of one listener, on one loop. It belongs to that loop.
type service struct {
	// Immutable.
	backend backend.LoopBackend
	index   int
	limits  limits
	addrs   *addrs

	h2Bounds *rawBounds // of connections with HTTP/2

	limit       ConnLimit  // of the listener, see Listener.SetConnLimit; nil: none
	account     any        // see Limits.Account
	identifier  Identifier // see Limits.TrustedProxies; nil: nothing has to be found out about a request
	pages       *httpwrite.ErrorPages
	extras      *extras             // that every exchange begins with; nil: none
	punishes    bool                // floods: see Limits.NoFloodPenalty
	prefaced    bool                // the listener has a preface
	overlapping backend.Overlapping // the backend, or nil if it is none
	pressable   backend.Pressable   // likewise

	next  *succession // its successor: connections change to it with their next request; nil: none
	ended bool        // it has no successor: its connections end
}

// succession leads from the services that a listener has had to the one that it has. They do not lead to each other, so that a
// connection that has one for long, such as that of a stream without an end, does not keep the backends of all that came after it.
type succession struct{ latest *service }

func newService(lb backend.LoopBackend, index int, lim Limits) *service {
	s := &service{
		backend: lb, index: index, limits: lim.resolve(), account: lim.Account, identifier: lim.TrustedProxies, pages: lim.ErrorPages,
		punishes: !lim.NoFloodPenalty,
	}
	s.h2Bounds = h2BoundsOf(&s.limits)
	if s.pages != nil && s.identifier == nil {
		s.identifier = noProxies{}
	}
	if _, takesFiles := lb.(backend.FileBackend); !takesFiles {
		s.limits.body.Whole = false
	}
	if lim.Always != "" {
		s.extras = &extras{always: []byte(lim.Always), shared: true}
	}
	s.overlapping, _ = lb.(backend.Overlapping)
	s.pressable, _ = lb.(backend.Pressable)
	return s
}

// noProxies is an Identifier without trusted proxies, where something else is found out about requests.
type noProxies struct{}

func (noProxies) Identify(*httpparse.Head, netip.Addr) {}

// services are what serves connections of a listener, on one loop: one of them.
type services struct {
	http    *service
	sockets *socketService
	raw     *rawService
}

// binding is a listener, on one loop. Its services are for new connections.
type binding struct {
	services
	addrs   *addrs
	preface *backend.Preface // nil: none
	tls     *TLS             // nil: none
	brief   brief            // of its handshakes
	limit   ConnLimit        // nil: none
	open    OpenLimit        // nil: none
	ended   bool             // the listener is closed
	late    bool             // endLate was called, and has not ended the connections yet

	succession *succession // to services.http; nil: from none
}

// bind makes one of the three, http, sockets or raw, serve the connections of ln from now on.
func (l *loop) bind(ln *Listener, http *service, sockets *socketService, raw *rawService) error {
	b := l.bindings[ln]
	if b == nil {
		b = &binding{addrs: newAddrs(ln)}
		if err := l.attachListener(ln, b); err != nil {
			return err
		}
		l.bindings[ln] = b
	}
	switch {
	case http != nil:
		http.addrs = b.addrs // connections that change over keep their place in it
	case raw != nil:
		raw.addrs = b.addrs
	default:
		sockets.addrs = b.addrs
	}
	setup := ln.tls.Load()
	stay := setup.admits(b.tls)
	b.tls, b.limit, b.open = setup, ln.limitOf(), ln.openLimitOf()
	b.brief = brief{able: b.tls != nil && !mayWait(b.tls.Config)}
	if b.open != nil {
		l.keepPlaces()
	}
	if http != nil {
		http.limit = b.limit
	}
	if b.preface = ln.preface.Load(); b.preface != nil {
		b.addrs.mayDiffer()
		if http != nil {
			http.prefaced = true
		}
	}
	old := b.http
	b.services = services{http, sockets, raw}
	switch {
	case old == nil:
	case http == nil:
		l.endService(old)
	case !stay:
		l.endService(old)
		l.drainRaw(b.addrs)
	default:
		b.succeed(old)
		return nil
	}
	b.succession = nil // what has ended stays the last one of those before it
	return nil
}

// succeed makes the connections of old, and those of the services before it, change to the present one.
func (b *binding) succeed(old *service) {
	if b.succession == nil {
		b.succession = new(succession)
	}
	b.succession.latest, old.next = b.http, b.succession
}

// attachListener makes b get the connections of ln.
func (l *loop) attachListener(ln *Listener, b *binding) error {
	if ln.adopted != nil {
		if ln.adopted.closed.Load() {
			return net.ErrClosed
		}
		return nil
	}
	return ln.r.Attach(l.r, func(fd int, peer netip.AddrPort) {
		if l.admit(b, fd, peer); b.ended {
			l.endLate(b)
		}
	}, func(fd int, peer netip.AddrPort) {
		l.countConnection(outOfFiles, "", peer)
		l.refuseAccepted(b, fd, peer)
	})
}

// unbind ends what serves the connections of ln.
func (l *loop) unbind(ln *Listener) {
	b := l.bindings[ln]
	delete(l.bindings, ln)
	if b == nil {
		return
	}
	b.ended = true
	if b.http != nil {
		b.http.ended = true
	}
	l.drain(true)
	if b.raw != nil {
		b.raw.ended = true
	}
	l.drainRaw(b.addrs)
}

// endLate ends connections that another loop has accepted, and that were on their way when this one ended those of their listener.
func (l *loop) endLate(b *binding) {
	if !b.late {
		b.late = true
		l.sys.soon(func() {
			b.late = false
			l.drain(true)
		})
	}
}

func (l *loop) endService(s *service) {
	s.ended = true
	l.drain(true)
}

// pressed reports whether a handler that waits for its peer is needed for other exchanges.
func (s *service) pressed() bool { return s.pressable == nil || s.pressable.Pressed() }

// latest is the last successor of a service, or the service itself.
func (s *service) latest() *service {
	if s.next != nil {
		return s.next.latest
	}
	return s
}

// current brings the connection's service up to date. It is called before each request.
func (c *conn) current() { c.service = c.service.latest() }

// ending reports whether the connection is to end after the request in progress.
func (c *conn) ending() bool { return c.service.latest().ended || c.l.e.stopping.Load() }
