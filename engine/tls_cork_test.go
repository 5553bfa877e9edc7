package engine

import (
	"io"
	"sync/atomic"
	"syscall"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

const getLast = "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

// The last response goes to the system together with close_notify, in one call, and that knows that the FIN follows.
func TestTLSCorksTheLastResponse(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	p := dialTLS(t, addr, clientConfig())
	p.say(get("/hello"))
	p.hears(200)
	var writes, more, records atomic.Int32
	onLoop(t, e.Loop(0), func() {
		sys := &e.loops[0].sys
		write, writeMore := sys.write, sys.writeMore
		sys.write = func(fd int, p []byte) (int, syscall.Errno) { writes.Add(1); return write(fd, p) }
		sys.writeMore = func(fd int, p []byte) (int, syscall.Errno) {
			more.Add(1)
			records.Add(int32(recordsIn(p)))
			return writeMore(fd, p)
		}
	})
	p.say(getLast)
	p.hears(200)
	p.hearsEnd()
	if w, m, r := writes.Load(), more.Load(), records.Load(); w != 0 || m != 1 || r != 2 {
		t.Errorf("%d calls before the last, %d last ones with %d records", w, m, r)
	}
}

// recordsIn counts TLS records.
func recordsIn(p []byte) (n int) {
	for len(p) >= tlsHeaderBytes {
		p = p[tlsHeaderBytes+(int(p[3])<<8|int(p[4])):]
		n++
	}
	return n
}

// lateConn is a connection whose exchange is ended by the test.
func lateConn(t *testing.T) (*Engine, *benchBackend, *peer) {
	t.Helper()
	b := &attachedBench{}
	e, addr := startTLS(t, Options{Loops: 1}, Limits{}, b, &TLS{Config: serverConfig()})
	p := dialTLS(t, addr, clientConfig())
	p.say(getLast)
	await(t, "the request arrives", func() (arrived bool) {
		onLoop(t, e.Loop(0), func() { arrived = b.x != nil })
		return arrived
	})
	return e, &b.benchBackend, p
}

// attachedBench is a benchBackend for an engine with one loop.
type attachedBench struct{ benchBackend }

func (b *attachedBench) Attach(backend.Loop) (backend.LoopBackend, error) {
	return &b.benchBackend, nil
}

var lastHead, lastBody = []byte("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"), []byte("hello")

// A response does not wait for a backend that ends its exchange in a later turn.
func TestTLSCorkEndsWithTheTurn(t *testing.T) {
	e, b, p := lateConn(t)
	onLoop(t, e.Loop(0), func() { b.x.Output(lastHead, lastBody, true) })
	p.hears(200)
	onLoop(t, e.Loop(0), func() { b.x.Done(backend.EndKeep) })
	p.hearsEnd()
}

// What the socket does not take then waits for it, whether the exchange ends meanwhile or not.
func TestTLSCorkWaitsForTheSocket(t *testing.T) {
	for _, early := range []bool{false, true} {
		e, b, p := lateConn(t)
		l := e.loops[0]
		write := l.sys.write
		onLoop(t, e.Loop(0), func() {
			l.sys.write = func(fd int, p []byte) (int, syscall.Errno) { return write(fd, p[:min(len(p), 10)]) }
			b.x.Output(lastHead, lastBody, true)
		})
		onLoop(t, e.Loop(0), func() {
			c := l.tls.twin.conns.First()
			if c.output.Len() != 1 || c.socket.writable {
				t.Errorf("%d bytes wait, writable: %v", c.output.Len(), c.socket.writable)
			}
			l.sys.write = write
			if early {
				b.x.Done(backend.EndKeep)
			}
			c.Ready(reactor.Writable)
		})
		p.hears(200)
		if !early {
			onLoop(t, e.Loop(0), func() { b.x.Done(backend.EndKeep) })
		}
		p.hearsEnd()
	}
}

// A response that is not the last is not held back, nor is a part of the last one before its end.
func TestTLSCorksNothingElse(t *testing.T) {
	e, b, p := lateConn(t)
	first := len(lastHead)
	onLoop(t, e.Loop(0), func() {
		b.x.Output(lastHead, nil, false)
		if c := e.loops[0].tls.conns[e.loops[0].tls.twin.conns.First().socket.fd]; c.corked {
			t.Error("the first part waits")
		}
		b.x.Output(lastBody, nil, true)
		b.x.Done(backend.EndKeep)
	})
	got := make([]byte, first+len(lastBody))
	if _, err := io.ReadFull(p.r, got); err != nil || string(got) != string(lastHead)+string(lastBody) {
		t.Errorf("got %q, %v", got, err)
	}
	p.hearsEnd()
}
