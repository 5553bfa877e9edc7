package pool

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen/listentest"
)

// Handlers that block get the workers that they need, whatever is asleep, within a bounded time.
func TestWakeForBlocking(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 8}, {0, "max_fork", 8}}})
	r.ready(8)
	for range 2 {
		dir := t.TempDir()
		var qs []*request
		for range 8 {
			qs = append(qs, r.send(&request{target: "meet?8," + dir}))
		}
		for _, q := range qs { // each is answered when a worker is at each of them
			wantOut(t, q.wait(), "met")
		}
	}
	r.quiet()
}

// A loop that waits for a long handler does not turn all the time.
func TestNoSpinning(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 2}, {0, "pre_fork", 2}}})
	r.ready(2)
	a, b := r.occupy(), r.occupy()
	waiting := r.send(&request{target: "hello?"})
	r.loops[0].do(func() {})
	blocked := func() (n int) {
		r.loops[0].do(func() { n = r.loops[0].blocked })
		return n
	}
	// A loop that turns all the time never blocks except for these calls, each of which costs it at most one turn.
	calls, before := 0, blocked()
	eventually(t, "the loop blocks", func() bool {
		calls++
		time.Sleep(100 * time.Millisecond)
		return blocked()-before > 2*calls
	})
	a()
	b()
	wantOut(t, waiting.wait(), "hello ")
	r.quiet()
}

// A queue that does not get shorter makes the pool grow up to max_fork, and a pool that idles shrinks to its minimum.
func TestGrowAndShrink(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "pre_fork", 1}, {0, "min_fork", 1}, {0, "max_fork", 4},
		{0, "fork_delay", 0.01}, {0, "exit_delay", 0.02}}})
	r.ready(1)
	name := filepath.Join(t.TempDir(), "released")
	var qs []*request
	for range 12 {
		qs = append(qs, r.send(&request{target: "hold?" + name}))
	}
	r.ready(4)
	if s := r.p.Stats(); s.Busy != 4 || s.Forks != 4 {
		t.Errorf("stats %+v", s)
	}
	marker(name)
	for _, q := range qs {
		wantOut(t, q.wait(), "held")
	}
	eventually(t, "one worker", func() bool {
		s := r.p.Stats()
		return s.Idle == 1 && s.Busy+s.Booting+s.Draining == 0
	})
	if s := r.p.Stats(); s.Deaths != 0 {
		t.Errorf("stats %+v", s)
	}
	wantOut(t, r.get("hello?x"), "hello x")
}

// Without a minimum there is no worker until an exchange comes.
func TestForkOnDemand(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "pre_fork", 0}, {0, "min_fork", 0}, {0, "exit_delay", 0.01}, {0, "fork_delay", 0}}})
	if s := r.p.Stats(); s.Forks != 0 {
		t.Errorf("stats %+v", s)
	}
	wantOut(t, r.get("hello?x"), "hello x")
	eventually(t, "no worker", func() bool { s := r.p.Stats(); return s.Idle+s.Busy+s.Draining == 0 })
	wantOut(t, r.get("hello?y"), "hello y")
}

func TestIdleTimeout(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}, {0, "idle_timeout", 0.05}}})
	r.ready(1)
	first := r.get("pid").out
	eventually(t, "another worker", func() bool {
		time.Sleep(150 * time.Millisecond)
		return r.get("pid").out != first
	})
	if s := r.p.Stats(); s.Deaths != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestRetireAndRecycle(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 2}, {0, "pre_fork", 1}, {0, "max_requests_per_fork", 20}}})
	r.ready(1)
	wantOut(t, r.get("retire"), "last")
	pids := map[string]int{}
	for range 500 {
		got := r.get("pid")
		if got.out == "" {
			t.Fatalf("%+v", got)
		}
		pids[got.out]++
	}
	eventually(t, "replaced", func() bool { pids[r.get("pid").out]++; return len(pids) >= 4 })
	if s := r.p.Stats(); s.Deaths != 0 || s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
	r.quiet()
}

func TestJitter(t *testing.T) {
	seen := map[uint64]bool{}
	for seq := range uint64(1000) {
		n := jitter(1000, seq)
		if n < 900 || n > 1100 {
			t.Fatalf("jitter(1000, %d) = %d", seq, n)
		}
		seen[n] = true
	}
	if len(seen) < 100 || jitter(0, 1) != 0 || jitter(1, 5) != 1 {
		t.Errorf("%d values, %d, %d", len(seen), jitter(0, 1), jitter(1, 5))
	}
}

