package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
	"moonbridge/httpparse"
)

// fakeLoop is a loop that does nothing by itself: a test runs what was posted.
type fakeLoop struct {
	t      *testing.T
	now    time.Duration // since the start
	posted []func()
	timers []*fakeTimer
	dialed []*fakeConn
	refuse error // for Dial
}

func (l *fakeLoop) Index() int           { return 0 }
func (l *fakeLoop) Count() int           { return 1 }
func (l *fakeLoop) Now() int64           { return int64(time.Hour + l.now) }
func (l *fakeLoop) Clock() int64         { return l.Now() }
func (l *fakeLoop) Post(fn func())       { l.posted = append(l.posted, fn) }
func (l *fakeLoop) OnTurn(backend.Turn)  {}
func (l *fakeLoop) OffTurn(backend.Turn) {}

func (l *fakeLoop) Watch(int, func()) error { return nil }
func (l *fakeLoop) Unwatch(int) error       { return nil }

func (l *fakeLoop) After(_ time.Duration, fn func()) backend.Timer {
	f := &fakeTimer{fire: fn}
	l.timers = append(l.timers, f)
	return f
}

// takeTimers returns the timers that were not stopped.
func (l *fakeLoop) takeTimers() (list []*fakeTimer) {
	for _, f := range l.timers {
		if !f.stopped {
			list = append(list, f)
		}
	}
	l.timers = nil
	return list
}

// fakeTimer fires when the test says so.
type fakeTimer struct {
	fire    func()
	stopped bool
}

func (f *fakeTimer) Stop() bool { f.stopped = true; return true }

// Dial implements backend.Dialer: the connection is there when run is called.
func (l *fakeLoop) Dial(_ backend.Address, _ backend.DialOptions, p backend.Protocol, failed func(error)) func() {
	over := false
	l.Post(func() {
		switch {
		case over:
		case l.refuse != nil:
			failed(l.refuse)
		default:
			c := &fakeConn{l: l}
			l.dialed = append(l.dialed, c)
			c.stream = p.Open(c)
		}
	})
	return func() { over = true }
}

// run runs what was posted, and what follows from that.
func (l *fakeLoop) run() {
	for len(l.posted) > 0 {
		fn := l.posted[0]
		l.posted = l.posted[1:]
		fn()
	}
}

// fakeConn is a connection to a target that takes and gives what the test says.
type fakeConn struct {
	l             *fakeLoop
	stream        backend.Stream
	in            []byte
	ended, closed bool
	reset         bool
	out           strings.Builder
	full          bool
	broken        bool // it takes nothing, which the next write finds out
	unquiet       bool // there is an event that Data was not told of
	expendable    bool
	held          int // bytes that the target has not taken
}

func (c *fakeConn) Unread() []byte { return c.in }
func (c *fakeConn) Discard(n int) {
	if !c.closed {
		c.in = c.in[n:]
	}
}
func (c *fakeConn) Ended() bool    { return c.ended }
func (c *fakeConn) Write(p []byte) { c.Writev(p, nil) }
func (c *fakeConn) Writev(a, b []byte) {
	if c.closed {
		c.l.t.Error("a write on a closed connection")
	}
	if c.broken {
		c.full = true
		return
	}
	c.out.Write(a)
	c.out.Write(b)
}
func (c *fakeConn) Quiet() bool                  { return !c.unquiet }
func (c *fakeConn) SetExpendable(yes bool)       { c.expendable = yes }
func (c *fakeConn) Held() int                    { return c.held }
func (c *fakeConn) Full() bool                   { return c.full }
func (c *fakeConn) Pause()                       {}
func (c *fakeConn) Resume()                      {}
func (c *fakeConn) Follow(backend.Conn)          {}
func (c *fakeConn) Splice(backend.Conn)          {}
func (c *fakeConn) SetDeadline(time.Duration)    {}
func (c *fakeConn) CloseWrite()                  {}
func (c *fakeConn) Close()                       { c.closed = true }
func (c *fakeConn) Reset()                       { c.closed, c.reset = true, true }
func (c *fakeConn) Detach() (net.Conn, error)    { return nil, nil }
func (c *fakeConn) Addrs() (a, b netip.AddrPort) { return }
func (c *fakeConn) Loop() backend.Loop           { return c.l }

// gives makes the target send text, and after the last piece the end.
func (c *fakeConn) gives(text string, end bool) {
	if c.closed {
		return
	}
	c.in = append(c.in, text...)
	c.ended = end
	if len(text) > 0 || end {
		c.stream.Data(c)
	}
}

// fakeExchange is a client's connection that takes takes bytes with each call of Output.
type fakeExchange struct {
	t       *testing.T
	takes   int
	out     strings.Builder
	wants   bool // OutputRoom is due
	over    bool
	end     backend.End
	status  int // of Failed
	running backend.Running
	room    bool   // BodyRoom was called
	taking  func() // called by Output; nil: nothing is
	tls     *backend.TLSState
}

