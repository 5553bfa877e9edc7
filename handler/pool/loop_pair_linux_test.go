package pool

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// sleeper starts a process that does nothing, for tests that bind one to a CPU.
func sleeper(t *testing.T) (pid int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "hang")
	cmd.Env = append(os.Environ(), shm.Env+"=0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd.Process.Pid
}

// cpuCount is on how many CPUs a process may run.
func cpuCount(t *testing.T, pid int) int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &set); err != nil {
		t.Fatal(err)
	}
	return set.Count()
}

// serve has the home worker serve exchanges for a while of the loop's time: one each.
func (s *still) serve(span, each time.Duration) {
	for end := s.on.now + int64(span); s.on.now < end; {
		s.start(&plain{}, testHead())
		c := s.claim(0)
		s.turn(each) // the exchange is in progress at the end of this turn
		s.answer(0, c, 1)
		s.turn(0)
	}
}

// A worker with short exchanges is bound to the CPU of its loop, and let go when they get long, or when it is at a raw
// connection.
func TestPairing(t *testing.T) {
	s := newStill(t, 1)
	if s.l.p.cpus.n < 2 {
		t.Skip("needs two CPUs")
	}
	w, pid := s.workers[0], sleeper(t)
	w.pid.Store(int32(pid))
	all := cpuCount(t, pid)

	s.serve(time.Second, time.Millisecond/2)
	if n := cpuCount(t, pid); n != 1 || !w.pinned.Load() {
		t.Fatalf("the home worker may run on %d CPUs after a second of short exchanges, want the loop's alone", n)
	}
	s.serve(time.Second, 10*time.Millisecond)
	if n := cpuCount(t, pid); n != all || w.pinned.Load() {
		t.Errorf("the home worker may run on %d CPUs after a second of long exchanges, want %d", n, all)
	}

	s.serve(time.Second, time.Millisecond/2)
	if n := cpuCount(t, pid); n != 1 {
		t.Errorf("the home worker may run on %d CPUs when its exchanges are short again, want 1", n)
	}
	s.start(&plain{}, testHead())
	c := s.claim(0)
	cell := &s.l.cells.all[c.Cell]
	cell.inspect(s.on.now)
	cell.setAway(true)
	if n := cpuCount(t, pid); n != all {
		t.Errorf("a worker at a raw connection may run on %d CPUs, want %d", n, all)
	}
}

func TestNoPairing(t *testing.T) {
	s := newStill(t, 1)
	s.l.p.h.cfg.NoPairing = true
	w, pid := s.workers[0], sleeper(t)
	w.pid.Store(int32(pid))
	all := cpuCount(t, pid)
	s.serve(time.Second, time.Millisecond/2)
	if n := cpuCount(t, pid); n != all {
		t.Errorf("with NoPairing the worker may run on %d CPUs, want %d", n, all)
	}
}
