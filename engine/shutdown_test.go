package engine

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"

	"golang.org/x/net/http2"
)

// Requests that reached the machine before the shutdown are answered, even if no loop has noticed them: on idle connections, and
// on connections that are not accepted yet.
func TestShutdownAnswersWhatWaits(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			e, err := New(Options{Loops: 2})
			if err != nil {
				t.Fatal(err)
			}
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			ln, err := e.Open(network, address, OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); err != nil {
				t.Fatal(err)
			}
			address = ln.Addr()
			const each = 300
			var peers []*peer
			for range each {
				p := dialOn(t, network, address)
				p.say(get("/hello"))
				p.hears(200)
				peers = append(peers, p)
			}
			// From now on the loops are busy, until Shutdown has started.
			busy, release := make(chan struct{}), make(chan struct{})
			for _, l := range e.loops {
				l.r.Post(func() { busy <- struct{}{}; <-release })
			}
			for range e.loops {
				wait(t, busy, "the loop is busy")
			}
			for range each {
				peers = append(peers, dialOn(t, network, address))
			}
			for i, p := range peers {
				p.say(post("/echo", fmt.Sprint(i)))
			}
			done := make(chan error, 1)
			go func() { done <- e.Shutdown(context.Background()) }()
			eventually(t, "the shutdown begins", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.stopped })
			close(release)
			for i, p := range peers {
				if got := p.hears(200); got != fmt.Sprint(i) {
					t.Errorf("body %q, want %d", got, i)
				}
				p.hearsEnd()
			}
			if err := wait(t, done, "the end of the shutdown"); err != nil {
				t.Error(err)
			}
		})
	}
}

// The shutdown ends no connection while a listening socket is still open: the peer might connect again through that, only to be
// turned away.
func TestShutdownClosesListenersFirst(t *testing.T) {
	e, addr := start(t, Options{Loops: 2}, Limits{}, &testBackend{window: 64})
	var p *peer
	for p == nil {
		q := dial(t, addr)
		q.say(get("/hello"))
		q.hears(200)
		n := make(chan int, 1)
		e.loops[0].r.Post(func() { n <- e.loops[0].conns.Len() })
		if wait(t, n, "an answer of the loop") > 0 {
			p = q
		} else {
			q.Close()
		}
	}
	busy, release := make(chan struct{}), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	e.loops[1].r.Post(func() { close(busy); <-release })
	wait(t, busy, "the loop is busy")
	done := make(chan error, 1)
	go func() { done <- e.Shutdown(context.Background()) }()
	eventually(t, "the shutdown begins", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.stopped })
	closed := make(chan struct{})
	e.loops[0].r.Post(func() { close(closed) })
	wait(t, closed, "the listener is closed")
	for range 3 {
		p.say(get("/hello"))
		p.hears(200)
	}
	letGo()
	p.hearsEnd()
	if err := wait(t, done, "the end of the shutdown"); err != nil {
		t.Error(err)
	}
}

// tied is a backend whose exchanges end each other: one that is cancelled, or that asks for /leave, resets the last one that waits.
type tied struct {
	l    backend.Loop
	runs []*tiedRun
}

func (b *tied) Attach(l backend.Loop) (backend.LoopBackend, error) { b.l = l; return b, nil }

func (b *tied) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	r := &tiedRun{b: b, x: x}
	if string(h.Bytes(h.Path)) == "leave" {
		b.endLast()
	}
	b.runs = append(b.runs, r)
	return r, nil
}

func (b *tied) endLast() {
	for i := len(b.runs) - 1; i >= 0; i-- {
		if r := b.runs[i]; !r.over {
			r.over = true
			r.x.Done(backend.EndReset)
			return
		}
	}
}

type tiedRun struct {
	backend.Running
	b    *tied
	x    backend.Exchange
	over bool
}

func (r *tiedRun) PeerEnd() {}

func (r *tiedRun) Cancel() {
	r.over = true
	r.b.endLast()
}

// waits makes n requests that wait, each on a connection of its own.
func (b *tied) waits(t *testing.T, e *Engine, addr string, n int) (peers []*peer) {
	t.Helper()
	for i := range n {
		p := dial(t, addr)
		p.say(get("/"))
		eventually(t, "the request is there", func() (there bool) {
			e.onEveryLoop(func(*loop) error { there = len(b.runs) > i; return nil })
			return there
		})
		peers = append(peers, p)
	}
	return peers
}

// A shutdown resets all connections that are left, even if the end of one is that of another: what was sent on them must not look complete,
// and their handlers have to be told.
func TestShutdownResetsAll(t *testing.T) {
	b := &tied{}
	e, addr := start(t, Options{Loops: 1}, Limits{}, b)
	peers := b.waits(t, e, addr, 5)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Shutdown(over); err != context.Canceled {
		t.Error(err)
	}
	for i, r := range b.runs {
		if !r.over {
			t.Errorf("the handler of request %d was not told", i)
		}
	}
	for _, p := range peers {
		p.hearsReset()
	}
}

