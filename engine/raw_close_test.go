package engine

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// rawPeer serves one connection with what open makes, and returns the peer and the way in which it ends. The peer is nil if its
// connection was reset as soon as it was established.
func rawPeer(t *testing.T, network string, b backend.Bounds, open func(c backend.Conn) *calls) (*Engine, *peer, <-chan error) {
	t.Helper()
	closed := make(chan error, 1)
	e := startEngine(t, Options{Loops: 1})
	ln := serveRaw(t, e, network, opener(func(c backend.Conn) backend.Stream {
		s := open(c)
		if s == nil {
			return nil
		}
		s.t = t
		s.closed = func(_ backend.Conn, err error) { closed <- err }
		return s
	}), b)
	network = ln.r.Addr().Network()
	c, err := net.Dial(network, ln.Addr())
	if errors.Is(err, syscall.ECONNRESET) {
		return e, nil, closed
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(waitMost))
	return e, &peer{t, c.(stream), bufio.NewReader(c)}, closed
}

// seesReset checks that the connection of p was reset.
func seesReset(p *peer) {
	if p != nil {
		p.hearsReset()
	}
}

// Each way to end a connection, from each call of the Stream, is seen by the peer as such, and told to the Stream once.
func TestRawEnds(t *testing.T) {
	end := func(p *peer) {
		readsAll(t, p, []byte("hi"))
		p.Close()
	}
	for _, way := range []struct {
		name string
		do   func(c backend.Conn)
		sees func(p *peer)
	}{
		{"Close", func(c backend.Conn) {
			c.Write([]byte("hi"))
			c.Close()
			c.Close()
			c.CloseWrite()
			c.Write([]byte("no"))
		}, end},
		{"Reset", func(c backend.Conn) { c.Reset(); c.Close(); c.Resume() }, seesReset},
		{"Close and Reset", func(c backend.Conn) { c.Close(); c.Reset() }, seesReset},
		{"CloseWrite", func(c backend.Conn) { c.Write([]byte("hi")); c.CloseWrite(); c.Write([]byte("no")) }, end},
		{"Close, paused", func(c backend.Conn) { c.Write([]byte("hi")); c.Pause(); c.Close() }, end},
		{"Close, following", func(c backend.Conn) { c.Follow(c); c.Write([]byte("hi")); c.Close(); c.Follow(nil) }, end},
	} {
		for _, from := range []string{"Open", "Data", "Ended", "a posted function", "a timer"} {
			e, p, closed := rawPeer(t, "tcp4", backend.Bounds{}, func(c backend.Conn) *calls {
				switch from {
				case "Open":
					way.do(c)
				case "a posted function":
					c.Loop().Post(func() { way.do(c) })
				case "a timer":
					c.Loop().After(0, func() { way.do(c) })
				}
				return &calls{data: func(c backend.Conn) {
					if from == "Data" || from == "Ended" && c.Ended() {
						c.Discard(len(c.Unread()))
						way.do(c)
					}
				}}
			})
			if from == "Data" {
				p.say("x")
			}
			if from == "Ended" {
				p.CloseWrite()
			}
			way.sees(p)
			if err := waitFor(t, closed, way.name+" from "+from); err != nil {
				t.Errorf("%s from %s: %v", way.name, from, err)
			}
			eventually(t, "the connection is gone", func() bool { return e.Conns() == 0 })
		}
	}
}

// Open may refuse a connection.
func TestRawRefused(t *testing.T) {
	e, p, _ := rawPeer(t, "tcp4", backend.Bounds{}, func(backend.Conn) *calls { return nil })
	seesReset(p)
	eventually(t, "the connection is gone", func() bool { return e.Conns() == 0 })
}

// A peer gets all that was written before Close, even if it reads late and sends meanwhile.
func TestRawCloseDelivers(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		want := noise(8_000_000)
		_, p, closed := rawPeer(t, network, backend.Bounds{}, func(c backend.Conn) *calls {
			return &calls{data: func(c backend.Conn) {
				c.Write(want)
				c.Close()
			}}
		})
		p.say("x")
		p.say(string(make([]byte, 1_000_000))) // only read to be thrown away
		readsAll(t, p, want)
		p.Close()
		if err := waitFor(t, closed, "end"); err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// A peer that is gone is reported with the error.
func TestRawPeerResets(t *testing.T) {
	for _, how := range []string{"reads", "writes", "has bytes held", "is closed"} {
		_, p, closed := rawPeer(t, "tcp4", backend.Bounds{}, func(c backend.Conn) *calls {
			switch how {
			case "has bytes held":
				c.Write(make([]byte, 20_000_000))
			case "is closed":
				c.Write(make([]byte, 20_000_000))
				c.Close()
			}
			if how == "writes" {
				var again func()
				again = func() { c.Write([]byte("x")); c.Loop().After(time.Millisecond, again) }
				again()
			}
			return &calls{}
		})
		p.conn().SetLinger(0)
		p.Close()
		if err := waitFor(t, closed, "end"); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("a connection that %s: %v", how, err)
		}
	}
}

