package engine

import (
	"net"
	"syscall"
	"time"

	"moonbridge/reactor"
	"moonbridge/timers"
)

// system is everything that connections use of the world outside: their sockets, the timers, the clock. A server takes it
// from package reactor; tests put a scripted peer and a fake clock in its place. It is a struct of functions because a
// test replaces it for one loop, while other tests of the package use real sockets.
type system struct {
	// Calls on a connection's socket, as in package reactor.
	read          func(fd int, p []byte) (n int, errno syscall.Errno)
	write         func(fd int, p []byte) (n int, errno syscall.Errno)
	writev        func(fd int, a, b []byte) (n int, errno syscall.Errno)
	sendFile      func(fd, file int, offset, n int64) (sent int64, errno syscall.Errno)
	shutdownWrite func(fd int) error
	// unacknowledged is how many bytes the peer has not acknowledged; -1: unknown.
	unacknowledged func(fd int) int
	resetOnClose   func(fd int) error

	// What the loop does for a connection.
	add   func(fd int, h reactor.Handler) error
	close func(fd int)
	// detach is close, but the connection goes on as the result.
	detach      func(fd int) (net.Conn, error)
	post        func(fn func()) bool
	setTimer    func(t *timers.Timer, deadlineMS uint64)
	cancelTimer func(t *timers.Timer) bool

	// nowMS is the time at which the turn began, on the clock of the timers. Each call from outside reads it once and
	// passes it on as an argument.
	nowMS func() uint64
	// wallClock is the time of day: for Date fields and the access log.
	wallClock func() time.Time
}

// systemOf returns the system of a server's loop.
func systemOf(r *reactor.Loop) system {
	return system{
		read:          reactor.Read,
		write:         reactor.Write,
		writev:        reactor.Writev,
		sendFile:      reactor.SendFile,
		shutdownWrite: reactor.ShutdownWrite,

		unacknowledged: reactor.Unacknowledged,

		resetOnClose: reactor.SetLinger0,
		add:          r.Add,
		close:        r.Close,
		detach:       r.Detach,
		post:         r.Post,
		setTimer:     r.SetTimer,
		cancelTimer:  r.CancelTimer,
		nowMS:        r.NowMS,
		wallClock:    time.Now,
	}
}
