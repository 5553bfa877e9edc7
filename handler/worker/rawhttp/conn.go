package rawhttp

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/bufio"
	"moonbridge/handler/accesslog"
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Conn is a connection that a worker serves by itself.
//
// Two threads use it. The main thread, which runs Lua, calls the exported methods. These may block, and release mu while
// they do (wait). The goroutine of beat comes by every few milliseconds while a handler runs, moves what can be moved without
// blocking, and leaves the rest. All fields except the immutable ones are guarded by mu. A thread that holds mu must not take
// the lock of the response (mb_response_lock); the other order is allowed.
//
// The numbers in the cell were written by this process. They are no more trusted than its Lua state is.
type Conn struct {
	// Immutable.
	cfg        Config
	bodyLimits httpparse.BodyLimits

	mu sync.Mutex

	// The connection.
	fd      int // -1: closed
	how     closing
	broken  bool // the peer cannot be reached any more
	eof     bool // the peer has finished sending
	retired bool // the handler has returned false: no request after those that are here
	input   bufio.Input
	parser  httpparse.Parser
	head    httpparse.Head
	waiting int16     // what the main thread waits for on the socket; 0: it does not wait
	stirred bool      // the beat has changed something: the main thread must look again before it waits
	movedAt time.Time // when a byte was last moved, or the main thread began to wait

	// The exchange.
	running    bool
	persistent bool
	isHead     bool
	respondAt  time.Time // end of the response timeout; zero: none
	block      []byte    // head block; its memory is used again
	spill      []byte    // the part of block that is not in the in-window yet
	peer       peer
	body       httpparse.Body
	flags      uint32 // InCell.Flags
	inHead     uint64
	sent       uint64 // bytes taken out of the out-window
	own        []byte // bytes of our own that are sent before those of the out-window
	stuck      bool   // output has been waiting for the socket since movedAt
	onTheWay   int    // bytes that the peer had not acknowledged when it was last looked at; -1: unknown
	settled    bool   // the response is complete and out: see settle
	thrown     int    // bytes of the peer that were thrown away: see throwAway
	access     access
	number     uint64 // of exchanges so far
	fileRoom   []byte // for bytes of files

	beatState
}

// closing is how a connection ends.
type closing uint8

const (
	// closeReset: with a RST, so that the peer does not take an incomplete response for a complete one.
	closeReset closing = iota
	// closeNow: at once. The peer has nothing to lose.
	closeNow
	// closeLinger: the last response is out. The peer has a moment to read it.
	closeLinger
)

// Config is what a Conn is made from.
type Config struct {
	Bell   int           // descriptor that becomes readable when the server rings
	Socket *atomic.Int32 // descriptor of the socket object; below 0 when the application has closed that
	Pool   *bufio.Pool   // memory for input. One Conn at a time may use it

	// Settled becomes 1 when the peer is to see a regular end if this process ends: the kernel has all that the peer waits for. It
	// becomes 0 when that is no longer so.
	Settled *atomic.Uint32

	In                  *shm.InCell
	Out                 *shm.OutCell
	InWindow, OutWindow []byte

	Quit   *atomic.Uint32 // not 0: the server wants this worker to end
	Asleep *atomic.Uint32 // tells the server that it has to ring
	Flush  func()         // publishes what the handler holds back; called without mu
	End    *End           // nil: the handler goes on when its client has gone

	// Refused is told of each request that the connection answers itself, with method and path as far as they are known. It
	// is called by the main thread. Optional.
	Refused func(status int, cause string, method, path []byte)

	// Identify sets Client and Secure of a request's head: see forwarded.Trusted. Optional.
	Identify func(h *httpparse.Head, peer netip.Addr)

	Block  shm.HeadBlock // what the head blocks of all requests have in common
	Limits Limits

	// Log is called with mu held when an exchange is over, for the access log; nil: there is none. IDs makes ids for
	// requests then.
	Log func(*accesslog.Entry)
	IDs accesslog.IDs
}

