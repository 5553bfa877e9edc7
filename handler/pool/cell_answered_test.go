package pool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// finished is what the connection hears of an exchange whose worker has finished the response and works on.
var finished = result{out: "finished", calls: 1, complete: true}

// The connection has the response at once, and the worker stays busy until its handler has returned.
func TestAnswered(t *testing.T) {
	for _, end := range []backend.End{backend.EndKeep, backend.EndClose} {
		r := start(t, setup{options: [][3]any{{0, "min_fork", 2}, {0, "max_fork", 2}}})
		r.ready(2)
		name := filepath.Join(t.TempDir(), "released")
		want, target := finished, "finish?"+name
		if want.end = end; end == backend.EndClose {
			target = "finish-close?" + name
		}
		q := r.send(&request{method: "POST", target: target})
		if got := q.wait(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if n := r.p.living(); n != 0 {
			t.Errorf("%d connections wait, want 0", n)
		}
		wantOut(t, r.get("hello?other"), "hello other") // of the other worker
		eventually(t, "one worker is busy", func() bool {
			s := r.p.Stats()
			return s.Busy == 1 && s.Idle == 1 && s.InFlight == 1
		})
		marker(name)
		q.awaitLeft()
		r.quiet()
	}
}

// An exchange that a worker finishes and ends before the loop looks at it ends like any other.
func TestAnsweredAndDone(t *testing.T) {
	s := newStill(t, 1)
	x := &plain{}
	s.start(x, testHead())
	c := s.claim(0)
	out, _ := s.l.p.mem.OutCell(c.Loop, c.Cell)
	out.OutHead.Store(10)
	out.Flags.Store(shm.OutComplete)
	s.peers[0].Signal(c)
	s.peers[0].Finish(c, 0)
	s.turn(0)
	if *x != (plain{bytes: 10, done: 1}) {
		t.Errorf("%+v", *x)
	}
}

// A worker that goes on is heard of once more, by a ring of its own.
func TestAnsweredThenDone(t *testing.T) {
	s := newStill(t, 1)
	x := &plain{}
	s.start(x, testHead())
	c := s.claim(0)
	out, _ := s.l.p.mem.OutCell(c.Loop, c.Cell)
	out.OutHead.Store(10)
	out.Flags.Store(shm.OutComplete)
	s.peers[0].Signal(c)
	s.turn(0)
	if *x != (plain{bytes: 10, complete: 1}) || s.l.living.Load() != 0 || s.l.p.inFlight.Load() != 1 {
		t.Errorf("%+v, %d living, %d in flight", *x, s.l.living.Load(), s.l.p.inFlight.Load())
	}
	if !s.peers[0].Finish(c, 0) {
		t.Error("the loop sleeps, and is not to be rung")
	}
	s.turn(0)
	if *x != (plain{bytes: 10, complete: 1, left: 1}) || s.l.p.inFlight.Load() != 0 || s.l.living.Load() != 0 {
		t.Errorf("%+v, %d in flight, %d living", *x, s.l.p.inFlight.Load(), s.l.living.Load())
	}
}

// The death of a worker after its response loses nothing, and nothing is done twice.
func TestAnsweredDeath(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	for _, method := range []string{"GET", "POST"} {
		name := filepath.Join(t.TempDir(), "die")
		q := r.send(&request{method: method, target: "finish-die?" + name})
		if got := q.wait(); got != finished {
			t.Errorf("got %+v, want %+v", got, finished)
		}
		marker(name)
		q.awaitLeft()

		// None of it has been seen when the worker is gone, or some of it has.
		for _, take := range []int{0, 3} {
			q = r.send(&request{method: method, target: "finish-die-at-once", take: take})
			got := q.wait()
			if got.complete {
				q.awaitLeft()
				got.complete = false
			}
			if want := (result{out: "finished", calls: 1}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
	}
	r.quiet()
	eventually(t, "deaths counted", func() bool {
		s := r.p.Stats()
		return s.Deaths == 6 && s.Retries == 0 && s.Lost == 0
	})
}

// request_timeout counts on, and kills the worker. The connection hears nothing but the end.
func TestAnsweredOverdue(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "request_timeout", 1}, {0, "fork_error_delay", 0.01}}})
	q := r.send(&request{target: "finish?" + filepath.Join(t.TempDir(), "never")})
	if got := q.wait(); got != finished {
		t.Errorf("got %+v, want %+v", got, finished)
	}
	q.awaitLeft()
	r.log.await(t, "request_timeout: ending the worker")
	r.log.await(t, `request="GET /finish"`)
	r.log.await(t, "phase=\"after the response\"")
	r.log.await(t, "lost=0")
	r.quiet()
}

