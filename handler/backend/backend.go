package backend

import (
	"io"
	"net/netip"

	"moonbridge/httpparse"
)

// Backend runs exchanges for the engine: a pool of worker processes, or Go code in this process. It has an instance
// on every loop of the engine, so that an exchange never leaves its loop.
type Backend interface {
	// Attach creates the instance of the backend on loop l. It is called once for each loop, on that loop, before the first
	// exchange.
	Attach(l Loop) (LoopBackend, error)
}

// LoopBackend is the instance of a Backend on one loop. It is called on that loop only.
type LoopBackend interface {
	// Start takes an exchange. head and body are views that are valid during the call only. body is the part of the request
	// body that has arrived; more says that the rest will be put into the window of the returned Running.
	//
	// Start may call x.Addrs, and the methods of ConnKeeper. It makes no other call on x before it returns; after that it may, until Done or Failed.
	//
	// Start refuses an exchange with an error of this package. The engine answers ErrHeadTooLarge with 431, ErrBodyTooLarge
	// with 413, a TooMany with 429, and the others (ErrQueueFull, ErrNoWorker, ErrStopped) with 503. Any other error is a fault of the backend
	// and is answered with 500.
	Start(x Exchange, head *httpparse.Head, listener int, body []byte, more bool) (Running, error)
}

// FileBackend is implemented by a LoopBackend that takes request bodies in files. Without it, a large body goes through the
// window of the Running while the handler runs.
type FileBackend interface {
	// StartFile is Start for a request whose whole body is in a file. Unless it returns an error, the backend owns the file. It
	// closes the file when the handler has ended, which may be long after the end of the exchange. trailer is the trailer
	// section of a chunked body, as in Trailered.BodyTrailer, or empty.
	StartFile(x Exchange, h *httpparse.Head, listener int, body File, trailer []byte) (Running, error)
}

// File is a request body in an unnamed file. Any goroutine may call its methods, but none after Close.
type File interface {
	io.ReaderAt
	// Size is the length of the body in bytes.
	Size() int64
	// Open opens the file once more, for reading. The caller closes the descriptor.
	Open() (fd int, err error)
	// Close gives back the descriptor and the room on the disk.
	Close() error
}

// Overlapping is implemented by a LoopBackend that bounds how many exchanges of one connection are in progress at a time. A
// peer that sends requests without waiting for the responses should not keep other peers waiting. Without it, the engine's
// limit alone applies.
type Overlapping interface {
	// Overlap is how many exchanges of one connection may be in progress now, at least 1.
	Overlap() int
}

// Pressable is implemented by a LoopBackend that can say whether its handlers are scarce. Without it they are taken to be: what a
// peer does not take of a large response is then spooled at once, if the engine's limits allow that.
type Pressable interface {
	// Pressed reports whether exchanges wait for a handler.
	Pressed() bool
}

// SocketBackend is implemented by a LoopBackend that takes whole connections from which the engine has read nothing.
type SocketBackend interface {
	// StartSocket takes the connection with the non-blocking socket fd. It owns fd from then on, unless it returns an
	// error. Its errors are those of Start.
	StartSocket(fd int, listener int, local, remote netip.AddrPort) error
}

// CountedSocketBackend is implemented by a SocketBackend that tells when a connection has ended.
type CountedSocketBackend interface {
	SocketBackend
	// StartCountedSocket is StartSocket. The backend calls ended once, on any goroutine, when the connection has ended, unless it returns an
	// error.
	StartCountedSocket(fd int, listener int, local, remote netip.AddrPort, ended func()) error
}

// StartCounted calls StartCountedSocket of b. For a backend without it, the connection has ended when it was taken.
func StartCounted(b SocketBackend, fd int, listener int, local, remote netip.AddrPort, ended func()) error {
	if c, ok := b.(CountedSocketBackend); ok {
		return c.StartCountedSocket(fd, listener, local, remote, ended)
	}
	err := b.StartSocket(fd, listener, local, remote)
	if err == nil {
		ended()
	}
	return err
}

// SecuredSocketBackend is implemented by a SocketBackend that wants to know of the TLS which the engine has taken off a connection.
type SecuredSocketBackend interface {
	SocketBackend
	// StartSecuredSocket is StartSocket for a connection with TLS.
	StartSecuredSocket(fd int, listener int, local, remote netip.AddrPort, tls *TLSState) error
}
