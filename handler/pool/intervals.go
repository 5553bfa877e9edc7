package pool

import (
	"slices"
	"sync"
)

// Intervals is what a server knows of its timers over all generations of its script: which ticks are running, and when the
// next ones are due. Hosts of which one replaces another share it (Config.Intervals): a timer that both have is one timer,
// whose ticks never overlap. From the moment when the new pool is attached its host runs the timer. If that host ends first,
// the timer goes back.
//
// intervals_handover.go does the same between two processes.
type Intervals struct {
	mu      sync.Mutex
	rhythms map[TimerID]*rhythm
	waiting bool             // the process that ran the timers before this one has not said which ticks it is running: none begins here
	report  func(TimerState) // not nil: another process runs the timers now, none begins here any more
}

// TimerID tells the timers of a script apart. Two scripts have the same timer if they have one with the same id.
type TimerID struct {
	Name   string // of the listener; may be empty
	Pool   int    // index of the pool, if the name is empty; otherwise 0
	Main   bool   // of proto main
	Number int    // among those for which the rest is the same, in the order of the script
}

// rhythm is a timer, whichever generation runs it.
type rhythm struct {
	claims  []*interval // the generations that have this timer, oldest first; the last one runs it
	running bool        // a tick is running in this process
	foreign bool        // a tick is running in another process
	due     int64       // when the running tick, or else the next one, was or is due, on the clock monotonic(); 0: unknown
	ended   bool        // due is of a tick that has ended

	began, over int64  // when the last tick began here, and ended, on the same clock; 0: never
	ticks       uint64 // that have begun here
}

// NewIntervals returns an Intervals that knows no timer.
func NewIntervals() *Intervals { return &Intervals{rhythms: make(map[TimerID]*rhythm)} }

// rhythm returns the timer with an id, which may be new. Under mu.
func (in *Intervals) rhythm(id TimerID) *rhythm {
	r := in.rhythms[id]
	if r == nil {
		r = &rhythm{}
		in.rhythms[id] = r
	}
	return r
}

// forget drops a timer that no generation has, unless a tick is running. Under mu.
func (in *Intervals) forget(id TimerID) {
	if r := in.rhythms[id]; len(r.claims) == 0 && !r.running && !r.foreign {
		delete(in.rhythms, id)
	}
}

// owner is the generation that runs the timer; nil: none.
func (r *rhythm) owner() *interval {
	if len(r.claims) == 0 {
		return nil
	}
	return r.claims[len(r.claims)-1]
}

// free reports whether a tick of t may begin. Under mu.
func (in *Intervals) free(r *rhythm, t *interval) bool {
	return r.owner() == t && !r.running && !r.foreign && !in.waiting && in.report == nil
}

// claim makes t run its timer. What ran it before does not begin another tick.
func (in *Intervals) claim(t *interval) {
	in.mu.Lock()
	defer in.mu.Unlock()
	r := in.rhythm(t.id)
	r.claims = append(r.claims, t)
}

// release takes the timer from t. A tick that is running goes on.
func (in *Intervals) release(t *interval) {
	in.mu.Lock()
	r := in.rhythm(t.id)
	was := r.owner() == t
	r.claims = slices.DeleteFunc(r.claims, func(c *interval) bool { return c == t })
	now := r.owner()
	in.forget(t.id)
	in.mu.Unlock()
	if was {
		now.wake()
	}
}

// next returns when the next tick of t is due. ok is false if t must wait: it is woken when it need not wait any more.
//
// A timer keeps its rhythm when another generation takes it over: the next tick is due when it would have been, or after the
// delay that the timer has now, if that is earlier.
func (in *Intervals) next(t *interval, now int64) (due int64, ok bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	r := in.rhythms[t.id]
	if r == nil || !in.free(r, t) {
		return 0, false
	}
	delay := int64(t.spec.Delay)
	switch {
	case r.due == 0:
		r.due = now + delay
	case r.ended:
		r.due = nextDue(r.due, now, delay, t.spec.Strict)
	default:
		r.due = min(r.due, now+delay)
	}
	r.ended = false
	return r.due, true
}

// begin notes that a tick of t begins. It returns false if it must not.
func (in *Intervals) begin(t *interval) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	r := in.rhythms[t.id]
	if r == nil || !in.free(r, t) {
		return false
	}
	r.running = true
	r.began, r.ticks = monotonic(), r.ticks+1
	return true
}

// end notes that a tick has ended, and wakes what runs the timer now.
func (in *Intervals) end(id TimerID) { in.over(id, true) }

// takenBack notes that a tick will not begin where it was to. It is still due, and what runs the timer now is woken.
func (in *Intervals) takenBack(id TimerID) { in.over(id, false) }

func (in *Intervals) over(id TimerID, ended bool) {
	in.mu.Lock()
	r := in.rhythm(id)
	r.running, r.ended = false, ended
	r.over = monotonic()
	in.settle(id, r)
}

// settle ends a change of a rhythm: whoever runs the timer next hears of it. Under mu, which is released.
func (in *Intervals) settle(id TimerID, r *rhythm) {
	owner, report, state := r.owner(), in.report, r.state(id)
	in.forget(id)
	in.mu.Unlock()
	if report != nil {
		report(state)
		return
	}
	owner.wake()
}
