package shmtest

import "moonbridge/handler/shm"

// Which exchange a worker takes, as handler/worker/worker_claim.c has it.

const (
	compared = 8         // loops that are looked at for the oldest exchange: home, and others in turn
	homeLead = 1_000_000 // ns by which an exchange of another loop has to be older than that of home
)

// Claim is a claimed exchange: the cell of a loop, and its generation.
type Claim struct {
	Loop, Cell int
	Gen        uint64
}

// Claim takes the exchange that has waited longest.
func (w *Worker) Claim() (Claim, bool) {
	home := int(w.in.Home.Load()) % int(w.m.h.Loops)
	for {
		var loops [compared]int
		n := w.listWaiting(home, &loops)
		if n == 0 {
			return w.claimAny(home)
		}
		if c, ok := w.oldest(home, loops[:n]); ok && w.claim(c) {
			return c, true
		}
	}
}

// listWaiting lists loops with exchanges that wait, home first, and returns how many.
func (w *Worker) listWaiting(home int, loops *[compared]int) (n int) {
	all := int(w.m.h.Loops)
	add := func(loop int) {
		if w.m.waiting(loop) {
			loops[n] = loop
			n++
		}
	}
	add(home)
	for range min(all, compared) - 1 {
		add((home + 1 + w.turn) % all)
		w.turn = (w.turn + 1) % (all - 1)
	}
	return n
}

// waiting reports whether a queue has something in it that looks unclaimed.
func (m *Memory) waiting(loop int) bool {
	in, _ := m.inLoop(loop)
	out, _ := m.OutLoop(loop)
	return out.QTail.Load() < in.QHead.Load()
}

// oldest is the oldest of the exchanges at the front of the loops.
func (w *Worker) oldest(home int, loops []int) (best Claim, found bool) {
	var least int64
	for _, l := range loops {
		c, ok := w.m.first(l)
		if !ok {
			continue
		}
		in, _ := w.m.InCell(l, c.Cell)
		since := in.Published.Load()
		if l == home {
			since -= homeLead
		}
		if !found || since < least {
			best, least, found = c, since, true
		}
	}
	return best, found
}

// claimAny takes the first exchange of any loop.
func (w *Worker) claimAny(home int) (Claim, bool) {
	for i := range int(w.m.h.Loops) {
		for {
			c, ok := w.m.first((home + i) % int(w.m.h.Loops))
			if !ok {
				break
			}
			if w.claim(c) {
				return c, true
			}
		}
	}
	return Claim{}, false
}

// first is the exchange at the front of a queue. It moves the tail past those that do not wait: the worker that took one
// may be dead.
func (m *Memory) first(loop int) (Claim, bool) {
	in, queue := m.inLoop(loop)
	out, _ := m.OutLoop(loop)
	for {
		pos, head := out.QTail.Load(), in.QHead.Load()
		if pos >= head {
			return Claim{}, false
		}
		if head-pos > uint64(len(queue)) {
			out.QTail.CompareAndSwap(pos, head-uint64(len(queue))) // another process has destroyed it
			continue
		}
		cell := int(queue[pos%uint64(len(queue))].Load())
		if o, _ := m.OutCell(loop, cell); o.Owner.Load() == shm.Owner(pos, shm.WhoQueued) {
			return Claim{loop, cell, pos}, true
		}
		out.QTail.CompareAndSwap(pos, pos+1)
	}
}

// claim takes an exchange, unless it does not wait any more.
func (w *Worker) claim(c Claim) bool {
	o, _ := w.m.OutCell(c.Loop, c.Cell)
	got := o.Owner.CompareAndSwap(shm.Owner(c.Gen, shm.WhoQueued), shm.Owner(c.Gen, uint32(w.slot)+1))
	out, _ := w.m.OutLoop(c.Loop)
	out.QTail.CompareAndSwap(c.Gen, c.Gen+1)
	if got {
		w.out.At.Store(shm.At(c.Loop, c.Cell))
	}
	return got
}