// TLS implements backend.Secured.
func (x *fakeExchange) TLS() *backend.TLSState { return x.tls }

func (x *fakeExchange) Output(a, b []byte, last bool) (n int) {
	if x.over || x.wants {
		x.t.Error("Output at the wrong time")
	}
	if len(a)+len(b) == 0 {
		x.t.Error("Output of nothing")
	}
	if x.taking != nil {
		x.taking()
	}
	n = min(x.takes, len(a)+len(b))
	x.out.WriteString((string(a) + string(b))[:n])
	x.wants = n < len(a)+len(b)
	return n
}

func (x *fakeExchange) Done(end backend.End) {
	if x.over {
		x.t.Error("Done twice")
	}
	if x.wants && end != backend.EndReset {
		x.t.Error("Done before all was taken")
	}
	x.over, x.end = true, end
}

func (x *fakeExchange) Failed(status int, _ time.Duration) {
	if x.over {
		x.t.Error("Failed after the end")
	}
	x.over, x.status = true, status
}

func (x *fakeExchange) Complete(backend.Running, backend.End) { x.t.Error("Complete") }
func (x *fakeExchange) Left(backend.Running)                  { x.t.Error("Left") }
func (x *fakeExchange) BodyRoom()                             { x.room = true }
func (x *fakeExchange) BodyWanted()                           {}
func (x *fakeExchange) Addrs() (local, remote netip.AddrPort) {
	return netip.AddrPort{}, netip.MustParseAddrPort("[2001:db8::1]:5")
}

// taken lets the client take more until it has taken all.
func (x *fakeExchange) taken() {
	for x.wants && !x.over {
		x.wants = false
		x.running.OutputRoom()
	}
}

// fakeRig is a proxy on a fakeLoop.
type fakeRig struct {
	t    *testing.T
	l    *fakeLoop
	loop *loop
	set  *upstream.Set
}

func newFakeRig(t *testing.T, c Config) *fakeRig {
	t.Helper()
	return newFakeRigOf(t, c, upstream.Options{}, upstream.Target{Addr: "10.0.0.1:80"})
}

func newFakeRigOf(t *testing.T, c Config, o upstream.Options, targets ...upstream.Target) *fakeRig {
	t.Helper()
	o.Balance = upstream.RoundRobin()
	set, err := upstream.New(o, targets...)
	if err != nil {
		t.Fatal(err)
	}
	l := &fakeLoop{t: t}
	if c.To == nil {
		c.To = To(set)
	}
	lb, err := New(c).Attach(l)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeRig{t: t, l: l, loop: lb.(*loop), set: set}
}

// start begins an exchange with this request head, and runs until it is sent.
func (r *fakeRig) start(head string, takes int, body string, more bool) (*fakeExchange, *fakeConn) {
	r.t.Helper()
	x := &fakeExchange{t: r.t, takes: takes}
	r.startOn(x, head, body, more)
	r.l.run()
	if len(r.l.dialed) == 0 {
		return x, nil
	}
	return x, r.l.dialed[len(r.l.dialed)-1]
}

// startOn begins the exchange x.
func (r *fakeRig) startOn(x *fakeExchange, head, body string, more bool) {
	r.t.Helper()
	var h httpparse.Head
	var p httpparse.Parser
	if n, err := p.Parse(&h, []byte(head), nil); n == 0 || err != nil {
		r.t.Fatal(n, err)
	}
	var err error
	if x.running, err = r.loop.Start(x, &h, 0, []byte(body), more); err != nil {
		r.t.Fatal(err)
	}
}

// checkOver checks that nothing is left of the exchanges.
func (r *fakeRig) checkOver() {
	r.t.Helper()
	if n := r.set.Servers()[0].Active(); n != 0 {
		r.t.Errorf("%d requests are still counted", n)
	}
	links := 0
	for k := range r.loop.links.All() {
		if k.state != linkIdle {
			r.t.Errorf("a connection is left in state %d", k.state)
		}
		links++
	}
	for _, p := range r.loop.services[r.set].pools {
		if p.links != links || p.unused.Len() != links {
			r.t.Errorf("%d connections in the list, the pool counts %d, %d of them unused", links, p.links, p.unused.Len())
		}
	}
}

// parseResponse returns a response, without what depends on how it was cut.
func parseResponse(t *testing.T, text, method string) reply {
	t.Helper()
	return (&peer{t: t, r: bufio.NewReader(strings.NewReader(text))}).reply(method)
}

// parseRequest returns the body of a request that is complete.
func parseRequest(t *testing.T, text string) string {
	t.Helper()
	q, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return string(body)
}
