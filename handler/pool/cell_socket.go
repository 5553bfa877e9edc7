package pool

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// A raw connection is an exchange without a request and a response. The worker that claims it asks for the connection's
// socket, gets it over its control socket, and is alone with the peer until it says that it has finished. All that the pool
// does in the meantime is to remember that this worker is at work.

// takeSpan is how long a worker may take to take a socket that has been sent to it. If it was sent one because another
// worker has destroyed its flags, it has thrown that one away, and waits for another that never comes. A variable for tests.
var takeSpan = 30 * time.Second

// socket is the raw connection of an exchange.
type socket struct {
	state  socketState
	fd     int   // socketHeld
	passed int64 // socketPassed: since when
	away   bool  // counted in Worker.away, and in loop.cells.handed while the cell is open
}

// socketState is where the socket of a cell's exchange is.
type socketState uint8

const (
	// socketNone: it has none, or none any more.
	socketNone socketState = iota
	// socketHeld: the cell owns the descriptor. Next: passed, none (closed).
	socketHeld
	// socketPassed: the worker has it, and has not taken its request for it back. Next: settled, none.
	socketPassed
	// socketSettled: the worker has it, and may not ask again. Next: none.
	socketSettled
)

// hold takes ownership of a descriptor.
func (s *socket) hold(fd int) { s.state, s.fd = socketHeld, fd }

// pass lets go of the descriptor: the worker has one of its own.
func (s *socket) pass(now int64) {
	unix.Close(s.fd)
	s.state, s.fd, s.passed = socketPassed, -1, now
}

// settle notes that the worker does not ask for a socket, or no longer.
func (s *socket) settle() {
	if s.state == socketPassed {
		s.state = socketSettled
	}
}

// late reports whether a worker has not taken the socket that it was sent.
func (s *socket) late(now int64) bool { return now-s.passed >= int64(takeSpan) }

// close closes the descriptor if it is still here. reset: the peer is to know that it was not served.
func (s *socket) close(reset bool) {
	if s.state == socketHeld {
		if reset {
			unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		unix.Close(s.fd)
	}
	s.state, s.fd = socketNone, -1
}

// StartSocket implements backend.SocketBackend. A connection waits for a worker like a request. It is reset when it has
// waited for queue_timeout, or when there is no worker left to serve it.
func (l *loop) StartSocket(fd, listener int, local, remote netip.AddrPort) error {
	c, err := l.reserve()
	if err != nil {
		return err
	}
	if err := c.putSocket(listener, local, remote); err != nil {
		l.release(c)
		return err
	}
	c.x, c.kind = peerless{}, shm.KindSocket
	c.socket.hold(fd)
	c.idempotent = true // as long as no worker has the socket, nothing has happened
	l.living.Add(1)
	l.taken.Add(1)
	l.publish(c, l.on.Now())
	return nil
}

// putSocket writes into the window that there is a connection.
func (c *cell) putSocket(listener int, local, remote netip.AddrPort) error {
	b := c.l.headBlock(shm.KindSocket, listener)
	b.Local, b.Remote = shm.AddressOf(local), shm.AddressOf(remote)
	b.Logged = c.l.p.h.cfg.RawAccess != nil
	c.body.flags = shm.InEnd
	return c.put(&b, nil)
}

// wantsSocket takes note of whether the worker wants the connection's socket. false: it is at fault, and the exchange over.
func (c *cell) wantsSocket(wants bool, now int64) bool {
	s := &c.socket
	switch {
	case !wants:
		s.settle()
	case s.state == socketHeld:
		c.passSocket(now)
	case s.state != socketPassed:
		c.violated("asks for a socket that it must not have")
		return false
	case s.late(now):
		c.violated("does not take the socket that it asked for")
		return false
	}
	return true
}

// passSocket gives the socket to the worker. If that fails the worker is ended, and another one gets the connection.
func (c *cell) passSocket(now int64) {
	w := c.worker
	if w.gone.Load() || w.fault.Load() != nil {
		return
	}
	if err := w.pass(c.socket.fd); err != nil {
		w.kill(fmt.Sprintf("does not take a socket: %v", err))
		return
	}
	c.socket.pass(now)
	c.countWorker()
	c.setAway(true)
}

// setAway says whether the cell's worker is alone with a raw connection or a main handler, for an unknown time. No loop counts
// on such a worker for anything else, and it need not stay on the CPU of one.
func (c *cell) setAway(away bool) {
	if c.socket.away == away {
		return
	}
	c.socket.away = away
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

var _ backend.SocketBackend = (*loop)(nil)
