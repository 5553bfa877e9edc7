package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// conn is a connection that this worker serves by itself, with HTTP on a raw socket. For the exchange in its cell it does
// what the server's loop, package engine and package handler/pool do for all others: it reads heads and bodies into the
// in-window and writes the out-window to the socket. The Lua side cannot tell the difference.
//
// Two threads use it. The main thread, which runs Lua, calls next, step, notify, end and close; these may block, and give
// up mu while they do (wait). The goroutine of beat comes by every few milliseconds while a handler runs, moves what can be
// moved without blocking, and leaves the rest. All fields but the immutable ones are guarded by mu. Whoever holds mu calls
// nothing that takes the lock of the response (mb_lock); the other way round is allowed.
//
// The numbers in the cell were written by this process. They are no more trusted than its Lua state is.
type conn struct {
	connConfig // immutable

	mu sync.Mutex

	// The connection.
	fd      int // -1: closed
	how     connEnd
	broken  bool // nobody can be answered any more
	eof     bool // the peer has finished sending
	retired bool // the handler has returned false: no request after those that are here
	input   connInput
	parser  httpparse.Parser
	head    httpparse.Head
	waiting int16     // what the main thread waits for on the socket; 0: it does not wait
	stirred bool      // the beat has changed something: whoever is about to wait looks once more
	movedAt time.Time // when a byte was last moved, or the main thread began to wait

	// The exchange.
	running    bool
	persistent bool
	isHead     bool
	respondAt  time.Time // end of the response timeout; zero: none
	block      []byte    // head block: room that is used again
	spill      []byte    // of it, what is not in the in-window yet
	body       httpparse.Body
	flags      uint32 // InCell.Flags
	inHead     uint64
	sent       uint64 // bytes taken out of the out-window
	own        []byte // bytes of our own that go before those of the out-window
	stuck      bool   // output waits for the socket, since movedAt
	number     uint64 // of exchanges so far

	beatState
}

// connEnd is how a connection ends.
type connEnd uint8

const (
	// connReset: with a RST, for the peer not to take what it has for all.
	connReset connEnd = iota
	// connClose: at once; the peer has nothing to lose.
	connClose
	// connLinger: the last response is out; the peer has a moment to take it.
	connLinger
)

// connConfig is what a conn is made of.
type connConfig struct {
	bell   int           // readable when the server has rung
	socket *atomic.Int32 // descriptor of the socket object; below 0 when somebody has closed that

	in            *shm.InCell
	out           *shm.OutCell
	inWin, outWin []byte

	quit   *atomic.Uint32 // not 0: the server wants this worker to end
	asleep *atomic.Uint32 // tells the server that it has to ring
	flush  func()         // publishes what the handler holds back; called without mu

	common shm.HeadBlock // what is the same in the head blocks of all requests
	lim    connLimits
}

// connLimits are the options of generate_handler. Times of 0 mean none.
type connLimits struct {
	head      httpparse.Limits
	body      httpparse.BodyLimits
	headBlock int // bytes of a head block

	idle, header, stall, response, drain time.Duration
}

const (
	// bufferBody: a body up to this many bytes is read before the handler is called, as on the server. Then its peer is
	// told apart from one that is slow within a request: 408.
	bufferBody = 64 << 10
	// lingerBytesMax is how much is read and thrown away before a closing connection is reset.
	lingerBytesMax = 16 << 20
)

// newConn takes over the descriptor of a stream socket, which it makes non-blocking. early is what was read from it before.
func newConn(fd int, cfg connConfig, early []byte) (*conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	c := &conn{fd: fd, connConfig: cfg}
	c.input.add(early)
	c.startBeat()
	return c, nil
}

// ending says that no further request is waited for.
func (c *conn) ending() bool { return c.retired || c.quit.Load() != 0 }

// after is when a timeout that begins now ends; zero if it is none.
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

// step is the transport's wait, without the condition that it waits for: it returns when something may have changed. begin
// says that a new wait begins.
func (c *conn) step(begin bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if begin {
		c.movedAt = time.Now()
	}
	if c.stirred {
		c.stirred = false
		return
	}
	c.lookAtSocket()
	sent, moved := c.send(), c.pump()
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
	switch {
	case c.broken || ready && events == 0: // a hangup
		c.fail()
	case ready || !passed(earlier(c.respondAt, c.stallAt())): // or the beat has moved something
	case c.send() || c.pump(): // at the last moment
	case events == pollIn && !passed(c.respondAt):
		c.abortBody(false) // it does not come; the handler hears of it and may still answer
	default:
		c.fail()
	}
}

// passed says that a deadline is over.
func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (c *conn) stallAt() (t time.Time) {
	if c.lim.stall > 0 {
		t = c.movedAt.Add(c.lim.stall)
	}
	return t
}

// fail: there is no peer any more, or none that we wait for.
func (c *conn) fail() {
	c.broken = true
	c.cancel()
}

// cancel tells the handler, if one runs, that its output goes nowhere.
func (c *conn) cancel() {
	if c.running && c.flags&shm.InCancel == 0 {
		c.setFlags(c.flags | shm.InCancel)
	}
}

func (c *conn) setFlags(flags uint32) {
	c.flags = flags
	c.in.Flags.Store(flags)
}

// notify is the transport's "look at the cell".
func (c *conn) notify() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookAtSocket()
	if c.out.Flags.Load()&shm.OutBodyWanted != 0 && c.body.Continue() && c.out.OutHead.Load() == 0 {
		c.own = append(c.own, httpwrite.Continue...)
	}
	c.send()
}

// lookAtSocket notices that the application has closed the socket below us. Then we have no business with it any more: the
// peer sees what the application wanted when our descriptor is closed, which is the last one.
func (c *conn) lookAtSocket() {
	if c.fd >= 0 && c.socket.Load() < 0 {
		c.fail()
		c.shut()
	}
}
