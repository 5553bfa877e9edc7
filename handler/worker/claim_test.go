package worker

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
	"moonbridge/handler/shm/shmtest"
)

// A worker takes the exchange that has waited longest, whatever loop it waits on.
func TestClaimOrder(t *testing.T) {
	f := mustLoad(t, "count.lua")
	for _, o := range shmtest.ClaimOrders {
		t.Run(o.Name, func(t *testing.T) {
			g := shm.Geometry{Loops: o.Loops, Workers: 1, Cells: len(o.Waits), InWindow: 1024, OutWindow: 2048}
			f.t = t
			w := f.fork(0, g)
			w.awaitState(") S ") // a look for exchanges that has begun could go on with another home
			w.mem.InWorker(0).Home.Store(o.Home)
			w.stop()
			var all []*exchange
			for _, e := range o.Waits {
				all = append(all, w.start(request{head: "GET /", loop: e.Loop, published: 1000 * e.Published}))
			}
			unix.Kill(w.pid, unix.SIGCONT)
			got := make([]int, len(all))
			for i, e := range all {
				n, err := strconv.Atoi(e.finish().body())
				if err != nil || n < 1 || n > len(all) {
					t.Fatalf("exchange %d was taken as number %d, %v", i, n, err)
				}
				got[n-1] = i
			}
			if wrong := o.Check(got); wrong != "" {
				t.Errorf("%s: %v", wrong, got)
			}
		})
	}
	f.t = t
}

// stop stops the worker's process until SIGCONT.
func (w *worker) stop() {
	w.t.Helper()
	unix.Kill(w.pid, unix.SIGSTOP)
	w.awaitState(") T ")
}

// awaitState waits until the process of a worker that has nothing to do is in a state of /proc/PID/stat.
func (w *worker) awaitState(state string) {
	w.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.pid))
		if err == nil && bytes.Contains(stat, []byte(state)) && w.mem.OutWorker(0).Asleep.Load() == 1 {
			return
		}
		if err != nil || time.Now().After(end) {
			w.t.Fatalf("the worker is not in state %q: %s, %v", state, stat, err)
		}
	}
}
