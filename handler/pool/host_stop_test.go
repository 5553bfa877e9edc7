package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// past is a context whose time is over.
func past(t *testing.T) context.Context {
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	t.Cleanup(cancel)
	return ctx
}

// finishes counts the workers that have run finish.
func (r *rig) finishes() int { return strings.Count(r.log.String(), "worker finishes") }

// working waits until a worker is at an exchange.
func (r *rig) working() {
	r.t.Helper()
	eventually(r.t, "a worker is at an exchange", func() bool {
		return r.p.has(func(w *Worker) bool { return w.out.At.Load() != 0 })
	})
}

// When the time is over, only workers at an exchange are killed: the idle ones still run finish.
func TestStopKillsOnlyTheBusy(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 4}, {0, "max_fork", 4}}})
	r.ready(4)
	q := r.send(&request{method: "POST", target: "sleep?3600000"})
	r.working()
	if err := r.h.Stop(past(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	wantStatus(t, q.wait(), 502)
	eventually(t, "three workers run finish", func() bool { return r.finishes() == 3 })
	r.log.await(t, "lost=1")
}

// Where nothing has to be killed, there is nothing to report.
func TestStopOfIdleWorkersTooLate(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 4}}})
	r.ready(4)
	if err := r.h.Stop(past(t)); err != nil {
		t.Error(err)
	}
	eventually(t, "all workers run finish", func() bool { return r.finishes() == 4 })
}

// Idle workers do not wait for the others.
func TestStopEndsIdleWorkersFirst(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 4}, {0, "max_fork", 4}}})
	r.ready(4)
	release := r.occupy()
	done := make(chan error, 1)
	go func() { done <- r.stop(testPatience) }()
	eventually(t, "the idle workers run finish", func() bool { return r.finishes() == 3 })
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := r.p.Stats().Forks; n != 4 {
		t.Errorf("%d forks", n)
	}
}

// An exchange whose worker dies during a stop gets another one, although the idle ones have ended.
func TestStopRetries(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 2}, {0, "max_fork", 2}}})
	r.ready(2)
	release := r.occupy()
	done := make(chan error, 1)
	go func() { done <- r.h.Stop(context.Background()) }()
	eventually(t, "the idle worker runs finish", func() bool { return r.finishes() == 1 })
	for _, pid := range r.h.pids() {
		unix.Kill(pid, unix.SIGKILL)
	}
	eventually(t, "another worker", func() bool { s := r.p.Stats(); return s.Forks == 3 && s.Busy == 1 })
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Kill hurries a Stop that is under way. Both return when everything has ended, and so does another Stop.
func TestKillDuringStop(t *testing.T) {
	for _, how := range []string{"Kill", "Stop"} {
		r := start(t, setup{})
		q := r.send(&request{method: "POST", target: "sleep?3600000"})
		r.working()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stopped := make(chan error, 1)
		go func() { stopped <- r.h.Stop(ctx) }()
		eventually(t, "the stop begins", r.p.stopping.Load)
		if how == "Kill" {
			r.h.Kill()
		} else if err := r.h.Stop(past(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the other Stop: %v", err)
		}
		if left := inSessions(r.forkServers()); len(left) > 0 {
			t.Fatalf("%s: processes left: %v", how, left)
		}
		if err := <-stopped; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Stop: %v", how, err)
		}
		wantStatus(t, q.wait(), 502)
		if err := r.h.Stop(past(t)); err != nil {
			t.Errorf("when all has ended: %v", err)
		}
	}
}

// A loop that gets round to it only after everything has ended takes nothing for damage.
func TestStopBesideBusyLoop(t *testing.T) {
	r := start(t, setup{})
	q := r.send(&request{method: "POST", target: "sleep?3600000"})
	r.working()
	l := r.loops[0]
	busy, release := make(chan bool), make(chan bool)
	l.Post(func() { busy <- true; <-release })
	<-busy
	if err := r.h.Stop(past(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(release)
	wantStatus(t, q.wait(), 502)
	l.do(func() {})
	if strings.Contains(r.log.String(), "destroyed") {
		t.Error("shared memory was found destroyed")
	}
}

// Before a stop, the input of raw connections is ended, and workers that end are not replaced.
func TestDrain(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 2}, {0, "max_fork", 2}}})
	r.ready(2)
	defer func(before time.Duration) { quietMax = before }(quietMax)
	quietMax = 10 * time.Millisecond
	p := r.connect(rawAsk)
	if got := p.ask("hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	r.h.Drain(ctx)
	if got := p.ask("orders"); got != "ordered" {
		t.Errorf("got %q", got)
	}
	wantOut(t, r.get("hello?x"), "hello x") // exchanges are taken
	p.finish()
	eventually(t, "the worker at the connection ends", func() bool { return r.finishes() == 1 })
	if err := r.h.Stop(ctx); err != nil {
		t.Error(err)
	}
	if s := r.p.Stats(); s.Forks != 2 || s.Deaths != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Workers learn of a stop when it begins, while they still take exchanges: those that are there, and those that come.
func TestStopIsAnnounced(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}}})
	r.ready(1)
	announced := func() bool { return !r.p.has(func(w *Worker) bool { return w.in.Stopping.Load() == 0 }) }
	if announced() {
		t.Error("too early")
	}
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	r.h.Drain(ctx)
	if !announced() {
		t.Error("not to the worker that is there")
	}
	for _, pid := range r.h.pids() {
		unix.Kill(pid, unix.SIGKILL)
	}
	wantOut(t, r.get("hello?x"), "hello x")
	if !announced() {
		t.Error("not to its successor")
	}
}

// A stop is announced to workers that are there. The memory of others may have been freed.
func TestStopIsNotAnnouncedToTheGone(t *testing.T) {
	s := newStill(t, 2)
	s.workers[0].end(0, false)
	s.l.p.drain()
	for i, w := range s.workers {
		if told := w.in.Stopping.Load() != 0; told != (i == 1) {
			t.Errorf("worker %d: told %v", i, told)
		}
	}
}
