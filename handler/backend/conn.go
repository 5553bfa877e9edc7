package backend

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// Protocol speaks something other than HTTP on connections of a loop.
type Protocol interface {
	// Open is called on the loop for a new connection, accepted, dialed or upgraded. What it returns hears of everything that
	// follows. nil refuses the connection, which is reset. Open may call any method of c.
	Open(c Conn) Stream
}

// Stream is a protocol's side of one connection. All its calls come on the loop of the connection, one at a time, and none
// within a call on the Conn: what a call on the Conn causes is told after the Stream has returned.
type Stream interface {
	// Data says that c.Unread has bytes that it did not have before, or that c.Ended has become true. Bytes that are not
	// discarded stay, up to Bounds.Input; at that bound nothing more is read until some are discarded. Data is not called
	// while c is paused.
	Data(c Conn)
	// Room says that c is no longer Full because of what it held. It is not called if c cannot send any more.
	Room(c Conn)
	// Closed is the last call. err says why the connection has ended. It is nil if this side has closed it and everything was
	// sent, if this side has reset it, or if both sides have finished sending. A peer that is gone is noticed by reading or writing: not while c is paused
	// and writes nothing. If a write has failed, what the peer had sent before is still passed to Data, unless none of it is
	// taken for the time of Bounds.Linger, because c is paused for example.
	Closed(c Conn, err error)
}

// Drainer is implemented by a Stream that can end its connection in the way of its protocol. Without it, an accepted or upgraded
// connection continues when the engine drains or its listener is closed, until it ends or the time of Engine.Shutdown is over.
type Drainer interface {
	// Drain says that the connection is to end soon. It is called at most once, and not for dialed connections.
	Drain(c Conn)
}

// Conn is a connection on a loop. Only its loop may call it. After Stream.Closed, and after a successful Detach, every method
// does nothing.
type Conn interface {
	// Unread returns the bytes that were read and not discarded. It is a view, valid until the Stream returns or discards.
	Unread() []byte
	// Discard drops the first n unread bytes. It panics if there are fewer, unless Close was called or the connection has ended: then all
	// of them are gone. It may be called outside Data too, and then makes the connection read on if Unread was at its bound.
	Discard(n int)
	// Ended reports whether the peer has finished sending and Unread holds its last bytes. This side may still send.
	Ended() bool

	// Write sends p, or keeps a copy of what the socket does not take. It never blocks. An error is reported by Stream.Closed. It keeps
	// bytes beyond Bounds.Output too: a protocol that does not stop when Full reports true has no bound.
	Write(p []byte)
	// Writev is Write for a, then b, in one system call.
	Writev(a, b []byte)
	// Held is the number of bytes that wait for the peer.
	Held() int
	// Full reports whether to stop writing: Held has been above Bounds.Output, and not yet at half of it since. Stream.Room follows
	// then. It is also true when the connection cannot send any more, because it is broken, closed, or finished by CloseWrite; Room
	// does not follow then.
	Full() bool

	// Pause stops reading, so that TCP slows the peer down. Resume goes on; Stream.Data follows if there are unread bytes. Meanwhile
	// nothing tells that the peer has ended or reset the connection, since what it has sent before may still be read: a deadline,
	// Bounds.Idle and writes that fail end it.
	Pause()
	Resume()
	// Follow makes Data pause while o is Full because of what it holds. It is the back-pressure of a relay in one call. When o has
	// room again, Data follows if there are unread bytes. It ends when o does. o is on the same loop. nil ends it.
	Follow(o Conn)
	// Splice sends all further bytes of this connection to o, unread ones first, with back-pressure and half-close, and without
	// copying them to this process where the system can (splice(2)). Stream.Data is not called any more. o is on the same loop. When
	// o ends before c does, c is paused: Stream.Closed of o decides what becomes of it.
	Splice(o Conn)

	// SetDeadline ends the connection with os.ErrDeadlineExceeded after d, unless it is called again before. 0: never; negative: at once.
	// The time of Bounds.Idle begins anew with each call.
	SetDeadline(d time.Duration)
	// CloseWrite finishes sending (FIN), after what is held. The peer may still send.
	CloseWrite()
	// Close ends the connection, after what is held, in the way that lets the peer read all of it (RFC 9112 §9.6).
	Close()
	// Reset ends the connection at once (RST). What is held is lost.
	Reset()
	// Detach takes the connection off the loop, for goroutines. Reads of the net.Conn return the unread bytes first, and what is
	// held is sent before anything that is written to it. There is no further call of the Stream. The error is net.ErrClosed
	// after Close, if the connection is broken, or if the FIN of CloseWrite still waits for what is held; or it is that of the system, or says
	// that the connection is a stream of HTTP/2, which cannot leave its loop. Then nothing has changed.
	Detach() (net.Conn, error)

	// Addrs returns the two ends of a TCP connection. They are not valid on a Unix socket.
	Addrs() (local, remote netip.AddrPort)
	// Loop is the loop of the connection.
	Loop() Loop
}

