package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// A listener may change from one kind of service to another. Connections of a Protocol stay with it.
func TestRawReplaced(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	says := func(word string) backend.Protocol {
		return opener(func(c backend.Conn) backend.Stream {
			return &calls{t: t, data: func(c backend.Conn) {
				c.Discard(len(c.Unread()))
				if c.Ended() {
					c.Close()
					return
				}
				c.Write([]byte(word))
			}}
		})
	}
	ln := serveRaw(t, e, "tcp4", says("one"), backend.Bounds{})
	ask := func(p *peer, want string) {
		t.Helper()
		p.say("?")
		got := make([]byte, len(want))
		if _, err := io.ReadFull(p.r, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	first := dial(t, ln.Addr())
	ask(first, "one")
	if err := e.ServeProtocol(ln, says("two"), ProtocolOptions{}); err != nil {
		t.Fatal(err)
	}
	second := dial(t, ln.Addr())
	ask(second, "two")
	if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); err != nil {
		t.Fatal(err)
	}
	third := dial(t, ln.Addr())
	third.say(get("/hello"))
	third.hears(200)
	b := &rawBackend{}
	if err := e.ServeSockets(ln, b, 5); err != nil {
		t.Fatal(err)
	}
	third.Close()
	fourth := dial(t, ln.Addr())
	if line, err := fourth.r.ReadString('\n'); err != nil || line[0] != '5' {
		t.Errorf("%q, %v", line, err)
	}
	fourth.Close()
	b.done.Wait()
	if err := e.ServeProtocol(ln, says("five"), ProtocolOptions{}); err != nil {
		t.Fatal(err)
	}
	fifth := dial(t, ln.Addr())
	ask(fifth, "five")
	ask(first, "one")
	ask(second, "two")
	for _, p := range []*peer{first, second, fifth} {
		p.CloseWrite()
		p.hearsEnd()
	}
}

// Closing a listener tells its own connections, and no others.
func TestRawListenerCloses(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	polite := opener(func(backend.Conn) backend.Stream {
		return &drainCalls{calls{t: t, drain: func(c backend.Conn) { c.Close() }, data: func(c backend.Conn) {
			c.Write(c.Unread())
			c.Discard(len(c.Unread()))
		}}}
	})
	one, other := serveRaw(t, e, "tcp4", polite, backend.Bounds{}), serveRaw(t, e, "tcp4", polite, backend.Bounds{})
	a, b := dial(t, one.Addr()), dial(t, other.Addr())
	eventually(t, "both are there", func() bool { return e.Conns() == 2 })
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	a.hearsEnd()
	b.say("x")
	if c, err := b.r.ReadByte(); c != 'x' || err != nil {
		t.Errorf("%q, %v", c, err)
	}
	b.Close()
	if err := e.ServeProtocol(one, polite, ProtocolOptions{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener: %v", err)
	}
}

// Connections of a Protocol count, and one above the limit is reset.
func TestRawMaxConns(t *testing.T) {
	e := startEngine(t, Options{Loops: 1, MaxConns: 1})
	ln := serveRaw(t, e, "tcp4", echo(t, nil), backend.Bounds{})
	first := dial(t, ln.Addr())
	eventually(t, "one is there", func() bool { return e.Conns() == 1 })
	if c, err := net.DialTimeout("tcp4", ln.Addr(), waitMost); err == nil {
		c.SetDeadline(time.Now().Add(waitMost))
		if n, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("read %d, %v; want a reset", n, err)
		}
		c.Close()
	}
	first.Close()
	eventually(t, "it has gone", func() bool { return e.Conns() == 0 })
	second := dial(t, ln.Addr())
	second.say("x")
	if c, err := second.r.ReadByte(); c != 'x' || err != nil {
		t.Errorf("%q, %v", c, err)
	}
	second.Close()
}

// A connection that arrives when the engine is already draining is told so.
func TestRawOpenedWhileDraining(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	drained := make(chan struct{}, 1)
	p := opener(func(backend.Conn) backend.Stream {
		return &drainCalls{calls{t: t, drain: func(c backend.Conn) { drained <- struct{}{}; c.Close() }}}
	})
	var c net.Conn
	ln := serveRaw(t, e, "tcp4", opener(func(conn backend.Conn) backend.Stream {
		e.stopping.Store(true)
		defer e.stopping.Store(false)
		conn.(*rawConn).open(p, false)
		return conn.(*rawConn).stream
	}), backend.Bounds{})
	c = dial(t, ln.Addr())
	waitFor(t, drained, "call of Drain")
	readsAll(t, c, nil)
	c.Close()
}

func TestServeProtocolOfStoppedEngine(t *testing.T) {
	e, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e.Shutdown(context.Background())
	if err := e.ServeProtocol(ln, echo(t, nil), ProtocolOptions{}); err != ErrStopped {
		t.Error(err)
	}
}

// A Stream is told once that its connection is to end, and never of a dialed one.
func TestRawDrainedOnce(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	var accepted, dialed int // of the loop
	counts := func(n *int) backend.Protocol {
		return opener(func(backend.Conn) backend.Stream { return &drainCalls{calls{t: t, drain: func(backend.Conn) { *n++ }}} })
	}
	ln := serveRaw(t, e, "tcp4", counts(&accepted), backend.Bounds{})
	onLoop(t, e.Loop(0), func() {
		e.Loop(0).(backend.Dialer).Dial(addressOf("tcp4", ln.Addr()), backend.DialOptions{}, counts(&dialed), func(err error) { t.Error(err) })
	})
	eventually(t, "both ends are there", func() (both bool) {
		onLoop(t, e.Loop(0), func() { both = e.loops[0].raw.conns.Len() == 2 })
		return both
	})
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithCancel(t.Context())
	cancel()
	e.Drain(soon)
	onLoop(t, e.Loop(0), func() {
		for _, c := range e.loops[0].raw.all() {
			c.Close()
		}
		if accepted != 1 || dialed != 0 {
			t.Errorf("%d calls for the accepted end, %d for the dialed one", accepted, dialed)
		}
	})
}
