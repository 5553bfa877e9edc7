package pool

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// A raw connection is an exchange without a request and a response: the worker that claims it asks for the connection's
// socket, gets it over its control socket, and is alone with the peer until it says that it is through. All that the pool
// does meanwhile is to remember that this worker is at work.

// socketState is where the socket of a cell's exchange is.
type socketState uint8

const (
	// socketNone: it has none, or has none any more.
	socketNone socketState = iota
	// socketHeld: the cell owns the descriptor. Next: passed, none (closed).
	socketHeld
	// socketPassed: the worker has it, and has not taken its question back. Next: settled, none.
	socketPassed
	// socketSettled: the worker has it, and may not ask again. Next: none.
	socketSettled
)

// StartSocket implements backend.SocketBackend. A connection waits for a worker like a request, and is reset when it has
// waited for queue_timeout, or when there is nobody left to serve it.
func (l *loop) StartSocket(fd, listener int, local, remote netip.AddrPort) error {
	c, err := l.reserve()
	if err != nil {
		return err
	}
	if err := c.putSocket(listener, local, remote); err != nil {
		l.release(c)
		return err
	}
	c.x, c.kind = socketExchange{}, shm.KindSocket
	c.socket, c.fd = socketHeld, fd
	c.idempotent = true // as long as nobody has the socket, nothing has happened
	l.living.Add(1)
	l.taken.Add(1)
	l.publish(c)
	return nil
}

// putSocket writes where the worker finds it that there is a connection.
func (c *cell) putSocket(listener int, local, remote netip.AddrPort) error {
	b := c.l.headBlock(shm.KindSocket, listener)
	b.Local, b.Remote = shm.AddressOf(local), shm.AddressOf(remote)
	c.flags = shm.InEnd
	return c.put(&b, nil)
}

// takeSpan is how long a worker may take to take a socket that has been sent to it. If it was sent one because another
// worker has destroyed its flags, it has thrown that away, and waits for one that does not come. A variable for tests.
var takeSpan = 30 * time.Second

// wantsSocket takes note of whether the worker wants the connection's socket. false: it must not.
func (c *cell) wantsSocket(wants bool) bool {
	switch {
	case !wants:
		if c.socket == socketPassed {
			c.socket = socketSettled
		}
	case c.socket == socketHeld:
		c.passSocket()
	case c.socket != socketPassed:
		c.violated("wants a socket that it must not have")
		return false
	case c.l.on.Now()-c.passed >= int64(takeSpan):
		c.violated("does not take the socket that it wants")
		return false
	}
	return true
}

// passSocket gives the socket to the worker. If that fails the worker is ended, and another one gets the connection.
func (c *cell) passSocket() {
	w := c.worker
	if w.gone.Load() || w.condemned.Load() != nil {
		return
	}
	if err := w.pass(c.fd); err != nil {
		w.condemn(fmt.Sprintf("does not take a socket: %v", err))
		return
	}
	unix.Close(c.fd)
	c.socket, c.fd, c.passed = socketPassed, -1, c.l.on.Now()
	c.count()
	c.setAway(true)
}

// closeSocket closes the socket if it is still here. reset: the peer shall know that it was not served.
func (c *cell) closeSocket(reset bool) {
	if c.socket == socketHeld {
		if reset {
			unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		unix.Close(c.fd)
	}
	c.socket, c.fd = socketNone, -1
}

// setAway says whether the cell's worker is alone with a raw connection, for nobody knows how long: then no loop counts on
// it for anything else, and it need not stay on the CPU of one.
func (c *cell) setAway(away bool) {
	if c.away == away {
		return
	}
	c.away = away
	w, n := c.worker, 1
	if !away {
		n = -1
	} else if w.pinned.Swap(false) {
		c.l.p.cpus.release(int(w.pid.Load()))
	}
	w.away.Add(int32(n))
	if c.state.open() {
		c.l.handed += n
	}
	c.l.p.epoch.Add(1)
}

// pass gives the worker a descriptor, of which the caller keeps its own. It does not block: a worker that has left so much
// unread that there is no room hangs.
func (w *Worker) pass(fd int) error {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(fd)
	failed := raw.Write(func(to uintptr) bool {
		for {
			_, err = unix.SendmsgN(int(to), []byte{shm.CtlSocket}, rights, nil, unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return true
			}
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// socketExchange is the backend.Exchange of raw connections. They have no response; whatever a worker writes all the same is
// thrown away.
type socketExchange struct{}

func (socketExchange) Output(a, b []byte, _ bool) int { return len(a) + len(b) }

func (socketExchange) Done(backend.End) {}

func (socketExchange) Failed(int, time.Duration) {}

func (socketExchange) BodyRoom() {}

func (socketExchange) BodyWanted() {}

func (socketExchange) Addrs() (local, remote netip.AddrPort) { return }

var _ backend.SocketBackend = (*loop)(nil)
