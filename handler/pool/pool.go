package pool

import (
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// Pool is the worker processes of one listen{} call: a backend.Backend.
type Pool struct {
	// Immutable.
	h     *Host
	index int // number of the listen{} call
	spec  *listen.Spec
	log   *slog.Logger
	lines *lineLog

	reports *reportLog
	tally   *logging.Tally // of refused and failed exchanges

	mem   *shm.Memory
	bells []*shm.Doorbell // of the loops
	cpus  cpus
	limit int64         // exchanges in progress, all loops together
	ends  []*handlerEnd // by listener

	// Shared with the loops.
	stopping    atomic.Bool
	mainsEnding atomic.Bool // main handlers have been told to end
	noWorker    atomic.Bool
	inFlight    atomic.Int64
	lengthy     atomic.Int64  // of these, seen with their workers for some time: counted in Worker.claims
	epoch       atomic.Uint64 // counts changes of which workers serve
	slots       []atomic.Pointer[Worker]
	seqs        seqs

	sv supervisor

	mu       sync.Mutex
	loops    []*loop     // attached
	draining bool        // no worker is forked without need
	ending   bool        // workers are to end
	fs       *forkServer // that forks workers; nil: there is none
	counts   counts
}

// spareSlots are for workers that are gone but not yet reclaimed while their successors are forked.
const spareSlots = 4

// spareCells are a reserve, for cells whose worker is being killed or whose memory was destroyed:
// what may be in progress, and a tick of each interval, have cells without these.
const spareCells = 8

// newPool makes a pool without workers.
func newPool(h *Host, index int, spec *listen.Spec) (*Pool, error) {
	o := &spec.Options
	p := &Pool{
		h: h, index: index, spec: spec,
		log:   h.log.With("pool", index),
		lines: newLineLog(h.log),
		limit: int64(o.QueueLimit + o.MaxFork),
		cpus:  allCPUs(),
		ends:  handlerEnds(spec),
		loops: make([]*loop, h.cfg.Loops),
		slots: make([]atomic.Pointer[Worker], o.MaxFork+spareSlots),
		sv:    newSupervisor(),
	}
	p.reports, p.tally = newReportLog(p.log), logging.NewTally(p.log)
	p.seqs.oldest.Store(1)
	var err error
	p.mem, err = shm.Create(shm.Geometry{
		Loops: h.cfg.Loops, Workers: len(p.slots),
		Cells:    o.QueueLimit + o.MaxFork + intervals(spec) + spareCells,
		InWindow: h.cfg.InWindow, OutWindow: h.cfg.OutWindow,
	})
	if err != nil {
		return nil, err
	}
	for range h.cfg.Loops {
		bell, err := shm.NewDoorbell()
		if err != nil {
			p.close()
			return nil, err
		}
		p.bells = append(p.bells, bell)
	}
	return p, nil
}

// close frees a pool that no loop uses.
func (p *Pool) close() {
	for _, b := range p.bells {
		b.Close()
	}
	p.mem.Close()
}

// Index is the number of the listen{} call that made the pool, from 0.
func (p *Pool) Index() int { return p.index }

// Spec is what the script asked for. It must not be changed.
func (p *Pool) Spec() *listen.Spec { return p.spec }

// Attach implements backend.Backend. It fails for a loop beyond Config.Loops, and after Stop.
func (p *Pool) Attach(on backend.Loop) (backend.LoopBackend, error) {
	i := on.Index()
	if i < 0 || i >= len(p.loops) {
		return nil, fmt.Errorf("pool %d: no loop %d: made for %d", p.index, i, len(p.loops))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping.Load() {
		return nil, backend.ErrStopped
	}
	if p.loops[i] != nil {
		return nil, fmt.Errorf("pool %d: loop %d attached twice", p.index, i)
	}
	l := newLoop(p, on)
	if err := on.Watch(p.bells[i].Reader(), l.rung); err != nil {
		return nil, fmt.Errorf("pool %d: %w", p.index, err)
	}
	on.OnTurn(l)
	p.loops[i] = l
	if i == 0 && !p.h.heldBack.Load() {
		l.startIntervals()
	}
	return l, nil
}

// kick has the supervisor look at the pool. Callable from anywhere.
func (p *Pool) kick() { p.sv.kick() }

// worker is the worker that has a slot; nil if there is none, or no such slot.
func (p *Pool) worker(slot uint32) *Worker {
	if slot >= uint32(len(p.slots)) {
		return nil
	}
	return p.slots[slot].Load()
}

// workers are the workers that have a slot: those that are not gone, and those whose cells are not reclaimed. Under mu.
func (p *Pool) workers() iter.Seq[*Worker] {
	return func(yield func(*Worker) bool) {
		for i := range p.slots {
			if w := p.slots[i].Load(); w != nil && !yield(w) {
				return
			}
		}
	}
}

// loopAt is the part of the pool on a loop, or nil.
func (p *Pool) loopAt(i uint32) *loop {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(i) >= len(p.loops) {
		return nil
	}
	return p.loops[i]
}

// attached are the loops that the pool has parts on. Under mu.
func (p *Pool) attached() (loops []*loop) {
	for _, l := range p.loops {
		if l != nil {
			loops = append(loops, l)
		}
	}
	return loops
}

// living is how many exchanges a connection waits for.
func (p *Pool) living() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.attached() {
		n += l.living.Load()
	}
	return n
}

// processes are the workers that are not gone.
func (p *Pool) processes() (ws []*Worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.workers() {
		if w.state.Alive() {
			ws = append(ws, w)
		}
	}
	return ws
}

// has reports whether there is a worker of this kind, which is not gone.
func (p *Pool) has(kind func(*Worker) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.workers() {
		if w.state.Alive() && kind(w) {
			return true
		}
	}
	return false
}

// signal sends a signal to all workers of this kind. It reports whether there are any.
func (p *Pool) signal(sig unix.Signal, kind func(*Worker) bool) (any bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.workers() {
		if w.state.Alive() && kind(w) {
			any = true
			w.signal(sig)
		}
	}
	return any
}

// reclaimed reports whether every worker is gone, and all loops have taken back its cells.
func (p *Pool) reclaimed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.workers() {
		return false
	}
	return true
}

var _ backend.Backend = (*Pool)(nil)
