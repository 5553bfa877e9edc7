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

// stillLoop is a loop without a goroutine: the test takes its turns.
type stillLoop struct{ now int64 }

type noTimer struct{}

func (noTimer) Stop() bool { return true }

func (l *stillLoop) Index() int                                { return 0 }
func (l *stillLoop) Count() int                                { return 1 }
func (l *stillLoop) Post(fn func())                            { fn() }
func (l *stillLoop) Now() int64                                { return l.now }
func (l *stillLoop) Clock() int64                              { return l.now }
func (l *stillLoop) After(time.Duration, func()) backend.Timer { return noTimer{} }
func (l *stillLoop) Watch(int, func()) error                   { return nil }
func (l *stillLoop) Unwatch(int) error                         { return nil }
func (l *stillLoop) OnTurn(backend.Turn)                       {}
func (l *stillLoop) OffTurn(backend.Turn)                      {}

// plain is an exchange that takes everything.
type plain struct{ bytes, done int }

func (x *plain) Output(a, b []byte, _ bool) int        { x.bytes += len(a) + len(b); return len(a) + len(b) }
func (x *plain) Done(backend.End)                      { x.done++ }
func (x *plain) Failed(int, time.Duration)             { x.done -= 1 << 30 }
func (x *plain) BodyRoom()                             {}
func (x *plain) BodyWanted()                           {}
func (x *plain) Addrs() (local, remote netip.AddrPort) { return local, remote }

// inProcess is a pool whose worker is in this process, so that the way from Start to Done can be measured alone.
func inProcess(tb testing.TB) (*loop, *shmtest.Worker) {
	spec, err := listen.Decode(listentest.Message(listentest.Listener...))
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
	bell, err := shm.NewWorkerBell()
	if err != nil {
		tb.Fatal(err)
	}
	w := &Worker{p: p, fs: &forkServer{}, bell: bell, in: p.mem.InWorker(0), out: p.mem.OutWorker(0), state: policy.Idle, seq: 1}
	w.serving.Store(true)
	p.slots[0].Store(w)
	p.epoch.Add(1)
	lb, err := p.Attach(&stillLoop{now: 1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.close(); bell.Close() })
	return lb.(*loop), shmtest.Of(p.mem).Worker(0)
}

func oneExchange(tb testing.TB, l *loop, w *shmtest.Worker, x *plain, h *httpparse.Head) {
	if _, err := l.Start(x, h, 0, nil, false); err != nil {
		tb.Fatal(err)
	}
	l.BeginTurn()
	l.ring()
	c, ok := w.Claim()
	if !ok {
		tb.Fatal("not claimed")
	}
	out, _ := l.p.mem.OutCell(c.Loop, c.Cell)
	out.OutHead.Store(100)
	w.Finish(c, 0)
	l.EndTurn()
}

func testHead() *httpparse.Head {
	q := &request{method: "GET", target: "hello?x=1", fields: [][2]string{{"Host", "example.org"}, {"Accept", "*/*"}}}
	return q.head()
}

func TestNoAllocation(t *testing.T) {
	l, w := inProcess(t)
	x, h := &plain{}, testHead()
	n := testing.AllocsPerRun(1000, func() { oneExchange(t, l, w, x, h) })
	if n != 0 {
		t.Errorf("%v allocations for an exchange", n)
	}
	if x.done != 1001 || x.bytes != 100*1001 {
		t.Errorf("%+v", x)
	}
}

func BenchmarkExchange(b *testing.B) {
	l, w := inProcess(b)
	x, h := &plain{}, testHead()
	b.ReportAllocs()
	for b.Loop() {
		oneExchange(b, l, w, x, h)
	}
}

func BenchmarkIdleTurn(b *testing.B) {
	l, _ := inProcess(b)
	for b.Loop() {
		l.BeginTurn()
		l.EndTurn()
	}
}
