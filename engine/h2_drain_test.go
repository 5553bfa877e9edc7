package engine

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/backend"

	"golang.org/x/net/http2"
)

// drainsForLong gives connections that end an hour for the answers of their peers: a test may be slow.
func drainsForLong(e *Engine) {
	e.onEveryLoop(func(l *loop) error { l.h2Part().drainMS = uint64(time.Hour / time.Millisecond); return nil })
}

// A connection that ends says so twice: first that no stream should follow, and then which was the last. What is on its way is served.
func TestH2Drain(t *testing.T) {
	b := &testBackend{}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	drainsForLong(e)
	p := dialH2(t, addr)
	p.get(1, "/slow")
	eventually(t, "the request is there", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.slow) == 1
	})
	drained := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	go func() { drained <- e.Drain(ctx) }()
	if f, ok := p.next().(*http2.GoAwayFrame); !ok || f.LastStreamID != 1<<31-1 || f.ErrCode != http2.ErrCodeNo {
		t.Fatalf("%v", f)
	}
	ping, ok := p.next().(*http2.PingFrame)
	if !ok {
		t.Fatal("no PING")
	}
	p.get(3, "/hello") // before GOAWAY was seen
	p.WritePing(true, ping.Data)
	a := new(h2Answer)
	for last := false; !last || !a.ended; {
		switch f := p.next().(type) {
		case *http2.GoAwayFrame:
			if last = true; f.LastStreamID != 3 {
				t.Fatalf("last stream %d", f.LastStreamID)
			}
			p.get(5, "/hello") // too late: it is ignored
		case *http2.HeadersFrame:
			a.fields = p.decode(f)
		case *http2.DataFrame:
			a.ended = f.StreamEnded() && f.StreamID == 3
		}
	}
	if a.status() != "200" {
		t.Errorf("the last request: %s", a.status())
	}
	b.mu.Lock()
	slow := b.slow
	b.mu.Unlock()
	slow[0].lb.l.Post(func() { slow[0].answer([]byte("late")) })
	p.wants(1, "200", "late")
	if code := p.goneWith(); code != ^http2.ErrCode(0) {
		t.Errorf("%v", code)
	}
	p.Close()
	if err := wait(t, drained, "end of Drain"); err != nil {
		t.Error(err)
	}
}

// A connection without a request is not ended as soon as its peer knows: the peer may be about to use it, and take that for a failure to connect.
func TestH2DrainUnused(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	drainsForLong(e)
	p := dialH2(t, addr)
	drained := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	go func() { drained <- e.Drain(ctx) }()
	if f, ok := p.next().(*http2.GoAwayFrame); !ok || f.LastStreamID != 1<<31-1 {
		t.Fatalf("%v", f)
	}
	ping, ok := p.next().(*http2.PingFrame)
	if !ok {
		t.Fatal("no PING")
	}
	p.WritePing(true, ping.Data)
	p.WritePing(false, [8]byte{1})
	if f, ok := p.next().(*http2.PingFrame); !ok || !f.IsAck() {
		t.Errorf("%v in place of the answer to PING", f)
	}
	p.Close()
	if err := wait(t, drained, "end of Drain"); err != nil {
		t.Error(err)
	}
}

// Peers that say nothing do not keep an engine from ending, and idle ones are ended after their time.
func TestH2Idle(t *testing.T) {
	const hour = uint64(time.Hour / time.Millisecond)
	e, addr := startH2(t, Options{Loops: 1}, Limits{IdleTimeout: time.Hour}, &testBackend{})
	p := dialH2(t, addr)
	p.lives(1)
	eventually(t, "the connection is idle", func() (idle bool) {
		e.onEveryLoop(func(l *loop) error {
			s := l.h2.conns.First()
			if idle = len(s.streams) == 0; idle {
				if left := s.idleMS - l.sys.nowMS(); left > hour || left < hour/2 {
					t.Errorf("%d ms left of an hour", left)
				}
				s.idleMS = l.sys.nowMS() + 1 // it is over
				s.updateDeadline()
			}
			return nil
		})
		return idle
	})
	p.hearsGoAway(http2.ErrCodeNo)
	p.Close()
	e, addr = startH2(t, Options{Loops: 1}, Limits{IdleTimeout: 10 * time.Millisecond}, &testBackend{})
	silent := dial(t, addr)
	silent.say(h2PrefaceText)
	io.Copy(io.Discard, silent.r) // to its end
	eventually(t, "silent connections end", func() bool { return e.Conns() == 0 })
}