// Bounds of the connections of a Protocol. 0 stands for the default.
type Bounds struct {
	Input  int           // unread bytes, default 64 KiB
	Output int           // held bytes above which Conn.Full is true, default 256 KiB
	Idle   time.Duration // without a byte in either direction, after which the connection is closed; up to twice that if the peer takes no more output; default none
	Linger time.Duration // how long Close waits for a peer that takes nothing of what is held or on its way, default 5 s
}

// Address is where Loop.Dial connects to: AddrPort, or the Unix socket Path if that is not empty. Names are not looked up: a
// loop must not wait.
type Address struct {
	AddrPort netip.AddrPort
	Path     string
}

// DialOptions are the options of Loop.Dial.
type DialOptions struct {
	// Timeout for the connection to be established, default 10 s.
	Timeout time.Duration
	// From is the local address. If it is not valid, the system chooses.
	From netip.Addr
	// Bounds of the connection.
	Bounds Bounds
	// First is sent when the connection is established, before anything else and without TLS: a header of the PROXY protocol, for
	// example. It must not be changed before the attempt is over.
	First []byte
	// TLS makes the connection speak TLS, as a client. The handshake is part of what Timeout bounds. The configuration is used as it is:
	// it needs a ServerName or InsecureSkipVerify. nil: no TLS.
	TLS *tls.Config
}

// HandshakeError is the error of an attempt whose TLS handshake has failed: the other end was reached.
type HandshakeError struct{ Err error }

func (e *HandshakeError) Error() string { return "TLS handshake: " + e.Err.Error() }

// Unwrap returns the error of crypto/tls or of the system.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Progress is implemented by every Conn of an engine.
type Progress interface {
	// Progress tells how much the peer takes. taken grows when it acknowledges bytes that were written, and left is how many it has not
	// acknowledged. It needs a system call.
	Progress() (taken, left int64)
}

// Quiet is implemented by every Conn of an engine.
type Quiet interface {
	// Quiet reports whether the peer has sent nothing that was not read, and has not ended, as far as the loop knows. What is among the
	// events that it has fetched and not handled yet counts, except on kqueue. It needs no system call.
	Quiet() bool
}

// Bounded is implemented by every Conn of an engine.
type Bounded interface {
	// InputFull reports whether Unread has Bounds.Input: nothing more is read before some of it is discarded.
	InputFull() bool
}

// Expendable is implemented by every Conn of an engine.
type Expendable interface {
	// SetExpendable says whether the connection is only kept for later. When the process has no room for the connection of a new client, the
	// engine closes one of these that is on the loop of the client, and Stream.Closed is called. It has no effect when the connection has ended.
	SetExpendable(yes bool)
}

// Dialer is implemented by every Loop of an engine.
type Dialer interface {
	// Dial opens a connection on this loop. p.Open is called on the loop when it is established, otherwise failed. Neither is
	// called before Dial returns, and neither after cancel. It also works while the engine drains. It may be called on the loop
	// only, and panics if p or failed is nil.
	Dial(to Address, o DialOptions, p Protocol, failed func(error)) (cancel func())
}

// Secured is implemented by every Conn and every Exchange of an engine, and by what backends put in place of an Exchange.
type Secured interface {
	// TLS returns what is known about the connection's TLS, or nil without. It is called on the loop.
	TLS() *TLSState
}

// TLSOf is TLS of an Exchange or a Conn, or nil if it is not Secured.
func TLSOf(x any) *TLSState {
	if s, ok := x.(Secured); ok {
		return s.TLS()
	}
	return nil
}

// Upgrader is implemented by every Exchange of an engine.
type Upgrader interface {
	// Upgrade sends head, a complete 101 response or the 2xx response to CONNECT, and hands the connection over to p, unread bytes
	// first. The exchange is over. It fails, and changes nothing, if part of a final response was output, if the request body is
	// not complete, or if responses to earlier requests of the connection are not.
	Upgrade(head []byte, p Protocol, b Bounds) error
	// Hijack is Upgrade for goroutines: conn has left the loop, and its reads return the unread bytes first. A head that is empty is
	// not sent.
	Hijack(head []byte) (conn net.Conn, err error)
}
