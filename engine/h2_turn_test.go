package engine

import (
	"syscall"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"

	"golang.org/x/net/http2"
)

// turnBackend answers at the end of turns, as pools do. It belongs to the only loop.
type turnBackend struct {
	turn     int // number of this one
	started  []backend.Exchange
	answered []int // turns
}

func (b *turnBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	l.OnTurn(b)
	return b, nil
}

func (b *turnBackend) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	b.started = append(b.started, x)
	return &benchBackend{}, nil
}

func (b *turnBackend) BeginTurn() { b.turn++ }

func (b *turnBackend) EndTurn() bool {
	for _, x := range b.started {
		b.answered = append(b.answered, b.turn)
		x.Output([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), []byte("hello"), true)
		x.Done(backend.EndKeep)
	}
	b.started = nil
	return false
}

// A response of HTTP/2 is sent in the turn in which the backend has answered, with one call: another turn would cost a wake-up for each
// request of a client that has one stream.
func TestH2SendsWithinTheTurn(t *testing.T) {
	b := &turnBackend{}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	var writes []int
	e.onEveryLoop(func(l *loop) error {
		write, writev := l.sys.write, l.sys.writev
		l.sys.write = func(fd int, p []byte) (int, syscall.Errno) { writes = append(writes, b.turn); return write(fd, p) }
		l.sys.writev = func(fd int, a, c []byte) (int, syscall.Errno) {
			writes = append(writes, b.turn)
			return writev(fd, a, c)
		}
		return nil
	})
	const requests = 5
	for i := range requests {
		p.get(uint32(2*i+1), "/hello")
		until(p, func(f *http2.DataFrame) bool { return f.StreamEnded() })
	}
	e.onEveryLoop(func(l *loop) error {
		if len(b.answered) != requests || len(writes) != requests {
			t.Fatalf("%d answers and %d writes, of %d", len(b.answered), len(writes), requests)
		}
		for i := range writes {
			if writes[i] != b.answered[i] {
				t.Errorf("answered in turn %d, sent in turn %d", b.answered[i], writes[i])
			}
		}
		return nil
	})
}
