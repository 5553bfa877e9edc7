package shmtest

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// Worker is a worker in a slot: how exchanges are claimed, answered, and waited for.
type Worker struct {
	m    *Memory
	slot int
	in   *shm.InWorker
	out  *shm.OutWorker
}

// Worker returns the worker in a slot.
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
func (w *Worker) claim(loop int) (Claim, bool) {
	in, queue := w.m.inLoop(loop)
	out, _ := w.m.OutLoop(loop)
	for {
		pos, head := out.QTail.Load(), in.QHead.Load()
		if pos >= head {
			return Claim{}, false
		}
		if head-pos > uint64(len(queue)) {
			out.QTail.CompareAndSwap(pos, head-uint64(len(queue))) // somebody has destroyed it
			continue
		}
		cell := int(queue[pos%uint64(len(queue))].Load())
		o, _ := w.m.OutCell(loop, cell)
		got := o.Owner.CompareAndSwap(shm.Owner(pos, shm.WhoQueued), shm.Owner(pos, uint32(w.slot)+1))
		// Every worker that sees that the position is taken moves the tail: the one that took it may be dead.
		out.QTail.CompareAndSwap(pos, pos+1)
		if got {
			w.out.At.Store(shm.At(loop, cell))
			return Claim{loop, cell, pos}, true
		}
	}
}

// Signal makes the loop look at the cell. It returns true if the loop's doorbell has to be rung.
func (w *Worker) Signal(c Claim) (ring bool) {
	out, ready := w.m.OutLoop(c.Loop)
	ready[c.Cell/64].Or(1 << (c.Cell % 64))
	return out.Asleep.Load() != 0 && out.Asleep.Swap(0) != 0
}

// Finish ends an exchange. The cell is the server's again. It returns true if the loop's doorbell has to be rung.
func (w *Worker) Finish(c Claim, result uint32) (ring bool) {
	o, _ := w.m.OutCell(c.Loop, c.Cell)
	o.Result.Store(shm.Result(c.Gen, result|shm.ResultDone))
	w.out.Finished.Add(1)
	w.out.At.Store(0)
	return w.Signal(c)
}

// Sleep announces that the worker is about to block. The caller then checks once more for what it waits for before it
// blocks, and calls Awake afterwards.
func (w *Worker) Sleep() { w.out.Asleep.Store(1) }

// Awake takes Sleep back.
func (w *Worker) Awake() { w.out.Asleep.Store(0) }

// Quit reports whether the server wants the worker to end.
func (w *Worker) Quit() bool { return w.in.Quit.Load() != 0 }

// Waiting reports whether a queue has something in it that looks unclaimed.
func (w *Worker) Waiting() bool {
	for l := range int(w.m.h.Loops) {
		in, _ := w.m.inLoop(l)
		if out, _ := w.m.OutLoop(l); out.QTail.Load() < in.QHead.Load() {
			return true
		}
	}
	return false
}

// Slot is the worker's slot.
func (w *Worker) Slot() int { return w.slot }

// Ring rings the doorbell whose writing end is fd.
func Ring(fd int) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(fd, one[:])
}
