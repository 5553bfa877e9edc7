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
	read  func(fd int, p []byte) (n int, errno syscall.Errno)
	write func(fd int, p []byte) (n int, errno syscall.Errno)
	// writeMore is write for bytes that others follow at once.
	writeMore func(fd int, p []byte) (n int, errno syscall.Errno)
	writev    func(fd int, a, b []byte) (n int, errno syscall.Errno)
	sendFile  func(fd, file int, offset, n int64) (sent int64, errno syscall.Errno)
	// inMemory reports whether a range of a local file can be read without waiting for a disk, as far as the system tells.
	inMemory func(file int, offset, n int64) bool
	// Calls that may wait, which goroutines make: to read a range and forget it, and to read up to len(p) bytes.
	readAll  func(file int, offset, n int64) error
	readFile func(file int, p []byte, offset int64) (n int, err error)
	// startRead runs a function with such calls soon.
	startRead     func(mount uint64, fn func())
	shutdownWrite func(fd int) error
	// farewell tells the peer in TLS that nothing more will be sent. false: that waits for the peer, like the byte that a short
	// write leaves. more: the socket is shut down or closed at once, with nothing unread. nil: the connection has no TLS.
	farewell func(fd int, more bool) bool
	// unacknowledged is how many bytes the peer has not acknowledged; -1: unknown.
	unacknowledged func(fd int) int64
	// breakAfter breaks a connection whose peer acknowledges nothing for so many milliseconds.
	breakAfter   func(fd int, ms uint64)
	resetOnClose func(fd int) error

	// splice moves bytes between a socket and a pipe; nil: it cannot.
	splice func(from, to, n int) (moved int, errno syscall.Errno)

	// What the loop does for a connection.
	add   func(fd int, h reactor.Handler) error
	close func(fd int)
	hand  func(fd int, h reactor.Handler)
	leave func(fd int) error
	// pending reports whether there is an event of fd that was not told yet.
	pending func(fd int) bool
	// duplicate makes a net.Conn with a descriptor of its own.
	duplicate func(fd int) (net.Conn, error)
	post      func(fn func()) bool
	// soon is post for the loop itself: at the end of this turn.
	soon        func(fn func())
	setTimer    func(t *timers.Timer, deadlineMS uint64)
	cancelTimer func(t *timers.Timer) bool

	// nowMS is the time at which the turn began, on the clock of the timers. Each call from outside reads it once and
	// passes it on as an argument.
	nowMS func() uint64
	// wallClock is the time of day: for Date fields and the access log.
	wallClock func() time.Time
}

// joined calls fn, which writes bytes that others follow at once. Other writes do not pay for the question whether they are such.
func (s *system) joined(fn func()) {
	write := s.write
	s.write = s.writeMore
	fn()
	s.write = write
}

// systemOf returns the system of a server's loop, which counts its bytes in t.
func systemOf(r *reactor.Loop, t *traffic) system {
	s := system{
		inMemory:      reactor.InMemory,
		readAll:       reactor.ReadAll,
		readFile:      reactor.Pread,
		shutdownWrite: reactor.ShutdownWrite,

		unacknowledged: func(fd int) int64 { return int64(reactor.Unacknowledged(fd)) },
		breakAfter:     reactor.BreakAfter,

		resetOnClose: reactor.SetLinger0,
		add:          r.Add,
		close:        r.Close,
		hand:         r.Hand,
		leave:        r.Leave,
		pending:      r.Pending,
		duplicate:    duplicate,
		post:         r.Post,
		soon:         r.Soon,
		setTimer:     r.SetTimer,
		cancelTimer:  r.CancelTimer,
		nowMS:        r.NowMS,
		wallClock:    time.Now,
	}
	t.counted(&s)
	if reactor.CanSplice {
		s.splice = reactor.Splice
	}
	return s
}
