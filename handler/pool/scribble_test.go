package pool

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"moonbridge/handler/shm"
)

func setBeginSpan(t *testing.T) {
	old := beginSpan
	beginSpan = 200 * time.Millisecond
	t.Cleanup(func() { beginSpan = old })
}

// Whatever a worker writes into shared memory, and without any time limit that would end an exchange: each is ended once,
// all cells come back, and when the worker is gone the pool is as good as new.
func TestScribbleSeeds(t *testing.T) {
	setCorruptGrace(t)
	setBeginSpan(t)
	first := rand.IntN(1<<30) + 1
	t.Logf("seeds from %d on", first)
	r := start(t, setup{loops: 2, in: 64, out: 64, options: [][3]any{
		{0, "min_fork", 3}, {0, "fork_error_delay", 0.005}, {0, "fork_delay", 0.005}, {0, "queue_timeout", 2}}})
	r.ready(3)
	for seed := first; seed < first+24; seed++ {
		var qs []*request
		qs = append(qs, r.send(&request{method: "POST", target: fmt.Sprintf("scribble?%d", seed)}))
		for i := range 20 {
			qs = append(qs,
				r.sendOn(i%2, &request{target: "big?300"}),
				r.sendOn(i%2, &request{target: fmt.Sprintf("hello?%d.%d", seed, i)}),
				r.sendOn(i%2, &request{method: "POST", target: "echo", rest: make([]byte, 200)}))
		}
		for i, q := range qs {
			if got := q.wait(); got.calls != 1 {
				t.Errorf("seed %d: %d: %s: %+v", seed, i, q.target, got)
			}
		}
	}
	eventually(t, "all workers replaced and cells free", func() bool { return r.p.inFlight.Load() == 0 })
	for i := range 20 {
		eventually(t, "served again", func() bool { return r.sendOn(i%2, &request{target: "hello?x"}).wait().out == "hello x" })
	}
	for i := range 200 {
		nonce := fmt.Sprint("after", i)
		wantOut(t, r.sendOn(i%2, &request{target: "hello?" + nonce}).wait(), "hello "+nonce)
	}
	r.quiet()
}

func init() {
	// Its result is destroyed before the loop has seen it; the worker goes on.
	behaviours["lost-result"] = func(s *served, query string) {
		s.out.Result.Store(0)
		s.p.m.OutWorker(s.p.w.Slot()).At.Store(0)
		s.signal()
	}
	// The result of another exchange is in the cell for a while, with output: a worker that was late.
	behaviours["old-result"] = func(s *served, query string) {
		s.out.Result.Store(shm.Result(s.c.Gen-1, shm.ResultDone))
		s.signal()
		time.Sleep(50 * time.Millisecond)
		s.write([]byte("mine"))
		s.finish(0)
	}
	// It sleeps, and its flag says that it does not.
	behaviours["numb"] = func(s *served, query string) {
		s.p.sleep(func() bool {
			s.p.w.Awake()
			return false
		})
		s.write([]byte("rung"))
		s.finish(0)
	}
}

// Destroyed words of one exchange cost at most that exchange, and only for a while.
func TestDestroyedWords(t *testing.T) {
	setBeginSpan(t)
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}, {0, "min_fork", 2}, {0, "max_fork", 2}}})
	r.ready(2)
	wantOut(t, r.get("old-result"), "mine")
	wantStatus(t, r.get("lost-result"), 502)
	r.log.await(t, "claimed an exchange that it is not working on")
	wantOut(t, r.get("numb"), "rung")
	wantOut(t, r.get("hello?x"), "hello x")
	r.quiet()
}

// An exchange is served although a worker has written to the tail of the queue until the exchange's entry was used again.
func TestDestroyedTail(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}, {0, "queue_limit", 4}}})
	r.ready(1)
	release := r.occupy()
	lost := r.send(&request{method: "POST", target: "hello?lost"})
	l := r.p.loops[0]
	r.loops[0].do(func() {
		for first := l.queue.Next() - 1; !l.queue.Overwritten(first); {
			l.p.mem.OutLoop(0).QTail.Store(l.queue.Next())
			q := &request{t: t, l: r.loops[0], lb: r.lbs[0], target: "hello?x", done: make(chan struct{})}
			if q.begin(); q.got.err != nil {
				t.Error(q.got.err)
				return
			}
			q.over = true
			q.r.Cancel()
		}
	})
	release()
	wantOut(t, lost.wait(), "hello lost")
	wantOut(t, r.get("hello?x"), "hello x")
	r.quiet()
}

// A worker that sleeps, and whose flag says that it does not, is not taken to be busy for ever.
func TestDestroyedFlag(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 2}, {0, "max_fork", 2}}})
	r.ready(2)
	idle := func() bool { s := r.p.Stats(); return s.Idle == 2 }
	eventually(t, "the workers are idle", idle)
	for slot := range r.p.slots {
		if r.p.worker(uint32(slot)) != nil {
			r.p.mem.OutWorker(slot).Asleep.Store(0)
		}
	}
	r.p.kick()
	eventually(t, "the workers are idle again", idle)
}

// A worker that does not get the socket that it was sent is ended; one that got it keeps it.
func TestSocketLostOnItsWay(t *testing.T) {
	old := takeSpan
	takeSpan = time.Second
	t.Cleanup(func() { takeSpan = old })
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	p := r.connect(rawAsk)
	if got := p.ask("hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	q := r.connect(rawKeepsAsking)
	q.end()
	r.log.await(t, "does not take the descriptor that it asked for")
	time.Sleep(takeSpan)
	if got := p.ask("still there"); got != "still there" {
		t.Errorf("got %q", got)
	}
	p.finish()
	r.quiet()
}

// scribble writes random numbers over all control words of the out segment, for a moment.
func (p *fakeProc) scribble(seed int) {
	h := p.m.Header()
	r := rand.New(rand.NewPCG(uint64(seed), 7))
	var words []*atomic.Uint32
	span := func(at unsafe.Pointer, n uintptr) {
		for i := uintptr(0); i < n; i += 4 {
			words = append(words, (*atomic.Uint32)(unsafe.Add(at, i)))
		}
	}
	for l := range int(h.Loops) {
		out, _ := p.m.OutLoop(l)
		span(unsafe.Pointer(out), uintptr(h.OutLoopStride))
		for c := range min(int(h.Cells), 16) {
			o, _ := p.m.OutCell(l, c)
			span(unsafe.Pointer(o), 64)
		}
	}
	for w := range int(h.Workers) {
		span(unsafe.Pointer(p.m.OutWorker(w)), 64)
	}
	for range 20 * len(words) {
		v := r.Uint32()
		if r.IntN(2) == 0 {
			v &= 0xff
		}
		words[r.IntN(len(words))].Store(v)
	}
}
