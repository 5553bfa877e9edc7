package pool

import (
	"context"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spawn makes a worker start a process that lives on.
func (r *rig) spawn() (pid int) {
	r.t.Helper()
	pid, err := strconv.Atoi(r.get("spawn").out)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	return pid
}

// processEnded reports whether a process that is not our child has ended.
func processEnded(pid int) bool { return unix.Kill(pid, 0) != nil || zombie(pid) }

// groupWay is a way of a signal to the process group of a worker.
type groupWay struct {
	name string
	set  func(*testing.T, *Worker) // makes it the way of this worker, until the test ends
}

// Programs that a worker has started die with it when it is killed, whichever way the signal takes.
func TestGroupDiesWithKilledWorker(t *testing.T) {
	for _, c := range append([]groupWay{
		{"to the group of a handle, where there are handles", func(*testing.T, *Worker) {}},
		{"through the fork server", func(_ *testing.T, w *Worker) {
			w.proc.close()
			w.proc = openProcess(-1)
		}},
	}, groupWays...) {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}}})
			r.ready(1)
			pid := r.spawn()
			r.p.mu.Lock()
			for w := range r.p.workers() {
				c.set(t, w)
			}
			r.p.mu.Unlock()
			q := r.send(&request{method: "POST", target: "sleep?3600000"})
			r.working()
			for _, w := range r.p.processes() {
				w.kill("a test")
			}
			wantStatus(t, q.wait(), 502)
			eventually(t, "the process is killed", func() bool { return processEnded(pid) })
			r.quiet()
		})
	}
}

// Programs that it has started live on when it ends normally, and when it has closed its control socket and is only waited
// for.
func TestGroupOutlivesRegularEnd(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}}})
	r.ready(1)
	first := r.spawn()
	wantOut(t, r.get("retire"), "last")
	r.log.await(t, "worker ended")
	second := r.spawn()
	if err := r.stop(testPatience); err != nil {
		t.Error(err)
	}
	if processEnded(first) || processEnded(second) {
		t.Error("a process has ended with its worker")
	}
}

func TestGroupOutlivesHungUpWorker(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}}})
	r.ready(1)
	pid := r.spawn()
	wantStatus(t, r.get("hang-up"), 502)
	if processEnded(pid) {
		t.Error("a process has ended with its worker")
	}
	r.quiet()
}

// A stop that takes too long kills what the workers have started, too.
func TestGroupDiesAtStop(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}}})
	r.ready(1)
	pid := r.spawn()
	q := r.send(&request{target: "sleep?3600000"})
	r.working()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := r.h.Stop(ctx); err == nil {
		t.Error("Stop has killed no worker")
	}
	q.wait()
	eventually(t, "the process is killed", func() bool { return processEnded(pid) })
}
