package engine

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"

	"moonbridge/handler/backend"
)

// Bytes that are not discarded stay, up to the bound. Discarding some, at any time, makes the connection read on.
func TestRawInputBound(t *testing.T) {
	const bound = 10_000
	var most atomic.Int64
	var got []byte
	conn := make(chan backend.Conn, 1)
	full := make(chan struct{}, 1)
	ended := make(chan struct{})
	e := startEngine(t, Options{Loops: 1})
	ln := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream {
		conn <- c
		return &calls{t: t, data: func(c backend.Conn) {
			most.Store(max(most.Load(), int64(len(c.Unread()))))
			if len(c.Unread()) == bound {
				select {
				case full <- struct{}{}:
				default:
				}
			}
			if c.Ended() {
				close(ended)
			}
		}}
	}), backend.Bounds{Input: bound})
	p := dial(t, ln.Addr())
	want := noise(1_000_000)
	sending := sendAll(p, want)
	c := waitFor(t, conn, "connection")
	waitFor(t, full, "full input")
	for step := 1; ; step = step%bound + 1 {
		over := false
		onLoop(t, e.Loop(0), func() {
			n := min(step, len(c.Unread()))
			got = append(got, c.Unread()[:n]...)
			c.Discard(n)
			over = len(got) == len(want)
		})
		if over {
			break
		}
	}
	waitFor(t, ended, "end")
	onLoop(t, e.Loop(0), c.Close)
	readsAll(t, p, nil)
	sending.Wait()
	if !bytes.Equal(got, want) {
		t.Error("other bytes arrived")
	}
	if most.Load() > bound {
		t.Errorf("%d bytes were unread, the bound is %d", most.Load(), bound)
	}
}

// A connection is full above its bound and until half of that has been sent. Then Room is called, once.
func TestRawOutputBound(t *testing.T) {
	const bound, piece, total = 100_000, 30_000, 30_000_000
	want := noise(total)
	sent, rooms := 0, 0
	var most int
	write := func(c backend.Conn) {
		for sent < total && !c.Full() {
			c.Writev(want[sent:sent+piece/3], want[sent+piece/3:sent+piece])
			sent += piece
			most = max(most, c.Held())
		}
		if sent == total {
			c.Close()
			if !c.Full() {
				t.Error("a closed connection is not full")
			}
		}
	}
	closed := make(chan error, 1)
	e := startEngine(t, Options{Loops: 1})
	ln := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream {
		write(c)
		if !c.Full() {
			t.Error("the connection took everything")
		}
		return &calls{t: t, closed: func(_ backend.Conn, err error) { closed <- err }, room: func(c backend.Conn) {
			rooms++
			if c.Full() || c.Held() > bound/2 {
				t.Errorf("Room with %d bytes held, full: %v", c.Held(), c.Full())
			}
			write(c)
		}}
	}), backend.Bounds{Output: bound})
	p := dial(t, ln.Addr())
	readsAll(t, p, want)
	p.Close()
	if err := waitFor(t, closed, "end"); err != nil {
		t.Error(err)
	}
	if rooms == 0 || most > bound+piece {
		t.Errorf("%d calls of Room, at most %d bytes held", rooms, most)
	}
}

// A paused connection hears nothing, not even the end, and everything when it is resumed.
func TestRawPause(t *testing.T) {
	var calledPaused atomic.Bool
	var got []byte
	paused := make(chan backend.Conn)
	again := make(chan struct{})
	e := startEngine(t, Options{Loops: 1})
	closed := make(chan error, 1)
	ln := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream {
		isPaused := false
		return &calls{t: t, closed: func(_ backend.Conn, err error) { closed <- err }, data: func(c backend.Conn) {
			if isPaused {
				calledPaused.Store(true)
			}
			if len(got) == 0 {
				isPaused = true
				c.Pause()
				go func() {
					paused <- c
					<-again
					c.Loop().Post(func() { isPaused = false; c.Resume() })
				}()
				got = append(got, c.Unread()[:1]...)
				c.Discard(1)
				return
			}
			got = append(got, c.Unread()...)
			c.Discard(len(c.Unread()))
			if c.Ended() {
				c.CloseWrite()
			}
		}}
	}), backend.Bounds{})
	p := dial(t, ln.Addr())
	p.say("hello")
	c := waitFor(t, paused, "pause")
	p.say(" world")
	p.CloseWrite()
	// The loop has seen the end when a turn has passed after it: nothing may come of it.
	for range 10 {
		onLoop(t, c.Loop(), func() {})
	}
	close(again)
	readsAll(t, p, nil)
	if err := waitFor(t, closed, "end"); err != nil || string(got) != "hello world" || calledPaused.Load() {
		t.Errorf("%v, %q; called while paused: %v", err, got, calledPaused.Load())
	}
}

