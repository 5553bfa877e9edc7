package pool

import (
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// A raw connection is an exchange without a request and a response. The worker that claims it asks for the connection's
// socket, gets it over its control socket, and is alone with the peer until it says that it has finished. All that the pool
// does in the meantime is to remember that this worker is at work.

// StartSocket implements backend.SocketBackend. A connection waits for a worker like a request. It is reset when it has
// waited for queue_timeout, or when there is no worker left to serve it.
func (l *loop) StartSocket(fd, listener int, local, remote netip.AddrPort) error {
	return l.StartSecuredSocket(fd, listener, local, remote, nil)
}

// StartCountedSocket implements backend.CountedSocketBackend. A connection has ended when its handler has. What its worker then still sends
// does not count.
func (l *loop) StartCountedSocket(fd, listener int, local, remote netip.AddrPort, ended func()) error {
	return l.startSocket(fd, listener, local, remote, nil, ended)
}

// StartSecuredSocket implements backend.SecuredSocketBackend.
func (l *loop) StartSecuredSocket(fd, listener int, local, remote netip.AddrPort, tls *backend.TLSState) error {
	return l.startSocket(fd, listener, local, remote, tls, nil)
}

func (l *loop) startSocket(fd, listener int, local, remote netip.AddrPort, tls *backend.TLSState, ended func()) error {
	c, err := l.reserve()
	if err != nil {
		return err
	}
	if err := c.putSocket(listener, local, remote, tls); err != nil {
		l.release(c)
		return err
	}
	c.x, c.kind = peerless{}, shm.KindSocket
	c.descriptor.holdSocket(fd, ended)
	c.idempotent = true // as long as no worker has the socket, nothing has happened
	l.living.Add(1)
	l.taken.Add(1)
	l.publish(c, l.on.Now())
	return nil
}

// putSocket writes into the window that there is a connection.
func (c *cell) putSocket(listener int, local, remote netip.AddrPort, tls *backend.TLSState) error {
	b := c.l.headBlock(shm.KindSocket, listener)
	b.Local, b.Remote = shm.AddressOf(local), shm.AddressOf(remote)
	b.Logged = c.l.p.h.cfg.RawAccess != nil
	if tls != nil {
		b.TLS = tls.Text
	}
	c.body.flags = shm.InEnd
	return c.put(&b, nil)
}

// setAway says whether the cell's worker is alone with a raw connection or a main handler, for an unknown time. No loop counts
// on such a worker for anything else, and it need not stay on the CPU of one.
func (c *cell) setAway(away bool) {
	if c.descriptor.away == away {
		return
	}
	c.descriptor.away = away
	w, n := c.worker, 1
	if !away {
		n = -1
	} else if w.pinned.Swap(false) {
		c.l.p.cpus.release(int(w.pid.Load()))
	}
	w.away.Add(int32(n))
	if c.state.open() {
		c.l.cells.handed += n
	}
	c.l.p.epoch.Add(1)
}

var (
	_ backend.SecuredSocketBackend = (*loop)(nil)
	_ backend.CountedSocketBackend = (*loop)(nil)
)