// What a peer has sent before it closed is read, even if a write has failed before.
func TestRawReadsAfterBrokenWrite(t *testing.T) {
	var got []byte
	conn := make(chan backend.Conn, 1)
	e, p, closed := rawPeer(t, "unix", backend.Bounds{}, func(c backend.Conn) *calls {
		c.Pause()
		conn <- c
		return &calls{data: func(c backend.Conn) {
			got = append(got, c.Unread()...)
			c.Discard(len(c.Unread()))
		}}
	})
	c := waitFor(t, conn, "connection")
	p.say("the reason")
	p.Close()
	onLoop(t, e.Loop(0), func() {
		c.Write([]byte("x"))
		if !c.Full() || c.Held() != 0 {
			t.Errorf("a broken connection: full %v, %d held", c.Full(), c.Held())
		}
		c.Write([]byte("y"))
		c.Resume()
	})
	if err := waitFor(t, closed, "end"); !errors.Is(err, syscall.EPIPE) || string(got) != "the reason" {
		t.Errorf("%v, read %q", err, got)
	}
}

// Deadlines end a connection: the one that was set last, the idle time, and the time to linger.
func TestRawDeadlines(t *testing.T) {
	const soon = 20 * time.Millisecond
	for _, c := range []struct {
		name   string
		bounds backend.Bounds
		open   func(c backend.Conn)
		err    error
	}{
		{"deadline", backend.Bounds{}, func(c backend.Conn) { c.SetDeadline(time.Hour); c.SetDeadline(soon) }, os.ErrDeadlineExceeded},
		{"past deadline", backend.Bounds{}, func(c backend.Conn) { c.SetDeadline(-time.Second) }, os.ErrDeadlineExceeded},
		{"paused", backend.Bounds{}, func(c backend.Conn) { c.Pause(); c.SetDeadline(soon) }, os.ErrDeadlineExceeded},
		{"idle", backend.Bounds{Idle: soon}, func(backend.Conn) {}, os.ErrDeadlineExceeded},
		{"idle before deadline", backend.Bounds{Idle: soon}, func(c backend.Conn) { c.SetDeadline(time.Hour) }, os.ErrDeadlineExceeded},
		{"held", backend.Bounds{Idle: soon}, func(c backend.Conn) { c.Write(make([]byte, 20_000_000)) }, os.ErrDeadlineExceeded},
		{"closed and held", backend.Bounds{Linger: soon}, func(c backend.Conn) { c.Write(make([]byte, 20_000_000)); c.Close() }, os.ErrDeadlineExceeded},
		{"lingering", backend.Bounds{Linger: soon}, func(c backend.Conn) { c.Close() }, nil},
		{"no lingering", backend.Bounds{Linger: -1}, func(c backend.Conn) { c.Write([]byte("x")); c.Close() }, nil},
	} {
		_, p, closed := rawPeer(t, "tcp4", c.bounds, func(conn backend.Conn) *calls { c.open(conn); return &calls{} })
		if err := waitFor(t, closed, c.name); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if p != nil { // otherwise it was closed while it was being opened
			p.Close()
		}
	}
}

// Bytes in either direction, and SetDeadline, put the end off. Without a deadline there is none.
func TestRawDeadlinesMove(t *testing.T) {
	_, p, closed := rawPeer(t, "tcp4", backend.Bounds{Idle: time.Hour}, func(c backend.Conn) *calls {
		c.SetDeadline(time.Millisecond)
		c.SetDeadline(0)
		return &calls{data: func(c backend.Conn) {
			c.Write(c.Unread())
			c.Discard(len(c.Unread()))
			if c.Ended() {
				c.Close()
			}
		}}
	})
	for range 20 {
		p.say("x")
		if _, err := p.r.ReadByte(); err != nil {
			t.Fatal(err)
		}
	}
	p.CloseWrite()
	if err := waitFor(t, closed, "end"); err != nil {
		t.Error(err)
	}
}

