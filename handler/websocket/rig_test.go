package websocket

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

// event is what a Handler was told.
type event struct {
	what string // open, message, close
	kind Kind
	data string
	code int
}

// events notes what it is told. It calls message if that is not nil.
type events struct {
	list    []event
	message func(c *Conn, kind Kind, data []byte)
}

func (e *events) Open(*Conn) { e.list = append(e.list, event{what: "open"}) }

func (e *events) Message(c *Conn, kind Kind, data []byte) {
	e.list = append(e.list, event{what: "message", kind: kind, data: string(data)})
	if e.message != nil {
		e.message(c, kind, data)
	}
}

func (e *events) Close(_ *Conn, code int, reason string) {
	e.list = append(e.list, event{what: "close", code: code, data: reason})
}

// echoing is a Handler that sends back what it gets.
type echoing struct{ closed chan event }

func (e echoing) Open(*Conn) {}

func (e echoing) Message(c *Conn, kind Kind, data []byte) { c.Send(kind, data) }

func (e echoing) Close(_ *Conn, code int, reason string) {
	if e.closed != nil {
		e.closed <- event{what: "close", code: code, data: reason}
	}
}

// fakeLoop is a backend.Loop whose time and tasks the test controls.
type fakeLoop struct {
	backend.Loop
	now    int64
	posted []func()
	timers []*fakeTimer
	check  bool
}

type fakeTimer struct {
	at      int64
	fn      func()
	stopped bool
}

func (t *fakeTimer) Stop() bool {
	was := !t.stopped
	t.stopped = true
	return was
}

func (l *fakeLoop) Check() bool    { return l.check }
func (l *fakeLoop) Now() int64     { return l.now }
func (l *fakeLoop) Post(fn func()) { l.posted = append(l.posted, fn) }

func (l *fakeLoop) After(d time.Duration, fn func()) backend.Timer {
	t := &fakeTimer{at: l.now + int64(d), fn: fn}
	l.timers = append(l.timers, t)
	return t
}

// turn runs what was posted.
func (l *fakeLoop) turn() {
	for len(l.posted) > 0 {
		fn := l.posted[0]
		l.posted = l.posted[1:]
		fn()
	}
}

// pass lets time pass, and timers fire in their order.
func (l *fakeLoop) pass(d time.Duration) {
	end := l.now + int64(d)
	for {
		l.timers = slices.DeleteFunc(l.timers, func(t *fakeTimer) bool { return t.stopped })
		slices.SortStableFunc(l.timers, func(a, b *fakeTimer) int { return cmp.Compare(a.at, b.at) })
		if len(l.timers) == 0 || l.timers[0].at > end {
			break
		}
		t := l.timers[0]
		t.stopped = true
		l.now = t.at
		t.fn()
		l.turn()
	}
	l.now = end
}

// fakeConn is a backend.Conn without a socket.
type fakeConn struct {
	loop                        *fakeLoop
	unread                      []byte
	sent                        []byte
	writes                      int
	held                        int
	taken                       int64
	ended, full, closed, resets bool
}

func (c *fakeConn) Unread() []byte { return c.unread }
func (c *fakeConn) Discard(n int)  { c.unread = c.unread[n:] }
func (c *fakeConn) Ended() bool    { return c.ended }
func (c *fakeConn) Write(p []byte) { c.Writev(p, nil) }
func (c *fakeConn) Writev(a, b []byte) {
	if !c.closed {
		c.writes++
		c.sent = append(append(c.sent, a...), b...)
	}
}
func (c *fakeConn) Held() int                             { return c.held }
func (c *fakeConn) Full() bool                            { return c.full || c.closed }
func (c *fakeConn) Progress() (taken, left int64)         { return c.taken, int64(c.held) }
func (c *fakeConn) Pause()                                {}
func (c *fakeConn) Resume()                               {}
func (c *fakeConn) Follow(backend.Conn)                   {}
func (c *fakeConn) Splice(backend.Conn)                   {}
func (c *fakeConn) SetDeadline(time.Duration)             {}
func (c *fakeConn) CloseWrite()                           {}
func (c *fakeConn) Close()                                { c.closed = true }
func (c *fakeConn) Reset()                                { c.closed, c.resets = true, true }
func (c *fakeConn) Detach() (net.Conn, error)             { return nil, net.ErrClosed }
func (c *fakeConn) Addrs() (local, remote netip.AddrPort) { return }
func (c *fakeConn) Loop() backend.Loop                    { return c.loop }
func (c *fakeConn) receive(s backend.Stream, pieces ...[]byte) {
	for _, p := range pieces {
		if c.closed {
			return
		}
		c.unread = append(slices.Clone(c.unread), p...)
		s.Data(c)
		c.loop.turn()
	}
}

// opened is a connection of e without a socket.
func opened(e *Endpoint, h Handler) (*fakeConn, *Conn) { return answered(e, h, Answer{}) }

func answered(e *Endpoint, h Handler, a Answer) (*fakeConn, *Conn) {
	raw := &fakeConn{loop: &fakeLoop{now: 1}}
	c := e.newConn(&a, h)
	c.Open(raw)
	return raw, c
}

const waitMost = time.Minute

// serve serves connections of e with h on a free port.
func serve(t testing.TB, e *Endpoint, h Handler, accept func(r *Request, a *Answer) int) (address string, en *engine.Engine) {
	t.Helper()
	en, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitMost)
		defer cancel()
		if err := en.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if n := e.Conns(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	ln, err := en.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := &Server{Endpoint: e, Accept: func(r *Request, a *Answer) (Handler, any, int) {
		status := 0
		if accept != nil {
			status = accept(r, a)
		}
		return h, nil, status
	}}
	if err := en.Serve(ln, b, 0, engine.Limits{H2C: true}); err != nil {
		t.Fatal(err)
	}
	return ln.Addr(), en
}

// dialer connects to address.
func dialer(address string) (net.Conn, error) { return net.DialTimeout("tcp", address, waitMost) }