// While prepare fails no exchange is made to wait, and workers are forked slowly.
func TestPrepareFails(t *testing.T) {
	r := start(t, setup{script: "prepare-fail", options: [][3]any{{0, "fork_error_delay", 0.05}}})
	r.log.await(t, "prepare: boom")
	eventually(t, "refused", func() bool { return r.p.noWorker.Load() })
	if got := r.get("hello?"); !errors.Is(got.err, backend.ErrNoWorker) {
		t.Errorf("got %+v", got)
	}
	before, began := r.p.Stats().Forks, time.Now()
	time.Sleep(300 * time.Millisecond)
	forks, took := r.p.Stats().Forks-before, time.Since(began)
	if most := 2 * (2 + uint64(took/(50*time.Millisecond))); uint64(forks) > most {
		t.Errorf("%d forks in %v, want at most %d", forks, took, most)
	}
}

// The same without a minimum, although exchanges, which cause forks, are refused while the pool seems broken.
func TestPrepareRecoversOnDemand(t *testing.T) {
	r := start(t, setup{script: "prepare-once " + filepath.Join(t.TempDir(), "m"),
		options: [][3]any{{0, "pre_fork", 0}, {0, "min_fork", 0}, {0, "fork_error_delay", 0.5}, {0, "queue_timeout", 0.1}}})
	first := r.get("hello?x")
	t.Logf("the first one: %+v", first)
	eventually(t, "served", func() bool { return r.get("hello?x").out == "hello x" })
	r.quiet()
}

// A worker does not report what it does after an exchange. When it goes to sleep at last, that is noticed.
func TestIdleAfterLingering(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "pre_fork", 0}, {0, "min_fork", 0}, {0, "max_fork", 1}, {0, "exit_delay", 0.01}}})
	wantOut(t, r.get("linger?200"), "lingers")
	eventually(t, "no worker", func() bool { s := r.p.Stats(); return s.Idle+s.Busy+s.Draining == 0 })
	r.quiet()
}

func TestPrepareRecovers(t *testing.T) {
	r := start(t, setup{script: "prepare-once " + filepath.Join(t.TempDir(), "m"),
		options: [][3]any{{0, "fork_error_delay", 0.05}}})
	eventually(t, "served", func() bool { return r.get("hello?x").out == "hello x" })
	r.quiet()
}

func TestForkFails(t *testing.T) {
	r := start(t, setup{script: "no-fork", options: [][3]any{{0, "fork_error_delay", 0.02}}})
	r.log.await(t, "fork failed")
	eventually(t, "refused", func() bool { return r.p.noWorker.Load() })
}

// Ticks come, one at a time, and wait while no worker is there; exchanges go on beside them.
func TestIntervals(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(strconv.FormatBool(strict), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ticks")
			r := start(t, setup{options: [][3]any{{2, "proto", "interval"}, {2, "delay", 0.02}, {2, "name", file},
				{2, "strict", strict}, {2, "connect", listentest.Func{}}, {0, "max_fork", 1}}})
			ticks := func() int {
				b, _ := os.ReadFile(file)
				return strings.Count(string(b), "\n")
			}
			eventually(t, "ticks", func() bool { return ticks() >= 5 })
			release := r.occupy()
			before := ticks()
			time.Sleep(100 * time.Millisecond)
			if n := ticks() - before; n > 0 {
				t.Errorf("%d ticks while the only worker was busy", n)
			}
			release()
			before = ticks()
			eventually(t, "more ticks", func() bool { return ticks() >= before+3 })
			r.stop(testPatience)
			before = ticks()
			time.Sleep(60 * time.Millisecond)
			if ticks() != before {
				t.Error("ticks after Stop")
			}
		})
	}
}

func TestNextDue(t *testing.T) {
	for _, c := range []struct {
		due, now, delay int64
		strict          bool
		want            int64
	}{
		{100, 130, 50, false, 180},
		{100, 130, 50, true, 150},
		{100, 149, 50, true, 150},
		{100, 150, 50, true, 200},
		{100, 270, 50, true, 300},
		{100, 90, 50, true, 150},
	} {
		if got := nextDue(c.due, c.now, c.delay, c.strict); got != c.want {
			t.Errorf("nextDue(%d, %d, %d, %v) = %d, want %d", c.due, c.now, c.delay, c.strict, got, c.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	var sum time.Duration
	for range 20 {
		p := b.pause(time.Second)
		if p > backoffMax {
			t.Errorf("pause of %v", p)
		}
		sum += p
	}
	if sum < 5*backoffMax {
		t.Errorf("20 pauses sum up to %v", sum)
	}
	if p := b.pause(2 * backoffReset); p != backoffFirst {
		t.Errorf("after a long life: %v", p)
	}
}
