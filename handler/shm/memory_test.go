package shm_test

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
	"moonbridge/handler/shm/shmtest"
)

func testMemory(t *testing.T, g shm.Geometry) *shm.Memory {
	t.Helper()
	m, err := shm.Create(g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// What the server writes is what a worker reads, at the last elements too, and a worker cannot write to the in segment.
func TestMap(t *testing.T) {
	g := shm.Geometry{Loops: 2, Workers: 3, Cells: 5, InWindow: 64, OutWindow: 128}
	m := testMemory(t, g)
	in, out := m.Files()
	w, err := shmtest.Map(in, out)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c, win := m.InCell(1, 4)
	c.Gen.Store(7)
	win[63] = 'x'
	if c, win := w.InCell(1, 4); c.Gen.Load() != 7 || win[63] != 'x' || len(win) != 64 || cap(win) != 64 {
		t.Error("in cell differs")
	}
	o, owin := w.OutCell(1, 4)
	o.Flags.Store(9)
	owin[127] = 'y'
	if o, win := m.OutCell(1, 4); o.Flags.Load() != 9 || win[127] != 'y' {
		t.Error("out cell differs")
	}
	m.InWorker(2).Quit.Store(1)
	if !w.Worker(2).Quit() {
		t.Error("worker differs")
	}
	loop, ready := w.OutLoop(1)
	loop.Asleep.Store(3)
	ready[0].Store(5)
	if m.OutLoop(1).Asleep.Load() != 3 || m.Ready(1)[0].Load() != 5 || len(ready) != len(m.Ready(1)) {
		t.Error("out loop differs")
	}
	w.OutWorker(2).Finished.Store(6)
	if m.OutWorker(2).Finished.Load() != 6 {
		t.Error("out worker differs")
	}
	if _, err := in.WriteAt([]byte{1}, 0); err == nil {
		t.Error("the in segment can be written to through its descriptor")
	}
	if err := out.Truncate(0); err == nil && runtime.GOOS == "linux" {
		t.Error("the out segment can be truncated")
	}
}

// A worker has the loop's doorbell too: it may make it block, and take a ring away before the loop gets to it. The loop must not wait then.
func TestDoorbellDrainDoesNotWait(t *testing.T) {
	d, err := shm.NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.SetNonblock(d.Writer(), false); err != nil {
		t.Fatal(err)
	}
	drained := make(chan bool)
	go func() {
		d.Drain()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(time.Minute):
		d.Ring() // nothing else ends a raw system call, which keeps the garbage collector waiting
		<-drained
		t.Error("Drain waits for a ring")
	}
}

func TestDoorbell(t *testing.T) {
	d, err := shm.NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if readable(d.Reader(), 0) {
		t.Error("rings at once")
	}
	d.Ring()
	shmtest.Ring(d.Writer())
	if !readable(d.Reader(), 5000) {
		t.Error("does not ring")
	}
	d.Drain()
	if readable(d.Reader(), 0) {
		t.Error("rings after Drain")
	}
	for range 1 << 17 { // more than a pipe holds
		d.Ring()
	}
	d.Drain()
	if readable(d.Reader(), 0) {
		t.Error("rings after a flood and Drain")
	}
}