// relay connects two connections, each of which follows the other.
type relay struct {
	t     *testing.T
	other backend.Conn
	over  func()
}

func (r *relay) Data(c backend.Conn) {
	r.other.Write(c.Unread())
	c.Discard(len(c.Unread()))
	if c.Ended() {
		r.other.CloseWrite()
	}
}

func (r *relay) Room(backend.Conn) {}

func (r *relay) Closed(c backend.Conn, err error) {
	if err != nil {
		r.other.Reset()
	}
	r.over()
}

// relayTo is a Protocol that passes everything on to an address, by Follow or by Splice.
func relayTo(t *testing.T, to backend.Address, splice bool, over func()) backend.Protocol {
	return opener(func(client backend.Conn) backend.Stream {
		client.Pause()
		in := &relay{t: t, over: over}
		client.Loop().(backend.Dialer).Dial(to, backend.DialOptions{}, opener(func(server backend.Conn) backend.Stream {
			in.other = server
			if splice {
				client.Splice(server)
				server.Splice(client)
			} else {
				client.Follow(server)
				server.Follow(client)
			}
			client.Resume()
			return &relay{t: t, other: client, over: over}
		}), func(err error) {
			t.Error(err)
			client.Reset()
		})
		return in
	})
}

// Through a relay everything arrives in both directions, and half-close does too.
func TestRawRelay(t *testing.T) {
	for _, splice := range []bool{false, true} {
		for _, network := range []string{"tcp4", "unix"} {
			e := startEngine(t, Options{Loops: 2})
			behind := serveRaw(t, e, network, echo(t, nil), backend.Bounds{})
			over := make(chan struct{}, 2)
			ln := serveRaw(t, e, "tcp4", relayTo(t, addressOf(network, behind.Addr()), splice, func() { over <- struct{}{} }), backend.Bounds{})
			p := dial(t, ln.Addr())
			want := noise(10_000_000)
			sending := sendAll(p, want)
			readsAll(t, p, want)
			sending.Wait()
			waitFor(t, over, "end of a side")
			waitFor(t, over, "end of the other side")
		}
	}
}

// Through a relay a peer that does not read stops the one that sends, and no more is held than the bounds allow.
func TestRawRelayHoldsBack(t *testing.T) {
	for _, splice := range []bool{false, true} {
		e := startEngine(t, Options{Loops: 1})
		// The server sends for as long as it may, and ends when the client closes.
		source := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream {
			piece := make([]byte, 100_000)
			write := func(c backend.Conn) {
				for !c.Full() {
					c.Write(piece)
				}
			}
			write(c)
			return &calls{t: t, room: write}
		}), backend.Bounds{})
		ln := serveRaw(t, e, "tcp4", relayTo(t, addressOf("tcp4", source.Addr()), splice, func() {}), backend.Bounds{})
		p := dial(t, ln.Addr())
		if _, err := io.ReadFull(p, make([]byte, 1_000_000)); err != nil {
			t.Fatal(err)
		}
		stable := func() int64 {
			var sum int64
			onLoop(t, e.Loop(0), func() {
				for _, c := range e.loops[0].raw.all() {
					sum += c.written
					if c.Held() > c.bounds.output+ioPiece {
						t.Errorf("%d bytes held", c.Held())
					}
				}
			})
			return sum
		}
		for last := int64(-1); ; {
			now := stable()
			if now == last {
				break
			}
			last = now
			for range 20 {
				onLoop(t, e.Loop(0), func() {})
			}
		}
		p.Close() // with bytes unread: both sides of the relay are reset
		eventually(t, "all connections have ended", func() bool { return e.conns.Load()+e.dialed.Load() == 0 })
	}
}

// ioPiece is the most that one read of a relay brings.
const ioPiece = 100_000
