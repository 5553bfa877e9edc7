package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/handler/forwarded"
	"moonbridge/httpparse"
)

// clientBackend answers every request with what its head says of the client.
type clientBackend struct {
	l    backend.Loop
	hold bool // the first request is answered when the test says so
	held []func()
}

func (b *clientBackend) Attach(l backend.Loop) (backend.LoopBackend, error) { b.l = l; return b, nil }

func (b *clientBackend) Start(x backend.Exchange, h *httpparse.Head, _ int, body []byte, more bool) (backend.Running, error) {
	text := fmt.Sprintf("%v %v", h.Client, h.Secure)
	r := &clientRun{x: x, keep: h.Persistent}
	answer := func() { r.answer(text) }
	if b.hold {
		b.hold = false
		b.held = append(b.held, answer)
	} else {
		b.l.Post(answer)
	}
	return r, nil
}

func (b *clientBackend) StartFile(x backend.Exchange, h *httpparse.Head, _ int, body backend.File, _ []byte) (backend.Running, error) {
	body.Close()
	return b.Start(x, h, 0, nil, false)
}

type clientRun struct {
	x    backend.Exchange
	keep bool
	over bool
	room [64]byte
}

func (r *clientRun) answer(text string) {
	if r.over {
		return
	}
	r.x.Output(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text), nil, true)
	r.over = true
	if r.keep {
		r.x.Done(backend.EndKeep)
	} else {
		r.x.Done(backend.EndClose)
	}
}

func (r *clientRun) BodyRoom() (a, b []byte) { return r.room[:], nil }
func (r *clientRun) BodyCommit(int)          {}
func (r *clientRun) BodyEnd()                {}
func (r *clientRun) BodyAbort(bool)          {}
func (r *clientRun) OutputRoom()             {}
func (r *clientRun) PeerEnd()                {}
func (r *clientRun) Cancel()                 { r.over = true }

// Every kind of request has the client that a trusted proxy says, in the backend and in the access log, and no request of
// another listener has it.
func TestTrustedProxies(t *testing.T) {
	trusted, err := forwarded.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	logged := make(chan netip.AddrPort, 1)
	o := Options{Loops: 1, AccessLog: func(a *Access) { logged <- a.Peer }, Spool: Spool{Dir: t.TempDir()}}
	b := &clientBackend{}
	e, address := start(t, o, Limits{TrustedProxies: trusted, SpoolBody: true, BufferBody: 16}, b)
	plain, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other := &clientBackend{}
	if err := e.Serve(plain, other, 0, Limits{}); err != nil {
		t.Fatal(err)
	}
	p, q := dial(t, address), dial(t, plain.Addr())
	const fields = "Host: h\r\nX-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: https\r\n"
	requests := []string{
		"GET / HTTP/1.1\r\n" + fields + "\r\n",
		"POST / HTTP/1.1\r\n" + fields + "Content-Length: 4\r\n\r\nbody",
		"POST / HTTP/1.1\r\n" + fields + "Content-Length: 1000\r\n\r\n" + strings.Repeat("b", 1000),
		"POST / HTTP/1.1\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	}
	for _, request := range requests {
		p.say(request)
		if got := p.hears(200); got != "203.0.113.5 true" {
			t.Errorf("%.10q: %q", request, got)
		}
		if got := <-logged; got.String() != "203.0.113.5:0" {
			t.Errorf("%.10q: %v in the access log", request, got)
		}
		q.say(request)
		if got := q.hears(200); got != "invalid IP false" {
			t.Errorf("%.10q at another listener: %q", request, got)
		}
		if got := <-logged; got.String() != q.LocalAddr().String() {
			t.Errorf("%.10q at another listener: %v in the access log", request, got)
		}
	}
	// Pipelined requests: they are in progress together, and each has its own client.
	e.onEveryLoop(func(*loop) error { b.hold = true; return nil })
	p.say(requests[0] + strings.Replace(requests[0], "113.5", "113.6", 1) + "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	eventually(t, "the first is held", func() bool {
		n := make(chan int, 1)
		e.onEveryLoop(func(*loop) error { n <- len(b.held); return nil })
		return <-n == 1
	})
	q.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := q.hears(200); got != "invalid IP false" {
		t.Errorf("another listener: %q", got)
	}
	<-logged
	e.onEveryLoop(func(*loop) error { b.held[0](); return nil })
	for i, want := range []string{"203.0.113.5 true", "203.0.113.6 true", "invalid IP false"} {
		if got := p.hears(200); got != want {
			t.Errorf("pipelined request %d: %q, want %q", i, got, want)
		}
		<-logged
	}
}
