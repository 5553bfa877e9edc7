package reactor

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/timers"
)

// Readiness is what a descriptor is ready for.
type Readiness uint8

const (
	// Readable: a read will find bytes, the end of file or an error. On a listening socket: a connection can be accepted.
	Readable Readiness = 1 << iota
	// Writable: the socket's send buffer has room again.
	Writable
	// PeerClosed: the peer will send no more, though it may still read. The end of file follows the bytes that are left, and
	// no further edge reports it, so the handler must keep reading after a short read. Always together with Readable.
	PeerClosed
	// Hangup: both directions are closed, or there is an error, which a read or write will return. Always together with
	// Readable.
	Hangup
)

// Handler is told of the readiness of one descriptor.
type Handler interface {
	// Ready is called on the loop, within a turn, when the descriptor has become ready for something.
	Ready(got Readiness)
}

// Turn is called around each turn of a loop.
type Turn interface {
	// BeginTurn is called before anything else in a turn.
	BeginTurn()
	// EndTurn is called when the events, posted tasks and timers of the turn are handled. again asks for another turn,
	// without blocking in between.
	EndTurn() (again bool)
}

// Options of a Loop. The zero value is for a loop that is the only one.
type Options struct {
	Index  int          // which of the loops this is, from 0
	Count  int          // how many loops there are; 0 means 1
	Logger *slog.Logger // nil: slog.Default()

	// Watch is told of the start and end of each turn; nil: none.
	Watch *TurnWatch

	// Batch has Run lock its goroutine to a thread, and put the thread into the scheduling class SCHED_BATCH. Then an event
	// that arrives does not interrupt the thread that has caused it, more events come before the loop runs, and each turn
	// handles more of them. Linux only. If the system refuses, the loop runs as without it.
	Batch bool

	// Park has the loop wait as a goroutine that reads from a socket does, and yield more often. It is for programs with one processor of
	// Go's scheduler (GOMAXPROCS), which a loop that blocks would hold. With more, parking costs more than blocking: each time, another
	// thread is woken to look for work. It excludes Batch, for the goroutine of a locked thread cannot park without a switch. Linux only.
	Park bool

	// Led is called by each goroutine that begins to run the loop: that of Run, and others after work that took long (Loop.Aside). nil:
	// nothing is called.
	Led func()
}

// Loop is an event loop. The package comment says what may be called where.
type Loop struct {
	// Immutable.
	index, count int
	batch        bool
	led          func()        // nil: none
	done         chan error    // the result of Run
	roused       chan struct{} // ends the rest of the standby
	gone         chan struct{} // closed when the loop has ended
	watch        *TurnWatch    // nil: none
	log          *slog.Logger
	poller       *poller
	bell         bell // makes the poller report an event of the loop's own

	// Tests change these before Run.
	yieldEvery    int64 // in ns
	standbyPeriod time.Duration
	standbyRounds int

	// Owned by the loop.
	table   []entry // by descriptor
	open    int     // owned descriptors in table
	closing []int   // to be closed at the end of the batch
	spares  spares  // descriptors in reserve
	hooks   []Turn
	turning bool  // between BeginTurn and EndTurn
	rung    bool  // the loop itself has rung the bell and has not heard it yet
	again   bool  // another turn follows at once
	now     int64 // start of the turn, in ns
	yielded int64 // turn after which the loop yielded last, in ns
	wheel   *timers.Wheel
	alarm   alarm    // causes a turn at tick alarmAt
	alarmAt uint64   // never: not armed
	taken   []func() // posted tasks that were taken from the queue
	next    int      // index in taken of the first one that has not run
	soon    []func() // tasks of Soon
	// soonOther is the buffer that soon takes turns with.
	soonOther []func()
	asides    []Aside // work of Aside
	aside     int     // index in asides of the first one that has not begun
	callers   bool    // the goroutine that leads is that of Run
	standing  bool    // there is a standby
	worked    int64   // when the last work ended, in ns

	// Shared.
	duty     atomic.Uint64
	resting  atomic.Bool  // the standby waits for roused
	stopping atomic.Bool  // Stop was called
	posted   atomic.Bool  // queue is not empty
	left     atomic.Int64 // tasks in taken that have not been called yet
	conns    atomic.Int64 // registered with Add or WatchConn, and accepted by other loops and on their way: see Listener.Fill
	burst    atomic.Int64 // until when it gets a burst of a listener, in ns: see burst
	mu       sync.Mutex
	queue    []func() // posted tasks
	ended    bool     // no more tasks are taken, and the bell may be closed
}