// While a backend is replaced many times, and while an engine drains, no request of Go's client fails.
func TestH2Reload(t *testing.T) {
	e, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer checkNothingLeft(t, e)
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := serverConfig()
	config.NextProtos = []string{"h2"}
	ln.SetTLS(&TLS{Config: config})
	if err := e.Serve(ln, &testBackend{}, 0, Limits{}); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var clients sync.WaitGroup
	var served atomic.Int64
	for range 4 {
		clients.Go(func() {
			transport := &http.Transport{TLSClientConfig: clientConfig(), ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: waitMost}
			var streams sync.WaitGroup
			for range 5 {
				streams.Go(func() {
					for !stop.Load() {
						res, err := client.Get("https://" + ln.Addr() + "/hello")
						if err != nil {
							t.Errorf("request: %v", err)
							return
						}
						if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello" {
							t.Errorf("%q, %v", body, err)
						}
						res.Body.Close()
						served.Add(1)
					}
				})
			}
			streams.Wait()
		})
	}
	for range 50 {
		before := served.Load()
		if err := e.Serve(ln, &testBackend{}, 0, Limits{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "requests are served", func() bool { return served.Load() > before+5 || t.Failed() })
	}
	stop.Store(true)
	clients.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// A listener that is closed ends its connections; those of others go on.
func TestH2ListenerCloses(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, &testBackend{}, 0, Limits{H2C: true}); err != nil {
		t.Fatal(err)
	}
	p, other := dialH2(t, ln.Addr()), dialH2(t, addr)
	p.lives(1)
	ln.Close()
	p.hearsGoAway(http2.ErrCodeNo)
	p.Close()
	other.lives(1)
}

// A peer that has sent its FIN still gets its responses. One that is gone ends its exchanges.
func TestH2PeerEnds(t *testing.T) {
	b := &testBackend{window: 64}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.get(1, "/hello")
	p.Conn.(stream).CloseWrite()
	p.wants(1, "200", "hello")
	if code := p.goneWith(); code != ^http2.ErrCode(0) {
		t.Errorf("%v", code)
	}
	p.Close()
	p = dialH2(t, addr)
	p.get(1, "/slow")
	p.post(3, "/echo")
	p.get(5, "/slow")
	p.WriteRSTStream(5, http2.ErrCodeCancel)
	eventually(t, "the stream that is reset is cancelled", func() bool { return b.count(&b.cancelled) == 1 })
	p.Close()
	eventually(t, "all have ended", func() bool { return b.count(&b.cancelled) == 2 && e.Conns() == 0 }) // a body that breaks off is an error
}

// A backend that has few handlers gets few streams of a connection at a time: six at least, as many as connections of a browser.
func TestH2Overlap(t *testing.T) {
	b := &fewBackend{}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	e.holdH2()
	for id := uint32(1); id <= 19; id += 2 {
		p.get(id, "/slow")
	}
	p.WritePing(false, [8]byte{1})
	until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
	if n := b.count(&b.started); n != 6 {
		t.Fatalf("%d in progress", n)
	}
	for done := 0; done < 10; done++ {
		eventually(t, "the next one begins", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.slow) == min(10, 6+done)
		})
		b.mu.Lock()
		r := b.slow[done]
		b.mu.Unlock()
		r.lb.l.Post(func() { r.answer([]byte("ok")) })
		p.wants(uint32(2*done+1), "200", "ok")
	}
}

// The states and figures of connections count connections, not streams.
func TestH2Report(t *testing.T) {
	states := make(chan ConnState, 100)
	var lines accessLines
	e, addr := startH2(t, Options{Loops: 1, ConnState: func(_ ConnInfo, s ConnState) { states <- s }, AccessLog: lines.log}, Limits{}, &testBackend{})
	p := dialH2(t, addr)
	for id := uint32(1); id < 7; id += 2 {
		p.lives(id)
	}
	if s := e.Stats()[0]; s.Conns != 1 || s.Raw != 0 || s.Requests != 3 || s.Idle != 1 || s.Accepted != 1 {
		t.Errorf("%+v", s)
	}
	p.Close()
	want := []ConnState{ConnNew, ConnIdle, ConnActive, ConnIdle, ConnActive, ConnIdle, ConnActive, ConnIdle, ConnClosed}
	for i, s := range want {
		if got := wait(t, states, "state"); got != s {
			t.Fatalf("state %d: %v, want %v", i, got, s)
		}
	}
}

// fewBackend has few handlers.
type fewBackend struct{ testBackend }

func (b *fewBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return fewLoop{&testLoopBackend{&b.testBackend, l}}, nil
}

type fewLoop struct{ *testLoopBackend }

func (fewLoop) Overlap() int { return 1 }
