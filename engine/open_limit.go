package engine

import (
	"net/netip"
	"sync"
	"syscall"

	"moonbridge/handler/backend"
)

// OpenLimit bounds how many connections of a listener each client has open: see Listener.SetOpenLimit. Calls overlap. client is not
// valid for a Unix socket.
type OpenLimit interface {
	// Opened counts a connection of a client. It is called on the loops. false: the connection is not served, and was not counted.
	Opened(client netip.Addr) bool
	// Closed is called once for each connection that was counted, when it has ended, on any goroutine.
	Closed(client netip.Addr)
}

// SetOpenLimit limits the open connections of ln, as SetConnLimit limits new ones: those that limit does not admit are reset before
// anything is read. What SetConnLimit says of prefaces, and of when it has an effect, holds here too. A connection ends when its
// socket is closed, whatever it has become: HTTP/2, or a raw or spliced connection. A hijacked or detached one ends when the program
// closes it, or when the garbage collector finds it. One of ServeSockets ends when its backend says so (backend.CountedSocketBackend);
// without that, when it is handed over. Connections that are open already are not counted.
func (ln *Listener) SetOpenLimit(limit OpenLimit) { ln.openLimit.Store(&limit) }

// openLimitOf is the limit that was set, or nil.
func (ln *Listener) openLimitOf() OpenLimit {
	if limit := ln.openLimit.Load(); limit != nil {
		return *limit
	}
	return nil
}

// place is a connection's among those that its client may have open.
type place struct {
	limit  OpenLimit
	client netip.Addr
}

// keepPlaces makes the loop give back places when it closes descriptors. Loops without such a limit do not look for any. Calls of the
// parts for TLS end in this one; streams of HTTP/2 have no descriptors.
func (l *loop) keepPlaces() {
	if l.places != nil {
		return
	}
	l.places = make(map[int]place)
	closeFD := l.sys.close
	l.sys.close = func(fd int) {
		l.leavePlace(fd)
		closeFD(fd)
	}
}

// enters reports whether a new connection of b may be open beside the others of its client. Then it has a place until its descriptor is
// closed or given away.
func (l *loop) enters(b *binding, fd int, client netip.Addr) bool {
	if !b.open.Opened(client) {
		return false
	}
	l.places[fd] = place{b.open, client}
	return true
}

// leavePlace gives back the place of a descriptor, if it has one.
func (l *loop) leavePlace(fd int) {
	if p, ok := l.places[fd]; ok {
		delete(l.places, fd)
		p.limit.Closed(p.client)
	}
}

// takePlace takes the place of a descriptor that leaves the loop. end gives it back, once however often it is called; nil: there is none.
func (l *loop) takePlace(fd int) (end func()) {
	if l.sealed != nil {
		l = l.sealed.first
	}
	p, ok := l.places[fd]
	if !ok {
		return nil
	}
	delete(l.places, fd)
	return sync.OnceFunc(func() { p.limit.Closed(p.client) })
}

// closeNow closes a connection that the reactor does not know.
func (l *loop) closeNow(fd int) {
	l.leavePlace(fd)
	syscall.Close(fd)
}

// resetNow is closeNow with a RST: the connection was not served.
func (l *loop) resetNow(fd int) {
	l.leavePlace(fd)
	resetNow(fd)
}

// startSocket gives a connection to the backend, with its place.
func (l *loop) startSocket(s *socketService, fd int, local, remote netip.AddrPort) error {
	end := l.takePlace(fd)
	if end == nil {
		return s.backend.StartSocket(fd, s.index, local, remote)
	}
	err := backend.StartCounted(s.backend, fd, s.index, local, remote, end)
	if err != nil {
		end()
	}
	return err
}
