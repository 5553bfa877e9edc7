package timers

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// model runs random operations on a wheel and on a list of the timers that should be armed.
type model struct {
	t      *testing.T
	rand   *rand.Rand
	wheel  *Wheel
	timers []modelTimer
	target uint64         // the tick that Advance is moving to
	last   uint64         // deadline of the last that expired in this Advance
	armed  map[int]uint64 // index in timers → deadline
	late   map[int]bool   // set past due inside the running Advance: must wait for the next one
	first  map[int]bool   // set past due before: come first, in any order
	inside bool
}

type modelTimer struct {
	Timer
	m     *model
	index int
}

func (mt *modelTimer) Expired(t *Timer) {
	m := mt.m
	deadline, armed := m.armed[mt.index]
	switch {
	case t != &mt.Timer || !armed || t.Armed():
		m.t.Fatalf("timer %d expired, armed: model %v, timer %v", mt.index, armed, t.Armed())
	case deadline != t.Deadline() || deadline > m.target:
		m.t.Fatalf("timer %d expired at %d, deadline %d", mt.index, m.target, deadline)
	case m.late[mt.index]:
		m.t.Fatalf("timer %d was set past due in this Advance and expired in it", mt.index)
	case m.first[mt.index]:
	case deadline < m.last:
		m.t.Fatalf("timer %d with deadline %d expired after one of %d", mt.index, deadline, m.last)
	default:
		m.last = deadline
	}
	delete(m.armed, mt.index)
	for range m.rand.IntN(3) {
		m.change(m.rand.IntN(len(m.timers)))
	}
	if m.rand.IntN(4) == 0 {
		m.change(mt.index)
	}
}

// distance returns a random distance: mostly short, sometimes days, sometimes beyond the levels.
func (m *model) distance() uint64 {
	return m.rand.Uint64N(1 << (1 + m.rand.IntN(38)))
}

// change sets, moves or cancels one timer.
func (m *model) change(i int) {
	mt := &m.timers[i]
	_, was := m.armed[i]
	delete(m.late, i)
	delete(m.first, i)
	if m.rand.IntN(3) == 0 {
		if m.wheel.Cancel(&mt.Timer) != was {
			m.t.Fatalf("Cancel of timer %d: not %v", i, was)
		}
		delete(m.armed, i)
		return
	}
	deadline := m.wheel.Now() + m.distance()
	if m.rand.IntN(10) == 0 {
		deadline = m.wheel.Now() - min(m.wheel.Now(), m.distance())
	}
	m.wheel.Set(&mt.Timer, deadline)
	m.armed[i] = deadline
	if deadline <= m.wheel.Now() {
		if m.inside {
			m.late[i] = true
		} else {
			m.first[i] = true
		}
	}
}

// earliest returns the earliest deadline of the list.
func (m *model) earliest() (deadline uint64, ok bool) {
	deadlines := []uint64{}
	for _, d := range m.armed {
		deadlines = append(deadlines, d)
	}
	if len(deadlines) == 0 {
		return 0, false
	}
	return slices.Min(deadlines), true
}

func (m *model) advance(to uint64) {
	m.target, m.last, m.inside = max(to, m.wheel.Now()), 0, true
	before := len(m.armed)
	fired := m.wheel.Advance(to)
	m.inside = false
	if fired > 0 && before == 0 {
		m.t.Fatalf("fired %d of an empty wheel", fired)
	}
	for i := range m.first {
		delete(m.first, i)
	}
	for i := range m.late {
		m.first[i] = true
		delete(m.late, i)
	}
	for i, deadline := range m.armed {
		if deadline <= m.target && !m.first[i] {
			m.t.Fatalf("timer %d with deadline %d did not expire at %d", i, deadline, m.target)
		}
	}
}

func (m *model) check() {
	if m.wheel.Len() != len(m.armed) {
		m.t.Fatalf("Len is %d, not %d", m.wheel.Len(), len(m.armed))
	}
	next, ok := m.wheel.Next()
	deadline, some := m.earliest()
	switch {
	case ok != some:
		m.t.Fatalf("Next says %v with %d armed", ok, len(m.armed))
	case !ok:
	case deadline <= m.wheel.Now():
		if next != m.wheel.Now() {
			m.t.Fatalf("Next is %d at %d with a timer past due", next, m.wheel.Now())
		}
	case next > deadline || next <= m.wheel.Now():
		m.t.Fatalf("Next is %d at %d, the earliest deadline %d", next, m.wheel.Now(), deadline)
	case deadline>>slotBits == m.wheel.Now()>>slotBits && next != deadline:
		m.t.Fatalf("Next is %d, not exactly %d", next, deadline)
	}
	for i := range m.timers {
		if _, armed := m.armed[i]; armed != m.timers[i].Armed() {
			m.t.Fatalf("timer %d: armed is not %v", i, armed)
		}
	}
}

func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	for round := range rounds {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		start := r.Uint64N(1 << (1 + r.IntN(45)))
		m := &model{
			t: t, rand: r, wheel: NewWheel(start), timers: make([]modelTimer, 1+r.IntN(60)),
			armed: map[int]uint64{}, late: map[int]bool{}, first: map[int]bool{},
		}
		for i := range m.timers {
			m.timers[i].m, m.timers[i].index = m, i
			m.timers[i].Init(&m.timers[i])
		}
		for range 300 {
			switch r.IntN(5) {
			case 0: // like a loop: sleep until Next
				if next, ok := m.wheel.Next(); ok {
					m.advance(next)
				}
			case 1: // a stall
				m.advance(m.wheel.Now() + m.distance())
			case 2:
				m.advance(m.wheel.Now() + r.Uint64N(5))
			default:
				m.change(r.IntN(len(m.timers)))
			}
			m.check()
		}
	}
}
