package pool

import (
	"fmt"
	"sync/atomic"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

// loop is the part of a pool on one loop of the engine. Everything in it belongs to that loop's goroutine, but for the
// counters at the end.
type loop struct {
	// Immutable.
	p     *Pool
	on    backend.Loop
	index int
	queue *shm.Queue
	ready []atomic.Uint64 // bitmap of cells to look at, set by workers
	flag  *atomic.Uint32  // "this loop sleeps"

	clockAt int64 // what workers' clock shows when that of the loop shows 0

	// Exchanges.
	cells  []cell
	free   []*cell // last in, first out: the cell whose memory is warm
	inUse  []*cell // in no order
	open   int     // cells that a worker has or is to have
	handed int     // of these, with a raw connection that the worker is alone with
	number uint64  // of the last exchange
	timers []*interval

	// Workers, as of epoch.
	epoch   uint64
	workers []*Worker // that serve
	home    *Worker   // rung first
	pokes   []*Worker // to be rung at the end of the turn, if they sleep
	idle    []*Worker // scratch of wake

	// The turn.
	fresh    bool // the queue has got something in this turn
	sleeping bool // flag is set
	ticking  bool // the slow tick is armed
	calm     bool // for a later time than usual
	closed   bool // the pool has been taken off this loop
	slowTick func()
	ticker   backend.Timer // of the slow tick
	alarmed  func()        // ends wake.alarm; the turn that it comes in is what counts

	wake wakeState
	pair pairState

	// Written by the loop, read by others.
	living atomic.Int64  // exchanges that somebody waits for, ticks not counted
	taken  atomic.Uint64 // exchanges taken
}

// cell is the room of one exchange, and the exchange that is in it. It is the Running that the engine gets.
type cell struct {
	// Immutable.
	l             *loop
	index         int
	in            *shm.InCell
	out           *shm.OutCell
	inWin, outWin []byte

	// The exchange.
	state      cellState
	x          backend.Exchange // nil: nobody waits for it
	pos        uint64           // place in the queue, which is the generation of the cell
	place      int              // in loop.inUse
	queued     int64            // time of publication
	timed      bool             // somebody asks for Times in the end
	since, at  int64            // timed: when it came, and when the worker was done with it; 0: not yet
	worker     *Worker          // that was seen to have it
	counted    bool             // in worker.claims
	claimed    int64            // time when it was first seen claimed; 0: not yet
	began      bool             // the worker was seen at it
	stirred    int64            // time when the worker was rung without need
	flushed    int64            // time of the last request to flush
	kind       uint16           // shm.Kind*
	idempotent bool             // RFC 9110 §9.2.2
	retried    bool
	until      uint64 // cellLost: free when all workers up to this seq have gone

	// Raw connection.
	socket socketState
	fd     int   // socketHeld
	passed int64 // socketPassed: since when
	away   bool  // counted in worker.away, and in loop.handed while the cell is open

	// Request body.
	flags    uint32 // InCell.Flags
	inHead   uint64
	inTail   uint64
	spill    []byte // what did not fit into the window
	spilled  bool   // the window does not hold the request from its beginning
	ending   bool   // InEnd is to be set when the spill is in the window
	wanted   bool   // BodyWanted was called
	title    string // name of the request, when its head is about to be overwritten
	response response
}

// response is what is known of the output of an exchange.
type response struct {
	begun     bool   // start is fixed
	start     uint32 // place of the first byte
	published uint64 // bytes
	taken     uint64 // bytes
	blocked   bool   // the connection took less than was offered
	result    uint32 // cellDone: Result*
}

const (
	// headBlockMax is what a worker accepts of a request head, with the table of its field lines.
	headBlockMax = 2 << 20
	// bodyPartMax is the most bytes of a body that Start takes beyond the window.
	bodyPartMax = 1 << 20
)

var (
	errHeadTooLarge = fmt.Errorf("%w for a worker", backend.ErrHeadTooLarge)
	errBodyTooLarge = fmt.Errorf("%w for a worker", backend.ErrBodyTooLarge)
)

func newLoop(p *Pool, on backend.Loop) *loop {
	i := on.Index()
	l := &loop{
		p: p, on: on, index: i,
		queue:   p.mem.Queue(i),
		ready:   p.mem.Ready(i),
		flag:    &p.mem.OutLoop(i).Asleep,
		cells:   make([]cell, p.mem.Header().Cells),
		epoch:   ^uint64(0),
		clockAt: monotonic() - on.Clock(),
	}
	l.slowTick = l.tick
	l.alarmed = func() { l.wake.alarm = false }
	for j := len(l.cells) - 1; j >= 0; j-- {
		c := &l.cells[j]
		c.l, c.index = l, j
		c.in, c.inWin = p.mem.InCell(i, j)
		c.out, c.outWin = p.mem.OutCell(i, j)
		l.free = append(l.free, c)
	}
	l.inUse = make([]*cell, 0, len(l.cells))
	return l
}

// Start implements backend.LoopBackend.
func (l *loop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	c, err := l.reserve()
	if err != nil {
		return nil, err
	}
	if err := c.putRequest(x, h, listener, body, more); err != nil {
		l.release(c)
		return nil, err
	}
	c.x, c.kind = x, shm.KindHTTP
	c.idempotent = idempotent(h.Bytes(h.Method))
	if len(h.ID) > 0 {
		c.startTimes()
	}
	l.living.Add(1)
	l.taken.Add(1)
	l.publish(c)
	return c, nil
}

// reserve takes a cell.
func (l *loop) reserve() (*cell, error) {
	switch {
	case l.p.stopping.Load() || l.closed:
		return nil, backend.ErrStopped
	case l.p.noWorker.Load():
		return nil, backend.ErrNoWorker
	case l.p.inFlight.Add(1) > l.p.limit || len(l.free) <= len(l.timers) || l.queue.Full():
		// The last cells are for ticks, of which there is one for each interval at the most.
		l.p.inFlight.Add(-1)
		return nil, backend.ErrQueueFull
	}
	return l.take(), nil
}

// take makes the warmest free cell ready for an exchange.
func (l *loop) take() *cell {
	n := len(l.free) - 1
	c := l.free[n]
	l.free = l.free[:n]
	c.place = len(l.inUse)
	l.inUse = append(l.inUse, c)
	c.idempotent, c.retried, c.timed, c.socket = false, false, false, socketNone
	c.flags, c.inHead, c.spilled, c.ending, c.wanted, c.title = 0, 0, false, false, false, ""
	return c
}

// release puts a cell back.
func (l *loop) release(c *cell) {
	c.setState(cellFree)
	c.drop()
	c.x, c.spill = nil, nil
	c.out.Owner.Store(shm.Owner(c.pos, shm.WhoFree))
	last := l.inUse[len(l.inUse)-1]
	last.place = c.place
	l.inUse[c.place] = last
	l.inUse = l.inUse[:len(l.inUse)-1]
	l.free = append(l.free, c)
	l.p.inFlight.Add(-1)
}

// setState moves a cell from state to state, and keeps count.
func (c *cell) setState(s cellState) {
	was, is := c.state.open(), s.open()
	if was != is {
		n := 1
		if was {
			n = -1
		}
		c.l.open += n
		if c.away {
			c.l.handed += n
		}
	}
	c.state = s
}

// count notes that the worker of a cell is at work for longer.
func (c *cell) count() {
	if !c.counted {
		c.counted = true
		c.worker.claims.Add(1)
	}
}

// drop forgets the worker of a cell.
func (c *cell) drop() {
	c.setAway(false)
	if c.counted {
		c.worker.claims.Add(-1)
		c.counted = false
	}
	c.worker = nil
}

// publish puts a cell with a complete request into the queue.
func (l *loop) publish(c *cell) {
	c.pos = l.queue.Next()
	c.queued, c.claimed, c.flushed = l.on.Now(), 0, 0
	c.inTail = 0
	c.response = response{}
	c.out.InTail.Store(0)
	c.out.OutHead.Store(0)
	c.out.OutStart.Store(0)
	c.out.Result.Store(shm.NoResult(c.pos))
	c.out.Flags.Store(0)
	if c.timed {
		c.out.Claimed.Store(0)
	}
	c.in.OutTail.Store(0)
	c.in.Flags.Store(c.flags)
	c.in.InHead.Store(c.inHead)
	c.in.Gen.Store(c.pos)
	c.setState(cellQueued)
	l.queue.Push(c.index)
	l.fresh = true
	if !l.ticking || l.calm {
		l.setTick(false)
	}
}

// putRequest writes head and body where the worker finds them.
func (c *cell) putRequest(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) error {
	b := c.l.headBlock(shm.KindHTTP, listener)
	b.Request, b.Expect = h, h.ExpectContinue && more && len(body) == 0
	local, remote := x.Addrs()
	b.Local, b.Remote = shm.AddressOf(local), shm.AddressOf(remote)
	if !more {
		c.flags = shm.InEnd
	}
	return c.put(&b, body)
}

// headBlock is the head block of another exchange.
func (l *loop) headBlock(kind uint16, listener int) shm.HeadBlock {
	l.number++
	return shm.HeadBlock{
		Kind: kind, Listener: uint16(listener),
		Exchange: l.number*uint64(len(l.p.bells)) + uint64(l.index),
	}
}

// put writes the head block and the body from count 0 of the in-window on. What does not fit goes into the spill.
func (c *cell) put(b *shm.HeadBlock, body []byte) error {
	size := b.Size()
	if size > headBlockMax {
		return errHeadTooLarge
	}
	to := c.inWin
	if size+len(body) > len(to) {
		if len(body) > len(to)+bodyPartMax {
			return errBodyTooLarge
		}
		c.spill = make([]byte, size+len(body))
		to = c.spill
	}
	b.Put(to)
	copy(to[size:], body)
	c.inHead = uint64(size + len(body))
	if c.spill != nil {
		// As much of it as goes into the window; the rest follows when the worker has made room.
		n := copy(c.inWin, c.spill)
		c.inHead = uint64(n)
		c.spill = c.spill[n:]
		c.spilled = true
		c.ending = c.flags&shm.InEnd != 0
		c.flags = shm.InWantRoom
	}
	return nil
}

// idempotent reports whether a request may be given to another worker, after one has died with it (RFC 9110 §9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// fail answers an exchange without the worker. The cell's state is the caller's business.
func (c *cell) fail(status int, retryAfter time.Duration) {
	if x := c.leave(); x != nil {
		x.Failed(status, retryAfter)
	}
}

// leave lets go of the exchange: no call is made on it after the one that the caller may make.
func (c *cell) leave() backend.Exchange {
	c.closeSocket(true)
	x := c.x
	if x != nil && c.kind != shm.KindInterval {
		c.l.living.Add(-1)
	}
	c.x = nil
	return x
}