// Limits are the options of generate_handler. A timeout of 0 means none.
type Limits struct {
	Head           httpparse.Limits
	HeadBlockBytes int   // above: 431
	BodyBytes      int64 // above: 413
	StreamBody     bool  // a handler is called with whatever has arrived of the body

	BodyCodings httpparse.Codings // content codings that a body may have; 0: any. Otherwise: 415

	Idle, Header, Stall, Response, Drain time.Duration

	Fixed httpwrite.Fixed // fields of the answers that no handler gives
}

const (
	// bufferBody: a body up to this many bytes is read before the handler is called, as in the server. A peer that does
	// not send it gets a 408, which a handler that has started could not be told.
	bufferBody = 64 << 10
	// lingerBytesMax is how much is read and thrown away before a closing connection is reset.
	lingerBytesMax = 16 << 20
)

// New takes over the descriptor of a stream socket. early is what has been read from it already. The socket stays as it is,
// blocking or not, since the application may have another descriptor of it.
func New(fd int, cfg Config, early []byte) *Conn {
	c := &Conn{fd: fd, cfg: cfg, movedAt: time.Now(), bodyLimits: httpparse.BodyLimits{
		Bytes: cfg.Limits.BodyBytes, Await: bufferBody, Codings: cfg.Limits.BodyCodings}}
	if cfg.Limits.StreamBody {
		c.bodyLimits.Await = 0
	}
	c.cfg.Block.Kind = shm.KindHTTP
	c.input.Commit(copy(c.input.Reserve(c.cfg.Pool, len(early)), early))
	c.startBeat()
	return c
}

// ending reports that the connection does not wait for another request.
func (c *Conn) ending() bool { return c.retired || c.cfg.Quit.Load() != 0 }

// after is when a timeout that starts now ends; zero if there is none.
func after(d time.Duration) (t time.Time) {
	if d > 0 {
		t = time.Now().Add(d)
	}
	return t
}

// earlier is the earlier one of two deadlines.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// passed reports that a deadline is over.
func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// Step is one step of a wait of the Lua side, which checks its condition between the steps. It returns when something may
// have changed. first: a new wait starts.
func (c *Conn) Step(first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first {
		c.movedAt = time.Now()
	}
	if c.stirred {
		c.stirred = false
		return
	}
	c.lookAtSocket()
	sent, moved := c.send(), c.pump()
	c.sendContinue()
	if c.broken {
		c.cancel()
	}
	if sent || moved || c.broken {
		return
	}
	var events int16
	if c.unsent() {
		events |= pollOut
	}
	if c.body.Missing() && c.room() > 0 {
		events |= pollIn
	}
	deadline := c.respondAt
	if events != 0 {
		deadline = earlier(deadline, c.stallAt())
	}
	ready := c.wait(events, deadline)
	if c.stirred {
		c.stirred = false
		return
	}
	switch {
	case c.broken || ready && events == 0: // a hangup
		c.fail()
	case ready || !passed(earlier(c.respondAt, c.stallAt())): // or the beat has moved something
	case c.send() || c.pump() || c.peerAdvances(): // at the last moment
	case events == pollIn && !passed(c.respondAt):
		c.abortBody(false) // it does not come; the handler is told and may still answer
	default:
		c.fail()
	}
}

func (c *Conn) stallAt() (t time.Time) {
	if c.cfg.Limits.Stall > 0 {
		t = c.movedAt.Add(c.cfg.Limits.Stall)
	}
	return t
}

// fail: there is no peer any more, or none that we wait for.
func (c *Conn) fail() {
	c.broken = true
	c.cancel()
}

// cancel tells a running handler that its output goes nowhere.
func (c *Conn) cancel() {
	if c.running && c.flags&shm.InCancel == 0 {
		c.setFlags(c.flags | shm.InCancel)
	}
}

func (c *Conn) setFlags(flags uint32) {
	c.flags = flags
	c.cfg.In.Flags.Store(flags)
}

// Notify looks at what the handler has put into the cell.
func (c *Conn) Notify() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookAtSocket()
	c.send()
	c.leaveBody()
	c.sendContinue()
}

// lookAtSocket notices that the application has closed the socket. The connection is none of our business then. What the
// peer sees is decided by the application, once our descriptor, which is the last one, is closed.
func (c *Conn) lookAtSocket() {
	if c.fd >= 0 && c.cfg.Socket.Load() < 0 {
		c.fail()
		c.shut()
	}
}
