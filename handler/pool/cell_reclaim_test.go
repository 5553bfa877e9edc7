package pool

import (
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
)

// What becomes of an exchange whose worker dies, depending on the method and on when it dies.
func TestDeath(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		q    request
		want result
	}{
		{"GET, once more", request{target: "die-once?" + filepath.Join(dir, "a")}, result{out: "survived"}},
		{"PUT with body, once more", request{method: "PUT", target: "die-once?" + filepath.Join(dir, "b"), body: []byte("x")},
			result{out: "survived"}},
		{"GET, but only once more", request{target: "die"}, result{status: 502}},
		{"POST", request{method: "POST", target: "die-once?" + filepath.Join(dir, "c")}, result{status: 502}},
		{"exit", request{method: "POST", target: "exit"}, result{status: 502}},
		{"output was published", request{target: "die-once-partial?" + filepath.Join(dir, "d")}, result{out: "partial", status: 502}},
		{"output was taken", request{target: "die-after"}, result{out: "partial", status: 502}},
		{"done, not told", request{method: "POST", target: "die-done"}, result{out: "done"}},
		{"body beyond the window", request{method: "PUT", target: "die-once?" + filepath.Join(dir, "e"), body: make([]byte, 5000)},
			result{status: 502}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.calls = 1
			q := c.q
			if got := q.start(t, r.loops[0], r.lbs[0]).wait(); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	r.quiet()
	eventually(t, "deaths counted", func() bool {
		s := r.p.Stats()
		return s.Deaths == 10 && s.Retries == 3 && s.Lost == 6
	})
	r.log.await(t, "signal SIGKILL")
	r.log.await(t, "lost=1")
	r.p.tally.Flush()
	r.log.await(t, `level=WARN msg="requests failed" pool=0 status=502 cause="worker ended" count=`)
	r.log.await(t, `level=WARN msg="requests failed" pool=0 cause="worker ended" count=`) // these have begun a response
}

func setCorruptGrace(t *testing.T) {
	old := corruptGrace
	corruptGrace = 300 * time.Millisecond
	t.Cleanup(func() { corruptGrace = old })
}

// A worker that breaks the protocol is killed, its exchange fails, and no other exchange is harmed.
func TestViolations(t *testing.T) {
	setCorruptGrace(t)
	r := start(t, setup{in: 256, out: 256, options: [][3]any{{0, "fork_error_delay", 0.01}, {0, "min_fork", 3}}})
	r.ready(3)
	for _, target := range []string{"bad-start", "bad-head", "bad-back", "bad-owner", "babble", "hang-up", "bad-tail"} {
		t.Run(target, func(t *testing.T) {
			q := &request{method: "POST", target: target}
			if target == "bad-tail" {
				q.rest = make([]byte, 3000)
			}
			q.start(t, r.loops[0], r.lbs[0])
			for range 3 {
				wantOut(t, r.get("hello?x"), "hello x")
			}
			got := q.wait()
			if got.status != 502 || got.calls != 1 {
				t.Errorf("got %+v", got)
			}
		})
	}
	r.quiet() // the cell with the destroyed owner word included
	r.log.await(t, "broken protocol")
	r.log.await(t, "unknown message")
	r.log.await(t, "replacing all workers")
}

// Workers are killed all the time, at whatever they do. Every exchange is answered once; those that may be repeated and
// have lost one worker at most get a good answer. One that has just been forked is killed too, but only while another one
// serves: otherwise a slow machine starts none between two kills, and the pool pauses.
func TestKillsAtRandom(t *testing.T) {
	r := start(t, setup{loops: 2, in: 256, out: 64, options: [][3]any{
		{0, "min_fork", 4}, {0, "max_fork", 6}, {0, "fork_error_delay", 0.005}, {0, "fork_delay", 0.005}}})
	r.ready(4)
	var kills atomic.Int32
	go func() {
		for kills.Load() < 60 {
			time.Sleep(time.Duration(5+rand.IntN(20)) * time.Millisecond)
			serving := r.p.Stats()
			if pids := r.h.pids(); len(pids) > 1 && serving.Idle+serving.Busy > 1 {
				unix.Kill(pids[rand.IntN(len(pids))], unix.SIGKILL)
				kills.Add(1)
			}
		}
	}()
	var qs []*request
	lost := 0
	for i := 0; kills.Load() < 60; i++ {
		q := &request{target: "hello?" + strconv.Itoa(i)}
		switch i % 4 {
		case 1:
			q = &request{method: "POST", target: "echo", rest: []byte("0123456789012345678901234567890123456789" + strconv.Itoa(i))}
		case 2:
			q.target = "big?500"
		}
		qs = append(qs, r.sendOn(i%2, q))
		if i%16 == 15 {
			for _, q := range qs {
				lost += checkKilled(t, q)
			}
			qs = qs[:0]
		}
	}
	for _, q := range qs {
		lost += checkKilled(t, q)
	}
	r.quiet()
	t.Logf("%d exchanges lost, %+v", lost, r.p.Stats())
	eventually(t, "served at the end", func() bool { return r.get("hello?end").out == "hello end" })
}

func checkKilled(t *testing.T, q *request) (lost int) {
	t.Helper()
	got := q.wait()
	if got.calls != 1 {
		t.Errorf("%s: %+v", q.target, got)
	}
	if got.status == 502 || got.err == backend.ErrNoWorker {
		return 1
	}
	if got.err != nil || got.status != 0 {
		t.Errorf("%s: %+v", q.target, got)
	}
	switch want := ""; q.target[:3] {
	case "hel":
		if want = "hello " + q.target[6:]; got.out != want {
			t.Errorf("%s: %+v", q.target, got)
		}
	case "big":
		if len(got.out) != 500 {
			t.Errorf("%s: %d bytes", q.target, len(got.out))
		}
	}
	return 0
}

// Workers that write random numbers over everything that they can write to do not bring the server down, and when they
// are gone everything works again.
func TestScribble(t *testing.T) {
	setCorruptGrace(t)
	r := start(t, setup{loops: 2, in: 64, out: 64, options: [][3]any{
		{0, "min_fork", 3}, {0, "fork_error_delay", 0.005}, {0, "queue_timeout", 1}, {0, "request_timeout", 2}}})
	r.ready(3)
	for range 8 {
		var qs []*request
		qs = append(qs, r.send(&request{method: "POST", target: "scribble"}))
		for i := range 20 {
			qs = append(qs, r.sendOn(i%2, &request{target: "big?300"}),
				r.sendOn(i%2, &request{method: "POST", target: "echo", rest: make([]byte, 200)}))
		}
		for _, q := range qs {
			if got := q.wait(); got.calls != 1 {
				t.Errorf("%s: %+v", q.target, got)
			}
		}
	}
	eventually(t, "all workers replaced and cells free", func() bool { return r.p.inFlight.Load() == 0 })
	for i := range 20 {
		eventually(t, "served again", func() bool { return r.sendOn(i%2, &request{target: "hello?x"}).wait().out == "hello x" })
	}
	r.quiet()
}

// A worker that says again and again that it has not started cannot fill the log: it is ended.
func TestNotStartedAgainAndAgain(t *testing.T) {
	r := start(t, setup{})
	wantStatus(t, r.send(&request{method: "POST", target: "not-started"}).wait(), 502)
	if n := strings.Count(r.log.String(), "worker: not started"); n != 1 {
		t.Errorf("%d lines", n)
	}
}
