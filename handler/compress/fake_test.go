package compress

import (
	"bytes"
	"net/netip"
	"sync"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// patience bounds every wait of a test.
const patience = time.Minute

// fakeLoop is a loop that runs on the test's goroutine.
type fakeLoop struct {
	now    int64
	mu     sync.Mutex
	posted []func()
	wake   chan struct{}
}

func newFakeLoop() *fakeLoop { return &fakeLoop{wake: make(chan struct{}, 1)} }

func (l *fakeLoop) Index() int                                     { return 0 }
func (l *fakeLoop) Count() int                                     { return 1 }
func (l *fakeLoop) Now() int64                                     { return l.now }
func (l *fakeLoop) Clock() int64                                   { return l.now }
func (l *fakeLoop) Watch(int, func()) error                        { return nil }
func (l *fakeLoop) Unwatch(int) error                              { return nil }
func (l *fakeLoop) OnTurn(backend.Turn)                            {}
func (l *fakeLoop) OffTurn(backend.Turn)                           {}
func (l *fakeLoop) After(d time.Duration, fn func()) backend.Timer { panic("After") }

func (l *fakeLoop) Post(fn func()) {
	l.mu.Lock()
	l.posted = append(l.posted, fn)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// turn runs what was posted.
func (l *fakeLoop) turn() {
	l.now++
	l.mu.Lock()
	posted := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, fn := range posted {
		fn()
	}
}

// wait runs turns until cond holds.
func (l *fakeLoop) wait(t *testing.T, cond func() bool) {
	t.Helper()
	over := time.After(patience)
	for l.turn(); !cond(); l.turn() {
		select {
		case <-l.wake:
		case <-over:
			t.Fatal("waited too long")
		}
	}
}

// fakeInner is a backend that does what the test says.
type fakeInner struct {
	x       backend.Exchange
	room    int // calls of OutputRoom
	cancels int
	peers   int
	more    func() // called by OutputRoom
}

func (f *fakeInner) Attach(backend.Loop) (backend.LoopBackend, error) { return f, nil }

func (f *fakeInner) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	f.x = x
	return f, nil
}

func (f *fakeInner) BodyRoom() (a, b []byte) { return make([]byte, 1), nil }
func (f *fakeInner) BodyCommit(int)          {}
func (f *fakeInner) BodyEnd()                {}
func (f *fakeInner) BodyAbort(bool)          {}
func (f *fakeInner) PeerEnd()                { f.peers++ }
func (f *fakeInner) Cancel()                 { f.cancels++ }
func (f *fakeInner) OutputRoom() {
	f.room++
	if f.more != nil {
		f.more()
	}
}

func (f *fakeInner) Times() (queue, service time.Duration) { return 3, 4 }

// fakeConn is the connection of one exchange.
type fakeConn struct {
	t       *testing.T
	r       backend.Running
	got     bytes.Buffer
	take    func(n int) int // how much it takes of n bytes; nil: all
	waits   bool            // it has taken less than was offered
	outputs int
	lasts   int // with last set, and taken in full

	ended    int
	end      backend.End
	complete bool
	left     int
	failed   int
}

func (c *fakeConn) Output(a, b []byte, last bool) int {
	if c.ended > 0 {
		c.t.Error("output after the end")
	}
	if c.waits {
		c.t.Error("output although the connection has no room")
	}
	c.outputs++
	n := len(a) + len(b)
	if c.take != nil {
		n = c.take(n)
	}
	all := append(append([]byte(nil), a...), b...)
	c.got.Write(all[:n])
	c.waits = n < len(all)
	if last && !c.waits {
		c.lasts++
	}
	return n
}

// room lets the exchange go on.
func (c *fakeConn) room() {
	c.waits = false
	c.r.OutputRoom()
}

func (c *fakeConn) Done(end backend.End) { c.ended, c.end = c.ended+1, end }

func (c *fakeConn) Complete(r backend.Running, end backend.End) {
	if r != c.r {
		c.t.Error("Complete with another Running than that of Start")
	}
	c.ended, c.end, c.complete = c.ended+1, end, true
}

func (c *fakeConn) Left(r backend.Running) {
	if r != c.r || !c.complete {
		c.t.Error("Left of what was not complete")
	}
	c.left++
}

func (c *fakeConn) Failed(status int, _ time.Duration)    { c.ended, c.failed = c.ended+1, status }
func (c *fakeConn) BodyRoom()                             {}
func (c *fakeConn) BodyWanted()                           {}
func (c *fakeConn) Addrs() (local, remote netip.AddrPort) { return }

// rig is an exchange between a fake backend and a fake connection.
type rig struct {
	t     *testing.T
	loop  *fakeLoop
	inner *fakeInner
	conn  *fakeConn
	b     *Backend
}

// newRig starts an exchange for a request.
func newRig(t *testing.T, request string, o Options) *rig {
	t.Helper()
	return startRig(t, request, o, NewShared())
}

func startRig(t *testing.T, request string, o Options, s *Shared) *rig {
	t.Helper()
	g := &rig{t: t, loop: newFakeLoop(), inner: new(fakeInner)}
	var err error
	if g.b, err = New(g.inner, o, s); err != nil {
		t.Fatal(err)
	}
	lb, err := g.b.Attach(g.loop)
	if err != nil {
		t.Fatal(err)
	}
	g.conn = g.start(lb, request)
	return g
}

func (g *rig) start(lb backend.LoopBackend, request string) *fakeConn {
	g.t.Helper()
	var p httpparse.Parser
	var h httpparse.Head
	if n, err := p.Parse(&h, []byte(request), nil); n == 0 || err != nil {
		g.t.Fatalf("%q: %d, %v", request, n, err)
	}
	h.ID = []byte("id")
	c := &fakeConn{t: g.t}
	r, err := lb.Start(c, &h, 0, nil, false)
	if err != nil {
		g.t.Fatal(err)
	}
	c.r = r
	return c
}

// out outputs a piece, which must be taken.
func (g *rig) out(p string, last bool) {
	g.t.Helper()
	if n := g.inner.x.Output([]byte(p), nil, last); n != len(p) {
		g.t.Fatalf("%d of %d bytes taken", n, len(p))
	}
}

// done ends the response and waits until the connection knows.
func (g *rig) done(end backend.End) {
	g.t.Helper()
	g.inner.x.Done(end)
	g.loop.wait(g.t, func() bool { return g.conn.ended > 0 })
}
