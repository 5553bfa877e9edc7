package pool

import (
	"errors"
	"io"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
)

// Open raw connections keep neither requests nor each other waiting, on any loop, as long as there are workers.
func TestSocketsBesideRequests(t *testing.T) {
	r := start(t, setup{loops: 2, options: [][3]any{{0, "min_fork", 4}, {0, "max_fork", 4}}})
	r.ready(4)
	var ps []*rawPeer
	workers := map[string]bool{}
	for i := range 3 {
		p := r.connectOn(i%2, rawAsk)
		workers[p.ask("pid")] = true
		ps = append(ps, p)
	}
	if len(workers) != 3 {
		t.Errorf("workers %v at three connections", workers)
	}
	quick := 0
	for i := range 200 {
		begin := time.Now()
		q := r.sendOn(i%2, &request{target: "pid"}).wait()
		if workers[q.out] || q.out == "" {
			t.Fatalf("answer of %q", q.out)
		}
		if time.Since(begin) < rescueAfter {
			quick++
		}
	}
	// If loops rang the workers at the connections instead of the free one, each request would wait to be rescued.
	if quick < 10 {
		t.Errorf("only %d of 200 requests beside raw connections were served at once", quick)
	}
	for _, p := range ps {
		p.finish()
	}
	r.quiet()
	for _, l := range r.lbs {
		if n := l.(*loop).cells.handed; n != 0 {
			t.Errorf("%d connections are counted as handed over", n)
		}
	}
	for _, w := range r.p.processes() {
		if w.away.Load() != 0 || w.claims.Load() != 0 {
			t.Errorf("worker %d: away %d, claims %d", w.slot, w.away.Load(), w.claims.Load())
		}
	}
	for i := range 20 {
		wantOut(t, r.sendOn(i%2, &request{target: "hello?x"}).wait(), "hello x")
	}
	for i, l := range r.lbs {
		r.loops[i].do(func() {
			if w := l.(*loop).roster.home; w == nil || w.home != i {
				t.Errorf("loop %d rings the home worker of another one", i)
			}
		})
	}
}

// While nothing but raw connections is open, a loop hardly does anything, and reacts at once when something comes.
func TestSocketsCalm(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "queue_timeout", 1}, {0, "min_fork", 2}, {0, "max_fork", 2}}})
	r.ready(2)
	a, b := r.connect(rawAsk), r.connect(rawAsk)
	a.ask("hello")
	b.ask("hello")
	l := r.lbs[0].(*loop)
	calm := func() (is bool) {
		r.loops[0].do(func() { is = l.ticker.calm && l.ticker.on && l.cells.handed == 2 && l.cells.open == 2 })
		return is
	}
	eventually(t, "calm", calm)
	var before, after int
	r.loops[0].do(func() { before = r.loops[0].blocked })
	begin := time.Now()
	a.ask("sleep 1000\nlater")
	took := time.Since(begin) // longer than a second on a busy machine
	r.loops[0].do(func() { after = r.loops[0].blocked })
	if n := after - before; n > int(took/(50*time.Millisecond)) {
		t.Errorf("the loop blocked %d times in %v in which nothing happened", n, took)
	}
	// Limits of time of what comes now are as exact as ever.
	wantStatus(t, r.get("hello?"), 503)
	if calm() {
		eventually(t, "not calm for the one that waited, then again", calm)
	}
	a.finish()
	wantOut(t, r.get("hello?x"), "hello x")
	b.finish()
	r.quiet()
}

// Stop waits for open connections, as long as it may.
func TestSocketStop(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}}})
	r.ready(1)
	p, waiting := r.connect(rawAsk), r.connect(rawAsk)
	p.ask("hello")
	stopped := make(chan struct{})
	go func() { r.stop(testPatience); close(stopped) }()
	eventually(t, "stopping", func() bool { return r.p.stopping.Load() })
	if q := r.connect(rawAsk); !errors.Is(q.err, backend.ErrStopped) {
		t.Errorf("error %v", q.err)
	}
	if got := p.ask("still"); got != "still" {
		t.Errorf("got %q", got)
	}
	p.finish()
	if got := waiting.ask("me too"); got != "me too" {
		t.Errorf("got %q", got)
	}
	waiting.finish()
	<-stopped
}

// When the time is over, open connections end with their worker, and waiting ones are reset.
func TestSocketStopInTheEnd(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}}})
	r.ready(1)
	p, waiting := r.connect(rawAsk), r.connect(rawAsk)
	p.ask("hello")
	r.stop(50 * time.Millisecond)
	p.end()
	waiting.wantReset()
}

// Workers are killed all the time. Every connection is served or ends, and no descriptor is left anywhere (the end of each
// test here checks that).
func TestSocketsKilledAtRandom(t *testing.T) {
	r := start(t, setup{loops: 2, options: [][3]any{
		{0, "min_fork", 4}, {0, "max_fork", 6}, {0, "fork_error_delay", 0.005}, {0, "fork_delay", 0.005}}})
	r.ready(4)
	stop, killed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(killed)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(15 * time.Millisecond):
			}
			serving := r.p.Stats()
			if pids := r.h.pids(); len(pids) > 1 && serving.Idle+serving.Busy > 1 { // only while another one serves, as in TestKillsAtRandom
				unix.Kill(pids[i%len(pids)], unix.SIGKILL)
			}
		}
	}()
	served, begin := 0, time.Now()
	for i := 0; i < 300 || served < 10 && time.Since(begin) < testPatience; i++ {
		p := r.connectOn(i%2, rawAsk)
		if p.err != nil {
			if !errors.Is(p.err, backend.ErrNoWorker) {
				t.Fatal(p.err)
			}
			time.Sleep(time.Millisecond) // while the pool pauses after deaths
			continue
		}
		want := strconv.Itoa(i) + "\n"
		p.Write([]byte(want))
		p.CloseWrite()
		got, err := io.ReadAll(p.r)
		if err == nil && string(got) == want {
			served++
		} else if err != nil && !errors.Is(err, syscall.ECONNRESET) || err == nil && len(got) > 0 {
			t.Errorf("got %q, %v", got, err)
		}
		p.Close()
	}
	close(stop)
	<-killed
	if served == 0 {
		t.Error("not one connection was served")
	}
	t.Logf("%d served, %+v", served, r.p.Stats())
	r.quiet()
}
