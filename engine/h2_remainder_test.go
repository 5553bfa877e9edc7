package engine

import (
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// restlessBackend completes each response, and goes on.
type restlessBackend struct{ testBackend }

func (b *restlessBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return restlessLoop{&testLoopBackend{&b.testBackend, l}}, nil
}

type restlessLoop struct{ *testLoopBackend }

func (lb restlessLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	r := &testRun{lb: lb.testLoopBackend, x: x}
	lb.l.Post(func() {
		x.Output([]byte(response("response")), nil, true)
		x.Complete(r, backend.EndKeep)
		lb.b.mu.Lock()
		lb.b.slow = append(lb.b.slow, r)
		lb.b.mu.Unlock()
	})
	return r, nil
}

// left ends the handler of the n-th request.
func (b *restlessBackend) left(n int) {
	b.mu.Lock()
	r := b.slow[n]
	b.mu.Unlock()
	r.lb.l.Post(func() { r.x.Left(r) })
}

// A handler that goes on after its response lives as long as the connection, as with HTTP/1.1. Until it ends, no other stream gets its conn.
func TestH2Remainder(t *testing.T) {
	b := &restlessBackend{}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	idle := func() (n, left int) {
		e.onEveryLoop(func(l *loop) error {
			n = len(l.h2.idle)
			for s := range l.h2.conns.All() {
				left += len(s.left)
			}
			return nil
		})
		return n, left
	}
	p, other := dialH2(t, addr), dialH2(t, addr)
	const streams = 5
	for id := uint32(1); id < 2*streams; id += 2 {
		p.get(id, "/")
		p.wants(id, "200", "response")
	}
	other.get(1, "/")
	other.wants(1, "200", "response")
	eventually(t, "the handlers go on", func() bool { n, left := idle(); return n == 0 && left == streams+1 })
	b.left(2)
	b.left(0)
	eventually(t, "two have ended", func() bool { n, left := idle(); return n == 2 && left == streams-1 })
	p.get(21, "/")
	p.wants(21, "200", "response")
	eventually(t, "another one goes on", func() bool { n, left := idle(); return n == 1 && left == streams })
	if n := b.count(&b.cancelled); n != 0 {
		t.Fatalf("%d handlers are told that the connection has ended", n)
	}
	p.Close()
	eventually(t, "those of the connection are told that it has ended", func() bool { return b.count(&b.cancelled) == streams-1 })
	if n, left := idle(); n != 1 || left != 1 {
		t.Errorf("%d conns are idle, %d handlers go on", n, left)
	}
	b.left(4) // too late: nobody knows it
	b.left(streams)
	eventually(t, "the last one has ended", func() bool { n, left := idle(); return n == 2 && left == 0 })
	other.get(3, "/")
	other.wants(3, "200", "response")
	other.Close()
	eventually(t, "all is over", func() bool { return b.count(&b.cancelled) == streams })
}

// The response timeout ends for them too.
func TestH2RemainderTimeout(t *testing.T) {
	b := &restlessBackend{}
	_, addr := startH2(t, Options{Loops: 1}, Limits{ResponseTimeout: 20 * time.Millisecond}, b)
	p := dialH2(t, addr)
	p.get(1, "/")
	p.wants(1, "200", "response")
	eventually(t, "the handler is told", func() bool { return b.count(&b.cancelled) == 1 })
	p.get(3, "/")
	p.wants(3, "200", "response")
}
