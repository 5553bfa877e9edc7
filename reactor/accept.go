package reactor

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// acceptsPerTurn bounds how many connections are accepted before other events and tasks get their turn. The rest waits in
	// the kernel.
	acceptsPerTurn = 64
	// acceptsAtClose bounds what is accepted when the listener closes: a full queue.
	acceptsAtClose = backlogDefault
	// acceptPause is how long accepting pauses when the process or the system has run out of descriptors or memory. The
	// connections wait in the kernel. To retry at once would only use up time that closing connections needs. If there is
	// no descriptor after the pause either, the connections that wait are turned away: see spare.go.
	acceptPause = 100 * time.Millisecond
	// acceptLogPause bounds log lines about it to one a second per listening socket.
	acceptLogPause = int64(time.Second)
)

// acceptor accepts from one listening socket on its loop.
type acceptor struct {
	// Immutable.
	ln     *Listener
	loop   *Loop
	fd     int
	accept AcceptFunc
	refuse AcceptFunc // nil: connections wait for a descriptor
	again  func()     // acceptMore, made once

	// Owned by the loop.
	room     acceptRoom
	paused   bool // the last attempt ended in a pause
	waiting  bool // acceptMore will be called: there may be more connections, and no edge will report them
	closed   bool
	loggedAt int64 // ns; 0: never
}

func newAcceptor(ln *Listener, l *Loop, fd int, accept, refuse AcceptFunc) *acceptor {
	a := &acceptor{ln: ln, loop: l, fd: fd, accept: accept, refuse: refuse}
	a.again = a.acceptMore
	return a
}

// Ready is called on each edge: connections have arrived.
func (a *acceptor) Ready(Readiness) {
	if !a.waiting {
		a.acceptSome()
	}
}

// acceptMore continues after a full share or a pause.
func (a *acceptor) acceptMore() {
	a.waiting = false
	if !a.closed {
		a.acceptSome()
	}
}

// acceptSome accepts until no connection is left, the share is used up, or the system refuses.
func (a *acceptor) acceptSome() {
	more, errno := a.acceptUpTo(acceptsPerTurn)
	if errno != 0 {
		if a.paused && (errno == unix.EMFILE || errno == unix.ENFILE) {
			a.refuseSome()
		}
		a.paused = true
		a.pause(errno)
		return
	}
	a.paused = false
	if more {
		a.waiting = true
		a.loop.Post(a.again)
	}
}

// acceptUpTo accepts at most n connections. more says that there may be others. An error is one of the process or the
// system, not of a connection.
func (a *acceptor) acceptUpTo(n int) (more bool, err unix.Errno) {
	for range n {
		scarce.RLock()
		fd, peer, errno := accept(a.fd, &a.room)
		scarce.RUnlock()
		switch errno {
		case 0:
			a.accepted(fd, peer)
		case unix.EAGAIN:
			return false, 0
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN,
			unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH, unix.ETIMEDOUT:
			// An error of the connection, which accept passes on: that connection is gone, but the next may be fine.
		default:
			return true, errno
		}
	}
	return true, 0
}

// accepted passes a new connection on.
func (a *acceptor) accepted(fd int, peer netip.AddrPort) {
	switch {
	case a.incomplete():
		a.refuse(fd, peer)
		a.loop.spares.fill()
	default:
		a.ln.deal(a, fd, peer)
	}
}

// pause is the answer to EMFILE, ENFILE, ENOBUFS and ENOMEM, and to anything unexpected.
func (a *acceptor) pause(err error) {
	if now := a.loop.Clock(); a.loggedAt == 0 || now-a.loggedAt >= acceptLogPause {
		a.loggedAt = now
		a.ln.log.Error("accepting pauses", "loop", a.loop.index, "listener", a.ln.addr.String(), "err", err)
	}
	a.waiting = true
	a.loop.After(acceptPause, a.again)
}

// close closes the listening socket. Connections that are waiting are accepted first: for their peers the listener was open.
// The descriptor stays open until the end of the batch, but on Linux shutdown ends listening now. Elsewhere shutdown is an
// error, and a connection that arrives in this moment is reset.
func (a *acceptor) close() {
	a.closed = true
	if e := a.loop.lookup(a.fd); e == nil || e.handler != a {
		return
	}
	a.acceptUpTo(acceptsAtClose)
	unix.Shutdown(a.fd, unix.SHUT_RD)
	a.loop.Close(a.fd)
}