// A closed connection lingers for as long as its peer takes what is on its way: what the peer sends meanwhile must not destroy that.
func TestRawLingersWhileThePeerReads(t *testing.T) {
	e, p, closed := rawPeer(t, "tcp4", backend.Bounds{Linger: waitMost}, func(c backend.Conn) *calls {
		c.Write(make([]byte, 1<<20))
		c.Close()
		return &calls{}
	})
	p.conn().SetReadBuffer(64 << 10)
	// look has the time to linger end, and reports what is not acknowledged, or -1 if the connection is over.
	look := func(ends bool) (left int64) {
		e.onEveryLoop(func(l *loop) error {
			left = -1
			if c := l.raw.conns.First(); c != nil {
				if ends {
					c.busy = true
					c.timedOut(l.sys.nowMS())
					c.advance()
				}
				if !c.state.over() {
					left = l.sys.unacknowledged(c.socket.fd)
				}
			}
			return nil
		})
		return left
	}
	eventually(t, "the connection lingers", func() (lingers bool) {
		e.onEveryLoop(func(l *loop) error {
			c := l.raw.conns.First()
			lingers = c != nil && c.state == rawLingering
			return nil
		})
		return lingers
	})
	for range 3 {
		before := look(true)
		if before < 0 {
			t.Fatal("the connection is over although its peer reads")
		}
		p.say("x")
		if _, err := io.CopyN(io.Discard, p.r, 100<<10); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the peer has acknowledged more", func() bool { return look(false) < before })
	}
	eventually(t, "the connection is over when its peer reads no more", func() bool { return look(true) < 0 })
	if err := waitFor(t, closed, "end"); err != nil {
		t.Error(err)
	}
}

// A peer that goes on sending to a closed connection is reset.
func TestRawLingeringIsBounded(t *testing.T) {
	_, p, closed := rawPeer(t, "tcp4", backend.Bounds{Linger: waitMost}, func(c backend.Conn) *calls { c.Close(); return &calls{} })
	var err error
	for err == nil {
		_, err = p.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
	if err := waitFor(t, closed, "end"); err != nil {
		t.Error(err)
	}
}

// After its end a connection does nothing.
func TestRawAfterClosed(t *testing.T) {
	conn := make(chan backend.Conn, 1)
	e, p, closed := rawPeer(t, "tcp4", backend.Bounds{}, func(c backend.Conn) *calls { conn <- c; c.Reset(); return &calls{} })
	seesReset(p)
	waitFor(t, closed, "end")
	c := waitFor(t, conn, "connection")
	onLoop(t, e.Loop(0), func() {
		c.Write([]byte("x"))
		c.Discard(0)
		c.Pause()
		c.Resume()
		c.Follow(c)
		c.Splice(c)
		c.SetDeadline(time.Nanosecond)
		c.CloseWrite()
		c.Close()
		c.Reset()
		if len(c.Unread()) != 0 || c.Held() != 0 || !c.Full() || c.Loop() != e.Loop(0) {
			t.Errorf("%d unread, %d held, full: %v", len(c.Unread()), c.Held(), c.Full())
		}
		if _, err := c.Detach(); err == nil {
			t.Error("detached")
		}
	})
}

// Drain tells the Streams that want to know, and waits. Shutdown resets those that are left, and those that were dialed.
func TestRawShutdown(t *testing.T) {
	e, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 10)
	ends := func(_ backend.Conn, err error) { closed <- err }
	stopped := make(chan error, 2)
	polite := serveRaw(t, e, "tcp4", opener(func(backend.Conn) backend.Stream {
		return &drainCalls{calls{t: t, closed: ends, drain: func(c backend.Conn) { c.Write([]byte("bye")); c.Close() }}}
	}), backend.Bounds{})
	stubborn := serveRaw(t, e, "tcp4", echo(t, func(_ backend.Conn, err error) { stopped <- err }), backend.Bounds{})
	far := serveRaw(t, e, "tcp4", echo(t, ends), backend.Bounds{})
	a, b := dial(t, polite.Addr()), dial(t, stubborn.Addr())
	eventually(t, "both are there", func() bool { return e.Conns() == 2 })
	opened := make(chan struct{})
	dialFailed := make(chan error, 2)
	onLoop(t, e.Loop(1), func() {
		l := e.Loop(1).(backend.Dialer)
		l.Dial(addressOf("tcp4", far.Addr()), backend.DialOptions{}, opener(func(backend.Conn) backend.Stream {
			close(opened)
			return &calls{t: t, closed: func(backend.Conn, error) {
				never := opener(func(backend.Conn) backend.Stream { t.Error("a stopped engine has dialed"); return nil })
				l.Dial(addressOf("tcp4", stubborn.Addr()), backend.DialOptions{}, never, func(err error) { dialFailed <- err })
				ends(nil, err)
			}}
		}), func(err error) { t.Error(err) })
	})
	waitFor(t, opened, "dialed connection")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	readsAll(t, a, []byte("bye"))
	b.hearsReset()
	if err := waitFor(t, stopped, "end"); !errors.Is(err, ErrStopped) {
		t.Errorf("the stubborn connection was ended with %v", err)
	}
	for range 3 {
		waitFor(t, closed, "end") // of both ends of the dialed one, either may have reset the other
	}
	if err := waitFor(t, dialFailed, "failed dial"); !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
	if e.Conns() != 0 || e.dialed.Load() != 0 {
		t.Errorf("%d and %d connections left", e.Conns(), e.dialed.Load())
	}
}

