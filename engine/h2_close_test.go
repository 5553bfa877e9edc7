package engine

import (
	"context"
	"net"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"

	"golang.org/x/net/http2"
)

// heldBackend answers with a body of which the connection holds a part.
type heldBackend struct{ size chan int }

func (b heldBackend) Attach(l backend.Loop) (backend.LoopBackend, error) { return heldLoop{b, l}, nil }

type heldLoop struct {
	heldBackend
	l backend.Loop
}

func (b heldLoop) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	b.l.Post(func() {
		c, size := x.(*conn), 0
		s := c.l.multiplexed.stream(c.socket.fd).s
		x.Output([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), nil, false)
		for s.raw.Held() == 0 {
			x.Output([]byte("400\r\n"), append(make([]byte, 0x400), "\r\n"...), false)
			s.flush()
			size += 0x400
		}
		x.Output([]byte("0\r\n\r\n"), nil, true)
		x.Done(backend.EndKeep)
		b.size <- size
	})
	return stuckRun{}, nil
}

// A client that reads the last response of a connection slowly has as much time for it as for another one, though the connection ends.
func TestH2LastResponse(t *testing.T) {
	b := heldBackend{make(chan int, 1)}
	e, addr := startH2(t, Options{Loops: 1}, Limits{DrainTimeout: time.Millisecond}, b)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	p.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	p.WriteWindowUpdate(0, 1<<30)
	p.get(1, "/")
	size := waitFor(t, b.size, "response")
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitMost)
		defer cancel()
		drained <- e.Drain(ctx)
	}()
	eventually(t, "the connection ends", func() (ends bool) {
		e.onEveryLoop(func(l *loop) error {
			s := l.h2.conns.First()
			if s == nil {
				t.Fatal("the connection is over")
			}
			if ends = s.raw.state == rawClosing; ends && s.raw.deadline.atMS < l.sys.nowMS()+uint64(stallTimeoutDefault/time.Millisecond)/2 {
				t.Errorf("the client has %d ms", s.raw.deadline.atMS-l.sys.nowMS())
			}
			return nil
		})
		return ends
	})
	p.Conn.(*net.TCPConn).SetReadBuffer(1 << 20)
	got := 0
	for ended := false; !ended; {
		if f, ok := p.next().(*http2.DataFrame); ok {
			got += len(f.Data())
			ended = f.StreamEnded()
		}
	}
	if got != size {
		t.Errorf("%d bytes of %d", got, size)
	}
	if err := waitFor(t, drained, "end"); err != nil {
		t.Error(err)
	}
}

// A connection that is ended for a mistake does not wait that long.
func TestH2MistakeEndsSoon(t *testing.T) {
	b := heldBackend{make(chan int, 1)}
	e, addr := startH2(t, Options{Loops: 1}, Limits{DrainTimeout: time.Millisecond}, b)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	p.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	p.WriteWindowUpdate(0, 1<<30)
	p.get(1, "/")
	waitFor(t, b.size, "response")
	p.WriteRawFrame(http2.FramePing, 0, 1, make([]byte, 8))
	eventually(t, "the connection is over", func() bool { return e.Conns() == 0 })
}

// A connection that is closing gets no request any more: AwaitEnded does not wait for it.
func TestH2ClosingAsksNothing(t *testing.T) {
	b := heldBackend{make(chan int, 1)}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	p.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	p.WriteWindowUpdate(0, 1<<30)
	p.get(1, "/")
	waitFor(t, b.size, "response")
	p.Conn.(*net.TCPConn).CloseWrite()
	closing := func() (is bool) {
		e.onEveryLoop(func(l *loop) error {
			s := l.h2.conns.First()
			is = s != nil && s.raw.state == rawClosing
			return nil
		})
		return is
	}
	eventually(t, "the connection is closing", closing)
	if err := e.listeners[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.AwaitEnded(t.Context()); err != nil || !closing() {
		t.Errorf("%v, after the end of the connection", err)
	}
	p.Conn.Close()
}
