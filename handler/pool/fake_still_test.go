package pool

import (
	"net/netip"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/pool/listen/listentest"
	"moonbridge/handler/pool/policy"
	"moonbridge/handler/shm"
	"moonbridge/handler/shm/shmtest"
	"moonbridge/httpparse"
)

// stillLoop is a loop without a goroutine and with a clock of its own: the test takes its turns and moves its time.
type stillLoop struct {
	now    int64
	again  bool // RepeatsEnd
	timers []*stillTimer
}

type stillTimer struct {
	at int64
	fn func() // nil: stopped, or has fired
}

func (t *stillTimer) Stop() bool {
	was := t.fn != nil
	t.fn = nil
	return was
}

func (l *stillLoop) RepeatsEnd() bool        { return l.again }
func (l *stillLoop) Index() int              { return 0 }
func (l *stillLoop) Count() int              { return 1 }
func (l *stillLoop) Post(fn func())          { fn() }
func (l *stillLoop) Now() int64              { return l.now }
func (l *stillLoop) Clock() int64            { return l.now }
func (l *stillLoop) Watch(int, func()) error { return nil }
func (l *stillLoop) Unwatch(int) error       { return nil }
func (l *stillLoop) OnTurn(backend.Turn)     {}
func (l *stillLoop) OffTurn(backend.Turn)    {}

func (l *stillLoop) After(d time.Duration, fn func()) backend.Timer {
	t := &stillTimer{l.now + int64(d), fn}
	l.timers = append(l.timers, t)
	return t
}

// fire calls the timers that are due.
func (l *stillLoop) fire() {
	timers := l.timers
	l.timers = nil
	for _, t := range timers {
		if t.fn != nil && t.at <= l.now {
			fn := t.fn
			t.fn = nil
			fn()
		} else if t.fn != nil {
			l.timers = append(l.timers, t)
		}
	}
}

// still is a pool on one stillLoop, with workers that have no process: the test plays them with shmtest.Worker.
type still struct {
	t       testing.TB
	on      *stillLoop
	l       *loop
	workers []*Worker
	peers   []*shmtest.Worker // the workers' halves of the protocol
}

func newStill(tb testing.TB, workers int, options ...[3]any) *still {
	tb.Helper()
	spec, err := listen.Decode(listentest.Message(append(options, listentest.Listener...)...))
	if err != nil {
		tb.Fatal(err)
	}
	h := &Host{cfg: Config{Loops: 1, InWindow: 4096, OutWindow: 4096}}
	if err := h.complete(); err != nil {
		tb.Fatal(err)
	}
	p, err := newPool(h, 0, spec)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.close)
	s := &still{t: tb, on: &stillLoop{now: 1}}
	for i := range workers {
		bell, err := shm.NewWorkerBell()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { bell.Close() })
		w := &Worker{p: p, fs: &forkServer{}, slot: i, bell: bell, in: p.mem.InWorker(i), out: p.mem.OutWorker(i),
			state: policy.Idle, seq: p.seqs.next()}
		w.serving.Store(true)
		p.slots[i].Store(w)
		s.workers = append(s.workers, w)
		s.peers = append(s.peers, shmtest.Of(p.mem).Worker(i))
	}
	p.epoch.Add(1)
	lb, err := p.Attach(s.on)
	if err != nil {
		tb.Fatal(err)
	}
	s.l = lb.(*loop)
	return s
}

// start starts an exchange.
func (s *still) start(x backend.Exchange, h *httpparse.Head) {
	if _, err := s.l.Start(x, h, 0, nil, false); err != nil {
		s.t.Fatal(err)
	}
}

// begin starts an exchange on a listener, and returns it.
func (s *still) begin(x backend.Exchange, listener int) *cell {
	s.t.Helper()
	r, err := s.l.Start(x, testHead(), listener, nil, false)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.(*cell)
}

// turn is a turn of the loop some time after the last one.
func (s *still) turn(after time.Duration) {
	s.on.now += int64(after)
	s.l.BeginTurn()
	s.on.fire()
	s.l.EndTurn()
}

// claim has a worker take an exchange.
func (s *still) claim(worker int) shmtest.Claim {
	c, ok := s.peers[worker].Claim()
	if !ok {
		s.t.Fatal("not claimed")
	}
	return c
}

// answer has a worker finish an exchange with n bytes of output.
func (s *still) answer(worker int, c shmtest.Claim, n uint64) {
	out, _ := s.l.p.mem.OutCell(c.Loop, c.Cell)
	out.OutHead.Store(n)
	s.peers[worker].Finish(c, 0)
}

// plain is an exchange that takes everything.
type plain struct{ bytes, done, failed, status, complete, left int }

func (x *plain) Output(a, b []byte, _ bool) int        { x.bytes += len(a) + len(b); return len(a) + len(b) }
func (x *plain) Done(backend.End)                      { x.done++ }
func (x *plain) Complete(backend.Running, backend.End) { x.complete++ }
func (x *plain) Left(backend.Running)                  { x.left++ }
func (x *plain) Failed(status int, _ time.Duration)    { x.failed++; x.status = status }
func (x *plain) BodyRoom()                             {}
func (x *plain) BodyWanted()                           {}
func (x *plain) Addrs() (local, remote netip.AddrPort) { return local, remote }

func testHead() *httpparse.Head {
	q := &request{method: "GET", target: "hello?x=1", fields: [][2]string{{"Host", "example.org"}, {"Accept", "*/*"}}}
	return q.head()
}
