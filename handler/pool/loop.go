package pool

import (
	"sync/atomic"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel/stream"
	"moonbridge/handler/shm"
)

// loop is the part of a pool on one loop of the engine. Everything in it belongs to that loop's goroutine, except the
// counters at the end.
type loop struct {
	// Immutable.
	p       *Pool
	on      backend.Loop
	index   int
	queue   *shm.Queue
	ready   []atomic.Uint64 // bitmap of cells to inspect, set by workers
	flag    *atomic.Uint32  // "this loop sleeps"
	clockAt int64           // what the workers' clock shows when the loop's shows 0

	// Exchanges.
	cells    cells
	number   uint64      // of the last exchange
	finished uint64      // exchanges that workers have finished
	timers   []*interval // of loop 0

	// Workers.
	roster roster
	wake   wake
	pair   pair

	// The turn.
	fresh    bool                // the queue was given something in this turn
	pokes    []*Worker           // to be rung at the end of the turn, if they sleep
	sleeping bool                // flag is set
	yielded  bool                // in this turn, and nothing was published since
	repeats  backend.EndRepeater // the loop; nil: it calls EndTurn once in a turn
	ticker   ticker
	peers    peers
	streams  *stream.Loop // nil: there has been none
	closed   bool         // the pool has been taken off this loop

	// Written by the loop, read by others.
	living    atomic.Int64  // exchanges that a connection waits for, ticks not counted
	taken     atomic.Uint64 // exchanges taken
	abandoned atomic.Uint64 // exchanges withdrawn because their peers had gone
}

func newLoop(p *Pool, on backend.Loop) *loop {
	i := on.Index()
	l := &loop{
		p: p, on: on, index: i,
		queue:   p.mem.Queue(i),
		ready:   p.mem.Ready(i),
		flag:    &p.mem.OutLoop(i).Asleep,
		clockAt: monotonic() - on.Clock(),
		roster:  roster{epoch: unknownEpoch},
	}
	l.repeats, _ = on.(backend.EndRepeater)
	l.cells.init(l, int(p.mem.Header().Cells))
	l.ticker.fire = l.tick
	l.wake.alarmed = func() { l.wake.alarm = false }
	return l
}

// waiting is how many exchanges may wait for a worker. Callable from anywhere.
func (l *loop) waiting() int { return l.queue.Waiting() }

// close takes the pool off this loop. Exchanges that are left fail with a status. The loop goes on without the pool, whose
// memory must not be touched any more.
func (l *loop) close(status int, cause string) {
	for i := range l.cells.all {
		c := &l.cells.all[i]
		if c.x != nil {
			c.fail(status, retryAfter, cause)
		}
		c.descriptor.release()
		c.file.drop()
	}
	l.closed = true
	l.cells, l.roster, l.pair = cells{}, roster{}, pair{}
	l.wake.idle, l.pokes, l.fresh = nil, nil, false
	l.ready, l.queue, l.flag = nil, nil, nil
	l.sleeping = false
	l.on.Unwatch(l.p.bells[l.index].Reader())
	l.on.OffTurn(l)
}
