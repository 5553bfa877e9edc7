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
	turn int // of the other loops, when it looks for the oldest exchange
}

// Worker returns the worker in a slot.
func (m *Memory) Worker(slot int) *Worker {
	return &Worker{m: m, slot: slot, in: m.InWorker(slot), out: m.OutWorker(slot)}
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
		if w.m.waiting(l) {
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
