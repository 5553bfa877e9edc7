package pool

import (
	"sync/atomic"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
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
	head   shm.Head
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

// close takes the pool off this loop. Exchanges that are left fail with a status. The loop goes on without the pool: its
// memory must not be touched any more.
func (l *loop) close(status int) {
	for i := range l.cells {
		c := &l.cells[i]
		if c.x != nil {
			c.fail(status, retryAfter)
		}
	}
	l.closed = true
	l.open, l.handed, l.pokes, l.fresh = 0, 0, nil, false
	l.cells, l.free, l.inUse = nil, nil, nil
	l.workers, l.home, l.idle, l.pair = nil, nil, nil, pairState{}
	l.ready, l.queue, l.flag = nil, nil, nil
	l.sleeping = false
	l.on.Unwatch(l.p.bells[l.index].Reader())
	l.on.OffTurn(l)
}

// waiting is how many exchanges may wait for a worker. Callable from anywhere.
func (l *loop) waiting() int { return l.queue.Waiting() }
