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

// afterResponse is the beat of an exchange that is complete.
func (c *Conn) afterResponse() {
	if !c.settled {
		c.settle(c.cfg.Out.Flags.Load()&shm.OutClose != 0)
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
