package websocket

import (
	"cmp"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
)

// Options are the limits of an Endpoint's connections. 0 stands for the default.
type Options struct {
	// MaxMessage is the largest message that is received, after decompression. A larger one ends the connection with 1009. Default 1
	// MiB.
	MaxMessage int
	// MaxHeld is how many bytes may wait for a peer that does not take them. Beyond that the connection ends with 1013. Messages of a peer
	// are not passed on while more than a quarter of it waits. Until then, one more message of any size may wait. Default 1 MiB.
	MaxHeld int
	// Rate is how many messages a second are passed on, on average, and Burst how many at once. A peer that sends more has to wait. Default: no
	// limit. The default of Burst is Rate, at least 1. An Answer may say otherwise for its connection.
	Rate  float64
	Burst int
	// Ping is after which time without a byte from the peer it is sent a ping, and Pong the time in which something has to come
	// then. Default 30 s each; negative: no pings.
	Ping, Pong time.Duration
	// Close is how long this side waits for the answer to its close frame, or for the peer to take more of what was sent before. Default 5 s.
	Close time.Duration
	// Budget for messages that have arrived in part. A connection for whose message there is nothing left ends with 1013. Default: 256
	// MiB for the Endpoint.
	Budget *Budget
	// Compression of messages. nil: none.
	Compression *Compression
	// Logger receives the panics of Handlers and of Server.Accept, with their stacks: 50 a second, and 500 at once. nil: slog.Default().
	Logger *slog.Logger
}

// Compression is how an Endpoint compresses (RFC 7692).
type Compression struct {
	// Takeover keeps what was sent and received last in memory, so that messages that resemble earlier ones become smaller. It needs up to
	// 2 << WindowBits bytes for a connection. Without it, and always for a client that does not want it, messages are compressed each by
	// itself.
	Takeover bool
	// WindowBits is the binary logarithm of how much is kept in each direction, from 8 to 15. Default 15: 32 KiB.
	WindowBits int
	// Level is that of the DEFLATE encoder, from 1 to 6. Default 1.
	Level int
	// Min is the smallest message that is compressed. Default 128 bytes.
	Min int
}

const (
	maxMessageDefault = 1 << 20
	maxHeldDefault    = 1 << 20
	pingDefault       = 30 * time.Second
	pongDefault       = 30 * time.Second
	closeDefault      = 5 * time.Second
	budgetDefault     = 256 << 20
	compressMin       = 128
	compressMax       = 256 << 10 // a larger message is sent as it is: the loop compresses, and others wait
)

func (o *Compression) windowBits() uint8 {
	if o.WindowBits == 0 {
		return windowBitsMax
	}
	return uint8(min(max(o.WindowBits, windowBitsMin), windowBitsMax))
}

func (o *Compression) level() int { return min(max(o.Level, 1), 6) }

// Endpoint has what its connections share. Any goroutine may use it.
type Endpoint struct {
	o         Options
	bounds    backend.Bounds
	deflate   *deflater // nil: no compression
	loops     sync.Map  // of *perLoop, by backend.Loop
	drainCode atomic.Int32
	conns     atomic.Int64
	panics    *logging.Panics
}

// New makes an Endpoint.
func New(o Options) *Endpoint {
	o.MaxMessage = min(cmp.Or(o.MaxMessage, maxMessageDefault), math.MaxInt32)
	o.MaxHeld = cmp.Or(o.MaxHeld, maxHeldDefault)
	o.Ping, o.Pong, o.Close = cmp.Or(o.Ping, pingDefault), cmp.Or(o.Pong, pongDefault), cmp.Or(o.Close, closeDefault)
	if o.Budget == nil {
		o.Budget = NewBudget(budgetDefault)
	}
	e := &Endpoint{o: o, panics: logging.NewPanics(o.Logger), bounds: backend.Bounds{Output: o.MaxHeld / 4, Linger: o.Close}}
	if o.Compression != nil {
		e.deflate = newDeflater(o.Compression)
	}
	e.drainCode.Store(CodeGoingAway)
	return e
}

// SetDrainCode sets the code that connections get when the engine drains: CodeGoingAway, or CodeRestart if clients are to connect
// again.
func (e *Endpoint) SetDrainCode(code int) { e.drainCode.Store(int32(code)) }

// Conns is the number of open connections.
func (e *Endpoint) Conns() int64 { return e.conns.Load() }