const never = math.MaxUint64

// NewLoop opens a loop. It holds descriptors until Run has returned: to give up a loop that is not needed after all, call
// Stop and then Run. The error is that of the system call which opens the poller or its bell.
func NewLoop(o Options) (*Loop, error) {
	l := &Loop{index: o.Index, count: max(o.Count, 1), batch: o.Batch, watch: o.Watch, log: cmp.Or(o.Logger, slog.Default()), alarmAt: never,
		led: o.Led, done: make(chan error, 1), roused: make(chan struct{}, 1), gone: make(chan struct{}),
		yieldEvery: yieldEvery, standbyPeriod: standbyPeriod, standbyRounds: standbyRounds}
	l.now = l.Clock()
	l.wheel = timers.NewWheel(l.tick())
	var err error
	if l.poller, err = openPoller(l.closeAll); err != nil {
		return nil, fmt.Errorf("loop %d: %w", l.index, err)
	}
	if err := l.prepare(o.Park && !o.Batch); err != nil {
		l.poller.close()
		return nil, fmt.Errorf("loop %d: %w", l.index, err)
	}
	l.spares.fill() // if that fails, the next connection tries again
	l.bell.ring()   // so that Run starts with a turn
	return l, nil
}

// prepare opens what the poller reports events of besides descriptors of others.
func (l *Loop) prepare(park bool) (err error) {
	if l.bell, err = openBell(); err != nil {
		return fmt.Errorf("bell: %w", err)
	}
	if err = l.poller.add(l.bell.fd, false); err == nil {
		err = l.alarm.open(l)
	}
	if err != nil {
		l.bell.close()
		return err
	}
	if park {
		l.yieldEvery = parkedYieldEvery
		if err = l.poller.park(l.bell); err != nil {
			l.alarm.close()
			l.bell.close()
		}
	}
	return err
}

// Index is the number of this loop, from 0. Any goroutine may call it.
func (l *Loop) Index() int { return l.index }

// Count is how many loops there are. Any goroutine may call it.
func (l *Loop) Count() int { return l.count }

// Run is the loop. It returns nil after Stop, or an error of the poller. At the end, in this order, it refuses further posts,
// runs the tasks that were posted before, calls EndTurn once more, and closes all descriptors that the loop owns. Timers
// that are still armed never fire. Run may be called once.
//
// Without Options.Batch, Run does not lock its goroutine to a thread, though the goroutine rarely changes threads. gnet's Polling, which waits for
// events on kqueue, calls runtime.Gosched before it blocks; on a locked goroutine that is two switches of threads. (Measured
// on Linux, when Polling was used there too: with one connection 17,000 requests per second instead of 28,000, at twice the
// CPU time; with 16 or more, no difference.) Without Options.Park,
// GOMAXPROCS should be at least the number of loops plus two, since a loop that blocks in the poller holds its processor for a while.
func (l *Loop) Run() error {
	if l.batch {
		leave, err := enterBatch()
		defer leave()
		if err != nil {
			l.log.Info("the loop stays in the ordinary scheduling class", "loop", l.index, "err", err)
		}
	}
	l.callers = true
	l.lead()
	if err := <-l.done; err != nil {
		return fmt.Errorf("loop %d: %w", l.index, err)
	}
	return nil
}

// Stop makes Run return at the end of the turn. Any goroutine may call it, any number of times, even before Run and after it.
func (l *Loop) Stop() {
	l.stopping.Store(true)
	l.wake()
}

// wake rings the bell. Any goroutine may call it: the lock keeps it from ringing a closed one.
func (l *Loop) wake() {
	l.mu.Lock()
	if !l.ended {
		l.bell.ring()
	}
	l.mu.Unlock()
}

// end does what Run does at its end.
func (l *Loop) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.begin()
	l.runAllPosted()
	l.callHooks()
	l.runSoon()
	l.turning = false
	close(l.gone)
	l.leaveAsides()
	for fd := range l.table {
		if l.table[fd].owned {
			l.Close(fd)
		}
	}
	clear(l.table)
	l.closeAll()
	l.spares.close()
	l.alarm.close()
	l.bell.close()
	l.poller.parking.close()
	l.poller.close()
}
