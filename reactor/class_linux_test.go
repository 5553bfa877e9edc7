package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// class returns the scheduling class of this thread.
func class(t *testing.T) uint32 {
	t.Helper()
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a.Policy
}

// A loop is in the class that was asked for, while it runs and no longer.
func TestBatch(t *testing.T) {
	for batch, want := range map[bool]uint32{false: unix.SCHED_NORMAL, true: unix.SCHED_BATCH} {
		l, err := NewLoop(Options{Batch: batch})
		if err != nil {
			t.Fatal(err)
		}
		seen := make(chan uint32, 2)
		l.Post(func() {
			seen <- class(t)
			l.Stop()
		})
		done := make(chan error)
		go func() {
			err := l.Run()
			seen <- class(t)
			done <- err
		}()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if during, after := <-seen, <-seen; during != want || after != unix.SCHED_NORMAL {
			t.Errorf("batch %v: class %d, afterwards %d; want %d, %d", batch, during, after, want, unix.SCHED_NORMAL)
		}
	}
}

// A thread that is in a class of its own stays there, and keeps its nice value.
func TestBatchLeavesOthers(t *testing.T) {
	done := make(chan struct{})
	go func() { // its thread ends with it
		defer close(done)
		leave, err := enterBatch()
		if err != nil {
			t.Error(err)
		}
		defer leave()
		idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE, Nice: 3}
		if err := unix.SchedSetAttr(0, &idle, 0); err != nil {
			t.Error(err)
		}
		again, err := enterBatch()
		if got := class(t); err != nil || got != unix.SCHED_IDLE {
			t.Errorf("class %d, %v; want %d", got, err, unix.SCHED_IDLE)
		}
		again()
	}()
	<-done
}
