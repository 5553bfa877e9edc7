package shm

import "sync/atomic"

// Worker is the worker's half of the protocol: how exchanges are claimed, answered, and waited for. Workers that run Lua
// have it in C; this one is its statement in Go.
type Worker struct {
	m    *Memory
	slot int
	in   *InWorker
	out  *OutWorker
}

// Worker returns the worker's half for a slot. m comes from Map.
func (m *Memory) Worker(slot int) *Worker {
	return &Worker{m: m, slot: slot, in: m.InWorker(slot), out: m.OutWorker(slot)}
}

// Claim is a claimed exchange: the cell of a loop, and its generation.
type Claim struct {
	Loop, Cell int
	Gen        uint64
}

// Claim takes an exchange, from the home queue first.
func (w *Worker) Claim() (c Claim, ok bool) {
	loops := int(w.m.h.Loops)
	home := int(w.in.Home.Load()) % loops
	for i := range loops {
		if c, ok = w.claim((home + i) % loops); ok {
			break
		}
	}
	return c, ok
}

// claim looks at one queue from its tail on.
func (w *Worker) claim(l int) (Claim, bool) {
	in, out, q := w.m.InLoop(l), w.m.OutLoop(l), w.m.queue(l)
	for {
		pos, head := out.QTail.Load(), in.QHead.Load()
		if pos >= head {
			return Claim{}, false
		}
		if head-pos > uint64(len(q)) {
			out.QTail.CompareAndSwap(pos, head-uint64(len(q))) // somebody has destroyed it
			continue
		}
		cell := int(q[pos%uint64(len(q))].Load())
		o, _ := w.m.OutCell(l, cell)
		got := o.Owner.CompareAndSwap(Owner(pos, WhoQueued), Owner(pos, uint32(w.slot)+1))
		// Whoever has seen that the position is taken moves the tail: the one who took it may be dead.
		out.QTail.CompareAndSwap(pos, pos+1)
		if got {
			w.out.At.Store(At(l, cell))
			return Claim{l, cell, pos}, true
		}
	}
}

// Signal has the loop look at the cell. It returns true if the loop's doorbell has to be rung.
func (w *Worker) Signal(c Claim) (ring bool) {
	w.m.Ready(c.Loop)[c.Cell/64].Or(1 << (c.Cell % 64))
	asleep := &w.m.OutLoop(c.Loop).Asleep
	return asleep.Load() != 0 && asleep.Swap(0) != 0
}

// Finish ends an exchange. The cell is the server's again. It returns true if the loop's doorbell has to be rung.
func (w *Worker) Finish(c Claim, result uint32) (ring bool) {
	o, _ := w.m.OutCell(c.Loop, c.Cell)
	o.Result.Store(Result(c.Gen, result|ResultDone))
	w.out.Finished.Add(1)
	w.out.At.Store(0)
	return w.Signal(c)
}

// Sleep says that the worker is about to block. The caller looks again for what it waits for before it does, and calls
// Awake afterwards.
func (w *Worker) Sleep() { w.out.Asleep.Store(1) }

// Awake takes Sleep back.
func (w *Worker) Awake() { w.out.Asleep.Store(0) }

// Quit reports whether the server wants the worker to end.
func (w *Worker) Quit() bool { return w.in.Quit.Load() != 0 }

// Waiting reports whether a queue has something in it that looks unclaimed.
func (w *Worker) Waiting() bool {
	for l := range int(w.m.h.Loops) {
		if w.m.OutLoop(l).QTail.Load() < w.m.InLoop(l).QHead.Load() {
			return true
		}
	}
	return false
}

// Slot is the worker's slot.
func (w *Worker) Slot() int { return w.slot }

// Progress is the counter of completed exchanges, for tests that tamper with it.
func (w *Worker) Progress() *atomic.Uint64 { return &w.out.Finished }
