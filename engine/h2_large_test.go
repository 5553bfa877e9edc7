package engine

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"

	"golang.org/x/net/http2"
)

// wholeBackend offers a large response in one piece, as the cache does with a page, and keeps what the connection does not take.
type wholeBackend struct{ size int }

func (b wholeBackend) Attach(backend.Loop) (backend.LoopBackend, error) { return b, nil }

func (b wholeBackend) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	r := &wholeRun{x: x, rest: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", b.size)}
	r.rest = append(r.rest, bytes.Repeat([]byte("x"), b.size)...)
	r.OutputRoom()
	return r, nil
}

type wholeRun struct {
	stuckRun
	x    backend.Exchange
	rest []byte
}

func (r *wholeRun) OutputRoom() {
	r.rest = r.rest[r.x.Output(r.rest, nil, false):]
	if len(r.rest) == 0 {
		r.x.Done(backend.EndKeep)
	}
}

// A large response that is offered in one piece, to a client that gives much window and reads nothing, waits in its backend.
func TestH2LargePiece(t *testing.T) {
	const size = 32 << 20
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, wholeBackend{size})
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	p.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	p.WriteWindowUpdate(0, 1<<30)
	p.get(1, "/")
	eventually(t, "the connection is full", func() (full bool) {
		e.onEveryLoop(func(l *loop) error {
			s := l.h2.conns.First()
			if full = s.raw.Full(); full && s.raw.Held() > 2*h2HeldMax {
				t.Errorf("%d bytes are held", s.raw.Held())
			}
			return nil
		})
		return full
	})
	p.Conn.Close()
}
