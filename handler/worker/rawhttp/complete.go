package rawhttp

import (
	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// A handler may run on after its response is complete. The next request has to wait for it, since this worker serves the
// connection. But the client need not: what it can see of the end, it sees at once.

// complete reports that the handler still runs although the kernel has all of its response.
func (c *Conn) complete() bool {
	return c.running && c.fd >= 0 && c.cfg.Out.Flags.Load()&shm.OutComplete != 0 && !c.unsent()
}

// leaveBody gives up what is missing of the body when the handler has finished the response.
func (c *Conn) leaveBody() {
	if c.running && c.body.Missing() && c.cfg.Out.Flags.Load()&shm.OutComplete != 0 {
		c.abortBody(false)
	}
}

// afterResponse is the beat of an exchange that is complete.
func (c *Conn) afterResponse() {
	ends := c.cfg.Out.Flags.Load()&shm.OutClose != 0
	if !c.settled {
		c.settle(ends)
	}
	if ends {
		c.throwAway()
	}
	if passed(c.respondAt) || c.peerGone() {
		c.cancel() // a handler of HEAD may still be writing
	}
}

// settle has the peer see a regular end even if this process dies now. ends: it sees the end of the connection at once.
func (c *Conn) settle(ends bool) {
	c.settled = true
	c.cfg.Settled.Store(1)
	unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
	if ends {
		unix.Shutdown(c.fd, unix.SHUT_WR)
	}
}

// throwAway reads what the peer of a connection that ends still sends. If this process died with bytes unread, the kernel would send a RST,
// which may destroy the response on its way.
func (c *Conn) throwAway() {
	c.input.Discard(c.input.Len())
	for c.thrown <= lingerBytesMax {
		n := c.read(c.input.Reserve(c.cfg.Pool, roomMin)) // never committed
		if n == 0 {
			return
		}
		c.thrown += n
	}
}

// unsettle undoes settle, before the next exchange: the death of this process is a reset of the connection.
func (c *Conn) unsettle() {
	if !c.settled {
		return
	}
	c.settled = false
	c.cfg.Settled.Store(0)
	if c.fd >= 0 {
		unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
}
