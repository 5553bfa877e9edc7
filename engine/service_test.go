package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// served returns an engine whose listener b serves first.
func served(t *testing.T, b *testBackend) (e *Engine, ln *Listener) {
	t.Helper()
	e, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		e.Shutdown(ctx)
	})
	if ln, err = e.Open("tcp4", "127.0.0.1:0", OpenOptions{}); err != nil {
		t.Fatal(err)
	}
	mustServe(t, e, ln, b)
	return e, ln
}

func mustServe(t *testing.T, e *Engine, ln *Listener, b *testBackend) {
	t.Helper()
	if err := e.Serve(ln, b, 0, Limits{}); err != nil {
		t.Fatal(err)
	}
}

// Connections change to the new backend with their next request, whatever state they are in.
func TestServeAnew(t *testing.T) {
	first, second := &testBackend{window: 64}, &testBackend{window: 64}
	e, ln := served(t, first)
	idle, busy, body, head := dial(t, ln.Addr()), dial(t, ln.Addr()), dial(t, ln.Addr()), dial(t, ln.Addr())
	idle.say(get("/hello"))
	idle.hears(200)
	busy.say(get("/slow") + post("/hello", "")) // the second one waits for the first
	eventually(t, "the slow exchange runs", func() bool { return first.count(&first.started) == 2 })
	body.say("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
	head.say("GET /hello HT")
	eventually(t, "the engine has read both", func() bool { return inState(e, stateBody) == 1 && inState(e, stateHead) == 1 })

	mustServe(t, e, ln, second)
	idle.say(get("/hello"))
	idle.hears(200)
	body.say("cd")
	if got := body.hears(200); got != "abcd" {
		t.Errorf("body %q", got)
	}
	head.say("TP/1.1\r\nHost: h\r\n\r\n")
	head.hears(200)
	first.release()
	if got := busy.hears(200); got != "slow" {
		t.Errorf("body %q of the exchange that ran", got)
	}
	busy.hears(200)
	fresh := dial(t, ln.Addr())
	fresh.say(get("/hello"))
	fresh.hears(200)
	if n, m := first.count(&first.started), second.count(&second.started); n != 2 || m != 5 {
		t.Errorf("%d exchanges at the first backend and %d at the second, want 2 and 5", n, m)
	}
	e.Detach(first)
	e.onEveryLoop(func(l *loop) error {
		if len(l.backends) != 1 {
			t.Errorf("%d backends", len(l.backends))
		}
		return nil
	})
}

// inState counts the connections in a state.
func inState(e *Engine, s connState) int {
	var n atomic.Int64
	e.onEveryLoop(func(l *loop) error {
		for c := range l.conns.All() {
			if c.state == s {
				n.Add(1)
			}
		}
		return nil
	})
	return int(n.Load())
}

// Under load, no request is refused and no connection breaks, however often the backend changes.
func TestServeAnewUnderLoad(t *testing.T) {
	first := &testBackend{window: 64}
	e, ln := served(t, first)
	var stop atomic.Bool
	var answered atomic.Int64
	ended := make(chan int)
	for range 4 {
		p := dial(t, ln.Addr())
		go func() {
			n := 0
			for ; !stop.Load() && !t.Failed(); n++ {
				p.say(get("/hello") + get("/hello"))
				p.hears(200)
				p.hears(200)
				answered.Add(1)
			}
			ended <- n
		}()
	}
	for range 50 {
		before := answered.Load()
		mustServe(t, e, ln, &testBackend{window: 64})
		eventually(t, "requests are answered", func() bool { return answered.Load() > before+4 })
	}
	stop.Store(true)
	for range 4 {
		if n := wait(t, ended, "a connection ends"); n == 0 {
			t.Error("a connection got no answer")
		}
	}
}

// When a listener changes to raw connections, its open connections end after the request in progress.
func TestServeAnewRaw(t *testing.T) {
	b := &testBackend{window: 64}
	e, ln := served(t, b)
	idle, busy := dial(t, ln.Addr()), dial(t, ln.Addr())
	idle.say(get("/hello"))
	idle.hears(200)
	busy.say(get("/slow"))
	eventually(t, "the slow exchange runs", func() bool { return b.count(&b.started) == 2 })
	changed := time.Now()
	if err := e.ServeSockets(ln, &rawBackend{}, 0); err != nil {
		t.Fatal(err)
	}
	idle.endsAfterRequest(changed)
	released := time.Now()
	b.release()
	busy.hears(200)
	busy.endsAfterRequest(released)
}

// When a listener closes, its connections end after the request in progress; those of other listeners stay.
func TestListenerCloseEndsConnections(t *testing.T) {
	b := &testBackend{window: 64}
	e, ln := served(t, b)
	other, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustServe(t, e, other, b)
	stays := dial(t, other.Addr())
	stays.say(get("/hello"))
	stays.hears(200)
	idle, busy := dial(t, ln.Addr()), dial(t, ln.Addr())
	idle.say(get("/hello"))
	idle.hears(200)
	busy.say(get("/slow"))
	eventually(t, "the slow exchange runs", func() bool { return b.count(&b.started) == 3 })
	closed := time.Now()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	idle.endsAfterRequest(closed)
	released := time.Now()
	b.release()
	busy.hears(200)
	busy.endsAfterRequest(released)
	stays.say(get("/hello"))
	stays.hears(200)
	if c, err := net.Dial("tcp4", ln.Addr()); err == nil {
		c.Close()
		t.Error("the closed listener accepts connections")
	}
}

// Another engine takes over the listening sockets. Accepted connections stay and end with Retire; new ones reach the other
// engine.
func TestHandOver(t *testing.T) {
	first, second := &testBackend{window: 64}, &testBackend{window: 64}
	e, ln := served(t, first)
	busy := dial(t, ln.Addr())
	busy.say(get("/slow"))
	eventually(t, "the slow exchange runs", func() bool { return first.count(&first.started) == 1 })
	files, err := ln.Files()
	if err != nil {
		t.Fatal(err)
	}
	heir, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Shutdown(context.Background())
	inherited, err := heir.Open("tcp4", ln.Addr(), OpenOptions{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	mustServe(t, heir, inherited, second)
	ln.HandOver()
	drained := make(chan error)
	go func() { drained <- e.Retire(context.Background()) }()
	eventually(t, "the loops do not listen any more", e.stopping.Load)
	for range 20 {
		p := dial(t, ln.Addr())
		p.say(get("/close"))
		p.hears(200)
		p.hearsEnd()
	}
	released := time.Now()
	first.release()
	busy.hears(200)
	busy.endsAfterRequest(released)
	if err := wait(t, drained, "the end of Retire"); err != nil {
		t.Error(err)
	}
	if n := second.count(&second.started); n != 20 {
		t.Errorf("%d exchanges at the heir", n)
	}
}

// A connection that is to end has time for one more request, which is answered; then it ends. TestLastRequest is about one
// without a further request.
func TestRetire(t *testing.T) {
	b := &testBackend{window: 64}
	e, ln := served(t, b)
	late, busy := dial(t, ln.Addr()), dial(t, ln.Addr())
	late.say(get("/hello"))
	late.hears(200)
	busy.say(get("/slow"))
	eventually(t, "the slow exchange runs", func() bool { return b.count(&b.started) == 2 })
	ln.HandOver()
	over := make(chan error)
	retired := time.Now()
	go func() { over <- e.Retire(context.Background()) }()
	eventually(t, "it has started", func() bool { return e.stopping.Load() })
	late.endsAfterRequest(retired)
	released := time.Now()
	b.release()
	busy.hears(200) // it was promised that the connection persists
	busy.endsAfterRequest(released)
	if err := wait(t, over, "the end of Retire"); err != nil {
		t.Error(err)
	}
}

// A listener is opened beside another one of the same port, given up, opened again and served; then the other one is closed.
func TestOpenBeside(t *testing.T) {
	first, second := &testBackend{window: 64}, &testBackend{window: 64}
	e, ln := served(t, first)
	_, port, _ := net.SplitHostPort(ln.Addr())
	all := net.JoinHostPort("0.0.0.0", port)
	if other, err := e.Open("tcp4", all, OpenOptions{}); err == nil {
		other.Close()
		t.Error("opened although the port is in use")
	}
	open := func() *Listener {
		next, err := e.Open("tcp4", all, OpenOptions{Beside: []*Listener{ln}})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	ask := func(host string) {
		t.Helper()
		p := dialOn(t, "tcp", net.JoinHostPort(host, port))
		p.say(get("/hello"))
		p.hears(200)
	}
	if err := open().Close(); err != nil {
		t.Error(err)
	}
	next := open()
	if c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.2", port)); err == nil {
		c.Close()
		t.Error("it listens before it is served")
	}
	if err := next.Listen(); err != nil {
		t.Fatal(err)
	}
	mustServe(t, e, next, second)
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	ask("127.0.0.1")
	ask("127.0.0.2")
	if n := second.count(&second.started); n != 2 || !next.InPlace() {
		t.Errorf("%d requests at the new address, want 2", n)
	}
}

// Open takes over inherited sockets even if it fails: otherwise nobody would close them.
func TestOpenFailsWithInherited(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	closed, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	end.Close()
	for _, tt := range []struct {
		network string
		files   []*os.File
		stopped bool
	}{{"tcp4", []*os.File{closed}, false}, {"udp", nil, false}, {"tcp4", nil, false}, {"tcp4", nil, true}} {
		if tt.stopped {
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		fd, err := reactor.Duplicate(int(w.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		if _, err := e.Open(tt.network, "127.0.0.1:0", OpenOptions{Inherited: []int{fd}, Files: tt.files}); err == nil {
			t.Fatal("no error")
		}
		r.SetReadDeadline(time.Now().Add(waitMost))
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%+v: the inherited descriptor is open: %v", tt, err)
		}
	}
}

// halfBackend has an instance on one of two loops only.
type halfBackend struct{ testBackend }

var errHalf = errors.New("half")

func (b *halfBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	if l.Index() == 1 {
		return nil, errHalf
	}
	return b.testBackend.Attach(l)
}

// A backend that fails on one loop takes over on none: what served the listener goes on.
func TestServeFails(t *testing.T) {
	first, second := &testBackend{window: 64}, &halfBackend{}
	e, ln := served(t, first)
	if err := e.Serve(ln, second, 0, Limits{}); err != errHalf {
		t.Errorf("error %v", err)
	}
	for range 20 {
		p := dial(t, ln.Addr())
		p.say(get("/hello"))
		p.hears(200)
		p.Close()
	}
	if n := second.count(&second.started); n != 0 {
		t.Errorf("%d exchanges at a backend that was refused", n)
	}
}