// Idle connections end although a request that had arrived on one of them ends another connection.
func TestDrainEndsAllIdle(t *testing.T) {
	b := &tied{}
	e, addr := start(t, Options{Loops: 1}, Limits{IdleTimeout: -1}, b)
	idle := dial(t, addr)
	eventually(t, "a connection is idle", func() bool { return inState(e, stateIdle) == 1 })
	waiting := b.waits(t, e, addr, 1)[0]
	leaving := dial(t, addr)
	eventually(t, "another one is", func() bool { return inState(e, stateIdle) == 2 })
	busy, release := make(chan struct{}), make(chan struct{})
	l := e.loops[0]
	l.r.Post(func() {
		close(busy)
		<-release
		e.stopping.Store(true)
		l.drain(false)
	})
	wait(t, busy, "the loop is busy")
	leaving.say(get("/leave"))
	close(release)
	waiting.hearsReset()
	idle.hearsEnd()
	e.onEveryLoop(func(*loop) error { b.endLast(); return nil }) // that of the request to leave
}

// A program may call Shutdown again, as a deferred call does.
func TestShutdownTwice(t *testing.T) {
	e, err := New(Options{Loops: 1, Stalled: func(int, time.Duration, []byte) {}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Two goroutines may call Shutdown, and the one that looks for loops that stall may be one of them.
func TestShutdownByTwo(t *testing.T) {
	e, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range e.loops {
		onLoop(t, l.shown, func() {
			if p := l.raw.pipes.take(); p != nil {
				p.Release()
			}
		})
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
}

func TestShutdownWhenStalled(t *testing.T) {
	engines, stalls, over := make(chan *Engine, 1), make(chan struct{}), make(chan error, 1)
	e, err := New(Options{Loops: 1, StallAfter: time.Millisecond, Stalled: func(int, time.Duration, []byte) {
		e := <-engines
		close(stalls)
		over <- e.Shutdown(context.Background())
	}})
	if err != nil {
		t.Fatal(err)
	}
	engines <- e
	e.Loop(0).Post(func() { <-stalls })
	if err := waitFor(t, over, "end of the engine"); err != nil {
		t.Error(err)
	}
}

// Where everything is sent, on a connection that lingers or on an idle one with HTTP/2, the end of the engine does not destroy what the peer has
// not read yet.
func TestShutdownKeepsWhatWasSent(t *testing.T) {
	const size = 1 << 20
	for _, protocol := range []string{"HTTP", "HTTP/2", "another"} {
		t.Run(protocol, func(t *testing.T) {
			e, addr := start(t, Options{Loops: 1}, Limits{DrainTimeout: waitMost, H2C: true}, &testBackend{window: 64})
			if protocol == "another" {
				addr = serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream {
					c.Write(make([]byte, size))
					c.Close()
					return &calls{t: t}
				}), backend.Bounds{Linger: waitMost}).Addr()
			}
			p := dial(t, addr)
			p.conn().SetReadBuffer(64 << 10)
			var p2 *h2Peer
			switch protocol {
			case "HTTP/2":
				p2 = greetH2(t, p.stream, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2 * size})
				p2.WriteWindowUpdate(0, 2*size)
				p2.get(1, fmt.Sprintf("/big/%d", size))
			case "HTTP":
				p.say(fmt.Sprintf("GET /big/%d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", size))
			}
			eventually(t, "everything is sent", func() (sent bool) {
				e.onEveryLoop(func(l *loop) error {
					c, r := l.conns.First(), l.raw.conns.First()
					sent = c != nil && c.state == stateLingering || r != nil && r.state == rawLingering
					if h := l.h2; h != nil && h.twin.requests == 1 {
						s := h.conns.First()
						sent = len(s.streams) == 0 && s.raw.Held() == 0
					}
					return nil
				})
				return sent
			})
			over, cancel := context.WithCancel(context.Background())
			cancel()
			if err := e.Shutdown(over); err != context.Canceled {
				t.Error(err)
			}
			switch protocol {
			case "HTTP/2":
				for n, ended := 0, false; !ended; {
					if f, is := p2.next().(*http2.DataFrame); is {
						n += len(f.Data())
						if ended = f.StreamEnded(); ended && n != size {
							t.Errorf("%d bytes of %d", n, size)
						}
					}
				}
			case "HTTP":
				if n := len(p.hears(200)); n != size {
					t.Errorf("%d bytes of %d", n, size)
				}
			default:
				readsAll(t, p.r, make([]byte, size))
			}
		})
	}
}

// The same for a connection that waits for a last request, after a response that was in progress when the shutdown began.
func TestShutdownKeepsLastResponse(t *testing.T) {
	const size = 16 << 20
	e, addr := start(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	p := dial(t, addr)
	p.conn().SetReadBuffer(64 << 10)
	p.say(get(fmt.Sprintf("/big/%d", size)))
	is := func(want func(*conn) bool) (is bool) {
		e.onEveryLoop(func(l *loop) error {
			c := l.conns.First()
			is = c != nil && want(c)
			return nil
		})
		return is
	}
	eventually(t, "a part is sent", func() bool {
		return is(func(c *conn) bool { return c.state == stateDispatched && c.exchange.begun && !c.socket.writable })
	})
	over, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.Shutdown(over) }()
	eventually(t, "the shutdown begins", e.stopping.Load)
	got := int64(0)
	for !is(func(c *conn) bool { return c.state == stateIdle || c.state == stateLingering }) {
		n, err := io.CopyN(io.Discard, p.r, 64<<10)
		if got += n; err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := wait(t, done, "the end of the shutdown"); err != context.Canceled {
		t.Error(err)
	}
	n, err := io.Copy(io.Discard, p.r)
	if got += n; err != nil || got < size {
		t.Errorf("%d bytes of %d, and their head: %v", got, size, err)
	}
}
