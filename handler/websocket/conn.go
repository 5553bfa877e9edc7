package websocket

import (
	"errors"

	"moonbridge/handler/backend"
)

// Handler is told what happens on connections. All its calls come on the loop of the connection, one at a time, and must not block.
type Handler interface {
	// Open is the first call. It may use c in any way.
	Open(c *Conn)
	// Message is called for each message. data is a view that is valid until Message returns. The next one does not come before
	// c.Release if Message calls c.Hold.
	Message(c *Conn, kind Kind, data []byte)
	// Close is the last call. It is made once, when no message follows and nothing can be sent any more. code and reason are those of the close
	// frame that came first, of the peer or of this side. The code is CodeNone if the frame has none, and CodeAbnormal if the
	// connection ended without one.
	Close(c *Conn, code int, reason string)
}

// Errors of Send.
var (
	// ErrClosed: a close frame was sent or received, or the connection is gone.
	ErrClosed = errors.New("websocket: closed")
	// ErrBehind: the peer does not take what is sent to it, and the connection is closed with CodeTryLater.
	ErrBehind = errors.New("websocket: the peer takes too little")
	// ErrText: a text is not valid UTF-8.
	ErrText = errors.New("websocket: text is not valid UTF-8")
)

// Conn is a WebSocket connection. Only its loop may call its methods.
type Conn struct {
	// Value is the application's own.
	Value any

	// What each frame that is sent touches stands together: a message to many connections finds none of them in the cache.
	e    *Endpoint    // immutable
	loop *perLoop     // immutable
	raw  backend.Conn // immutable

	state   connState
	held    bool // the Handler wants no message now
	parsing bool // in parse, which flushes what is sent
	corked  bool // between Cork and Uncork
	giving  bool // in Handler.Message
	pinged  bool // a ping was sent, and nothing has come since
	owing   bool // bytes waited for the peer when Close was called, or late looked
	stuck   bool // the peer took nothing more when tick looked

	// Immutable.
	handler Handler
	deflate deflateParams // agreed parameters

	maxMessage int32 // bytes
	packed     bool  // messages may be compressed

	in     incoming
	out    *window // of sent messages; nil: there is no takeover
	bucket bucket
	timer  backend.Timer
	heard  int64 // when something came last, on the clock of the loop
	taken  int64 // what the peer had acknowledged when tick looked last
	code   int   // of the close frame that came first
	drains int   // the code to close with when the Handler does not hold any more; 0: none
	reason string
}

// connState is where a connection is in its life.
type connState uint8

const (
	connOpen    connState = iota // → closing, closed
	connClosing                  // a close frame was sent, and its answer is awaited. Messages are dropped. → closed
	connClosed                   // the Handler has been told. This is final.
)

// perLoop is what connections of one loop share.
type perLoop struct {
	backend.Loop
	header   []byte // room for a header or a control frame
	small    []byte // room for a small frame
	out      []byte // frames that are sent within parse, to be written together
	unpack   []byte // a decompressed message
	packed   []byte // a compressed message
	noWindow window
	counters counters
	check    bool // see backend.Checks
}

// sharedMax is how much of a buffer that connections share is kept.
const sharedMax = 64 << 10

// Open implements backend.Protocol.
func (c *Conn) Open(raw backend.Conn) backend.Stream {
	c.raw = raw
	c.loop = c.e.loopOf(raw.Loop())
	c.heard = c.loop.Now()
	c.e.conns.Add(1)
	c.loop.counters.accepted.Add(1)
	c.watch()
	c.tellOpen()
	return c
}

// Data implements backend.Stream.
func (c *Conn) Data(backend.Conn) {
	c.heard, c.pinged = c.loop.Now(), false
	c.parse()
}

// Room implements backend.Stream.
func (c *Conn) Room(backend.Conn) {
	c.stuck = false
	if r, ok := c.handler.(interface{ Room(*Conn) }); ok && c.state == connOpen {
		c.tellRoom(r)
	}
	c.parse()
}

// Closed implements backend.Stream.
func (c *Conn) Closed(_ backend.Conn, err error) {
	c.end(BecauseLost, CodeAbnormal, "")
	c.unwatch()
	c.e.conns.Add(-1)
}

// Drain implements backend.Drainer. What the Handler is at can still be answered.
func (c *Conn) Drain(backend.Conn) { c.CloseReleased(int(c.e.drainCode.Load())) }

// CloseReleased is Close after the next Release, or now if there is no Hold.
func (c *Conn) CloseReleased(code int) {
	if c.held {
		c.drains = code
	} else {
		c.Close(code, "")
	}
}

// Raw is the connection on the loop: for its addresses and its TLS. Whoever writes to it or closes it breaks the protocol.
func (c *Conn) Raw() backend.Conn { return c.raw }

// Loop is the loop of the connection.
func (c *Conn) Loop() backend.Loop { return c.raw.Loop() }

// Hold keeps further messages from the Handler. What the peer sends stays with it, except for up to 64 KiB; pings are answered up to the
// next message. When the engine drains, the connection is closed after Release, which ends it.
func (c *Conn) Hold() { c.held = true }

// Release lets messages come again. They do not come within the call.
func (c *Conn) Release() {
	if !c.held {
		return
	}
	c.held = false
	if c.drains != 0 {
		c.Close(c.drains, "")
	}
	c.again()
}

// again makes parse run in a later turn, unless it is running or has nothing to do.
func (c *Conn) again() {
	if !c.parsing && c.state != connClosed && (len(c.raw.Unread()) > 0 || c.in.inFrame || c.raw.Ended()) {
		c.loop.Post(c.parse)
	}
}
