package rawhttp

import (
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// End says how a handler is ended whose client has gone.
type End struct {
	Tell    func()        // raises an error in the handler; called without mu
	Timeout time.Duration // how long the handler may then take; 0: any time
	Overdue func()        // ends the process; called without mu
}

// peer is what is known of the end of the peer of an exchange.
type peer struct {
	gone  bool
	told  bool // the handler is to end
	since time.Time
}

// Gone reports whether the client has closed the connection, or its sending side.
func (c *Conn) Gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peerGone()
}

func (c *Conn) peerGone() bool {
	if c.broken || c.eof || c.fd < 0 {
		return true
	}
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: pollPeerEnd}}
	n, _ := unix.Poll(fds, 0)
	return n > 0 && fds[0].Revents&(pollPeerEnd|unix.POLLHUP|unix.POLLERR) != 0
}

// lookAtPeer notes that the client of a running handler has gone, if that ends the handler.
func (c *Conn) lookAtPeer() {
	if c.cfg.End == nil || !c.running || c.peer.gone || !c.peerGone() {
		return
	}
	c.peer = peer{gone: true, since: time.Now()}
	c.setFlags(c.flags | shm.InPeerEnd)
	c.stirred = true
}

// peerEvents are the events that end a wait besides those that it waits for.
func (c *Conn) peerEvents() int16 {
	if c.cfg.End == nil || !c.running || c.peer.gone {
		return 0
	}
	return pollPeerEnd
}

// endHandler ends the handler if its client has gone, and the process if the handler does not end. It is part of a beat, and
// returns false if there is nothing more for that to do. It releases mu while it calls the functions of Config.End.
func (c *Conn) endHandler() bool {
	c.lookAtPeer()
	if !c.peer.gone {
		return true
	}
	end, number := c.cfg.End, c.number
	var call func()
	switch {
	case !c.peer.told:
		c.peer.told, call = true, end.Tell
	case end.Timeout > 0 && time.Since(c.peer.since) >= end.Timeout:
		c.peer.since, call = time.Now(), end.Overdue
	default:
		return true
	}
	c.mu.Unlock()
	call()
	c.mu.Lock()
	return c.running && c.fd >= 0 && c.number == number
}