// A connection whose write has failed ends, even if its Stream has paused it until there is Room.
func TestRawBrokenWhilePaused(t *testing.T) {
	conn := make(chan backend.Conn, 1)
	e, p, closed := rawPeer(t, "unix", backend.Bounds{Linger: 20 * time.Millisecond}, func(c backend.Conn) *calls {
		c.Pause()
		conn <- c
		return &calls{}
	})
	c := waitFor(t, conn, "connection")
	p.say("not read")
	p.Close()
	onLoop(t, e.Loop(0), func() { c.Write([]byte("x")) })
	if err := waitFor(t, closed, "end"); !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
}

// A peer that goes on sending after Close is reset. If it has not got everything, that is an error.
func TestRawCloseCutShort(t *testing.T) {
	_, p, closed := rawPeer(t, "tcp4", backend.Bounds{}, func(c backend.Conn) *calls {
		return &calls{data: func(c backend.Conn) {
			c.Write(make([]byte, 64<<20))
			c.Close()
		}}
	})
	p.Write(make([]byte, 64<<20))
	if err := waitFor(t, closed, "end"); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

// The last words in TLS may not fit into the socket though everything before them did. They are sent when there is room.
func TestFarewellWaits(t *testing.T) {
	said := false
	later := func(int, bool) bool {
		before := said
		said = true
		return before
	}
	conn := make(chan *rawConn, 1)
	e, p, closed := rawPeer(t, "tcp4", backend.Bounds{}, func(c backend.Conn) *calls {
		conn <- c.(*rawConn)
		return &calls{}
	})
	c := waitFor(t, conn, "connection")
	onLoop(t, e.Loop(0), func() {
		c.l.sys.farewell = later
		c.Write([]byte("hi"))
		c.Close()
	})
	onLoop(t, e.Loop(0), func() { c.Ready(reactor.Writable) })
	readsAll(t, p, []byte("hi\x00")) // without TLS nothing skips that byte
	p.Close()
	if err := waitFor(t, closed, "end"); err != nil {
		t.Error(err)
	}
}

// What is left in the socket when a Stream closes is read too, though no edge tells of it. Otherwise the peer could not go on.
func TestRawCloseReadsTheRest(t *testing.T) {
	want := noise(8_000_000) // more than the socket takes
	conn := make(chan *rawConn, 1)
	e, p, closed := rawPeer(t, "unix", backend.Bounds{Linger: time.Hour}, func(c backend.Conn) *calls {
		c.Pause()
		conn <- c.(*rawConn)
		return &calls{data: func(c backend.Conn) {
			c.Write(want)
			c.Close()
		}}
	})
	c := waitFor(t, conn, "connection")
	sent := sendAll(p.stream, make([]byte, 1_000_000))
	eventually(t, "more is there than is read at once", func() (more bool) {
		onLoop(t, e.Loop(0), func() {
			n, _ := reactor.Peek(c.socket.fd, make([]byte, rawInputDefault+1))
			more = n > rawInputDefault
		})
		return more
	})
	onLoop(t, e.Loop(0), c.Resume)
	sent.Wait()
	readsAll(t, p, want)
	if err := waitFor(t, closed, "end"); err != nil {
		t.Error(err)
	}
}

// What a program wants to discard of a connection that has ended meanwhile is gone: a mistake of nobody, which must not end the program.
func TestRawDiscardAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(c backend.Conn){
		"closed": func(c backend.Conn) { c.Close() },
		"reset":  func(c backend.Conn) { c.Reset() },
		"left": func(c backend.Conn) {
			if conn, err := c.Detach(); err != nil {
				t.Error(err)
			} else {
				conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 1})
			conn := make(chan backend.Conn, 1)
			ln := serveRaw(t, e, "tcp4", opener(func(backend.Conn) backend.Stream {
				return &calls{t: t, data: func(c backend.Conn) {
					if len(c.Unread()) == 5 {
						conn <- c // a goroutine works on what has come, and it is discarded then
					}
				}}
			}), backend.Bounds{})
			p := dial(t, ln.Addr())
			p.say("hello")
			c := waitFor(t, conn, "bytes")
			onLoop(t, e.Loop(0), func() { end(c) })
			p.Close()
			onLoop(t, e.Loop(0), func() {
				if n := len(c.Unread()); n != 0 {
					t.Errorf("%d bytes are unread", n)
				}
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("panic: %v", r)
					}
				}()
				c.Discard(5)
			})
		})
	}
}