// A connection that goes away tells the worker, which may be writing. Nothing is heard of the exchange then.
func TestAnsweredCancel(t *testing.T) {
	r := start(t, setup{})
	q := r.send(&request{method: "HEAD", target: "finish-write"})
	if got := q.wait(); got != finished {
		t.Errorf("got %+v, want %+v", got, finished)
	}
	q.cancelComplete()
	r.quiet()
	select {
	case <-q.left:
		t.Error("Left after Cancel")
	default:
	}
}

// A body that has arrived can be read after the response, even by a handler whose client has gone. A body that has not is
// broken off.
func TestAnsweredBody(t *testing.T) {
	r := start(t, setup{in: 256, out: 256})
	body := strings.Repeat("b", 2000)
	for _, c := range []struct {
		q      request
		cancel bool
		want   string
	}{
		{request{body: []byte(body)}, false, body + " aborted: false"},
		{request{body: []byte(body)}, true, body + " aborted: false"},
		{request{body: []byte(body[:100]), chunked: true, stall: true}, false, body[:100] + " aborted: true"},
	} {
		name := filepath.Join(t.TempDir(), "read")
		q := c.q
		q.method, q.target = "POST", "finish-read?"+name
		q.start(t, r.loops[0], r.lbs[0])
		if got := q.wait(); got != finished {
			t.Errorf("got %+v, want %+v", got, finished)
		}
		if c.cancel {
			q.cancelComplete()
		}
		marker(name)
		eventually(t, "the body is read", func() bool {
			got, err := os.ReadFile(name + ".body")
			return err == nil && string(got) == c.want
		})
	}
	r.quiet()
}

// Whatever else the worker says after its response does not concern the connection.
func TestAnsweredIsFinal(t *testing.T) {
	r := start(t, setup{})
	name := filepath.Join(t.TempDir(), "released")
	q := r.send(&request{target: "finish-reset?" + name})
	if got := q.wait(); got != finished {
		t.Errorf("got %+v, want %+v", got, finished)
	}
	marker(name)
	q.awaitLeft()
	r.quiet()
	if s := r.p.Stats(); s.Deaths != 0 {
		t.Errorf("%+v", s)
	}
}

// A response of no bytes cannot be complete.
func TestAnsweredWithNothing(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	wantStatus(t, r.get("finish-nothing"), 502)
	r.log.await(t, "complete without a response")
	r.quiet()
}

// The worker is gone before the connection hears of that: the exchange is over all the same.
func TestAnsweredWithNothingByTheDead(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	q := r.send(&request{target: "sleep?1000000"})
	r.claimed(q)
	r.loops[0].do(func() { // as violated does, before what it has posted
		c := r.lbs[0].(*loop).cells.inUse[0]
		if !c.identify() {
			t.Error("nobody has the exchange")
			return
		}
		c.response.whole = true
		c.worker.kill("broken protocol")
		c.setState(cellKilling)
	})
	wantStatus(t, q.wait(), 502)
	r.quiet()
}

// A pool that stops waits for handlers that work on, until the time is over.
func TestAnsweredStop(t *testing.T) {
	for _, c := range []struct {
		grace   time.Duration
		release bool
	}{{testPatience, true}, {50 * time.Millisecond, false}} {
		r := start(t, setup{})
		name := filepath.Join(t.TempDir(), "released")
		q := r.send(&request{target: "finish?" + name})
		q.wait()
		stopped := make(chan error)
		go func() { stopped <- r.stop(c.grace) }()
		if c.release {
			eventually(t, "no exchange is taken", r.p.stopping.Load)
			marker(name)
		}
		if err := <-stopped; (err == nil) != c.release {
			t.Errorf("stopped within %v: %v", c.grace, err)
		}
		q.awaitLeft()
	}
}
