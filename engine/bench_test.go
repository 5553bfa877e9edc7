package engine

import (
	"net/netip"
	"syscall"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/reactor"
)

// benchBackend holds the exchange, which the benchmark answers.
type benchBackend struct{ x backend.Exchange }

func (b *benchBackend) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	b.x = x
	return b, nil
}
func (b *benchBackend) BodyRoom() (x, y []byte) { return nil, nil }
func (b *benchBackend) BodyCommit(int)          {}
func (b *benchBackend) BodyEnd()                {}
func (b *benchBackend) BodyAbort(bool)          {}
func (b *benchBackend) PeerEnd()                {}
func (b *benchBackend) OutputRoom()             {}
func (b *benchBackend) Cancel()                 {}

// BenchmarkExchange measures one request and its response on a persistent connection: everything that the engine does for it,
// on a real socket, but without the reactor's turn.
func BenchmarkExchange(b *testing.B) {
	e, err := New(Options{Loops: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Shutdown(b.Context())
	e.onEveryLoop(func(l *loop) error {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			b.Fatal(err)
		}
		syscall.SetNonblock(fds[0], true)
		syscall.SetNonblock(fds[1], true)
		defer syscall.Close(fds[1])
		back := &benchBackend{}
		s := &service{backend: back, limits: Limits{}.resolve(), addrs: &addrs{}}
		e.conns.Add(1)
		c := newConn(l, s, fds[0], netip.AddrPort{})
		if err := l.sys.add(fds[0], c); err != nil {
			b.Fatal(err)
		}
		request, in := []byte(get("/hello")), make([]byte, 4<<10)
		head, body := []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), []byte("hello")
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			reactor.Write(fds[1], request)
			c.Ready(reactor.Readable)
			back.x.Output(head, body, true)
			back.x.Done(backend.EndKeep)
			if n, _ := reactor.Read(fds[1], in); n != len(head)+len(body) {
				b.Fatal("no response")
			}
		}
		b.StopTimer()
		c.close()
		return nil
	})
}
