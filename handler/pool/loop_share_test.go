package pool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/pool/listen/listentest"
)

// crowd is clients that each always have one exchange in progress.
type crowd struct {
	r    *rig
	path string

	mu     sync.Mutex
	left   int // exchanges that are still to be started
	got    []int
	failed []result
	done   sync.WaitGroup
}

// runCrowd has clients on each of the loops, and returns how many exchanges each of them had when there were total of them.
func runCrowd(r *rig, path string, clients, total int) []int {
	c := &crowd{r: r, path: path, left: total, got: make([]int, clients*len(r.loops))}
	for i := range c.got {
		c.next(i)
	}
	c.done.Wait()
	if len(c.failed) > 0 {
		r.t.Errorf("%d failed, the first: %+v", len(c.failed), c.failed[0])
	}
	return c.got
}

// next starts the next exchange of a client.
func (c *crowd) next(client int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return
	}
	c.left--
	c.done.Add(1)
	q := &request{target: c.path}
	q.after = func() { // on the loop
		c.mu.Lock()
		if q.got.out == "" {
			c.failed = append(c.failed, q.got)
		}
		c.got[client]++
		c.mu.Unlock()
		c.next(client)
		c.done.Done()
	}
	c.r.sendOn(client%len(c.r.loops), q)
}

// Clients of all loops are served alike, also those of loops that are home to no worker.
func TestLoopsShareWorkers(t *testing.T) {
	for _, c := range []struct{ loops, workers, clients int }{{2, 1, 6}, {8, 3, 3}, {12, 2, 2}} {
		t.Run(fmt.Sprintf("%d loops, %d workers", c.loops, c.workers), func(t *testing.T) {
			r := start(t, setup{loops: c.loops, options: [][3]any{{0, "min_fork", c.workers}, {0, "max_fork", c.workers}}})
			r.ready(c.workers)
			const each = 12
			got := runCrowd(r, "sleep?5", c.clients, each*c.clients*c.loops)
			if slices.Min(got) < each/2 || slices.Max(got) > 2*each {
				t.Errorf("exchanges of each client: %v", got)
			}
			r.quiet()
		})
	}
}

// An exchange of a loop that is home to no worker does not wait for one that is busy while others are idle.
func TestLoopWithoutHomeWorker(t *testing.T) {
	r := start(t, setup{loops: 4, options: [][3]any{{0, "min_fork", 3}, {0, "max_fork", 3}}})
	r.ready(3)
	release := r.occupy()
	release2 := r.occupy()
	for loop := range 4 {
		if got := r.sendOn(loop, &request{target: "hello?x"}).wait(); got.out != "hello x" {
			t.Errorf("loop %d: %+v", loop, got)
		}
	}
	release()
	release2()
	r.quiet()
}

// Raw connections wait in the same order as requests.
func TestSocketsShareWorkers(t *testing.T) {
	r := start(t, setup{loops: 2, options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}}})
	r.ready(1)
	home := r.p.processes()[0].home
	release := r.occupy()
	raw := r.connectOn(1-home, rawAsk)
	time.Sleep(3 * time.Millisecond) // the order of what is published within a millisecond is not certain
	r.loops[home].do(func() {})      // its clock goes on
	later := r.sendOn(home, &request{target: "hello?x"})
	release()
	if got := raw.ask("first"); got != "first" { // the worker has the connection now, and the others wait
		t.Errorf("got %q", got)
	}
	r.loops[home].do(func() {
		if later.over {
			t.Error("a request that came later was answered first")
		}
	})
	raw.finish()
	wantOut(t, later.wait(), "hello x")
	r.quiet()
}

// Ticks, which belong to loop 0, come although another loop always has something for the only worker.
func TestTicksShareWorkers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ticks")
	r := start(t, setup{loops: 2, options: [][3]any{{2, "proto", "interval"}, {2, "delay", 0.01}, {2, "name", file},
		{2, "connect", listentest.Func{}}, {0, "min_fork", 1}, {0, "max_fork", 1}}})
	r.ready(1)
	r.p.processes()[0].in.Home.Store(1)
	const ticks = 5
	var stop atomic.Bool
	var client func()
	var clients sync.WaitGroup
	client = func() {
		q := &request{target: "sleep?2"}
		q.after = func() {
			if !stop.Load() {
				client()
			}
			clients.Done()
		}
		clients.Add(1)
		r.sendOn(1, q)
	}
	for range 4 {
		client()
	}
	eventually(t, "ticks", func() bool {
		b, _ := os.ReadFile(file)
		return strings.Count(string(b), "\n") >= ticks
	})
	stop.Store(true)
	clients.Wait()
}
