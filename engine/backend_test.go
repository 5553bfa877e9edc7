package engine

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// testBackend answers by path, in a later turn. Its window is small, so every body is streamed in many parts.
//
//	/hello         Content-Length response
//	/echo          the body, when it is complete
//	/addrs         the two addresses of the connection
//	/big/N         N bytes, in parts as the connection takes them
//	/fail/N        Failed(N)
//	/begin-fail    half a response, then Failed
//	/close         a response that ends the connection
//	/slow          answers when the test calls release
//	/never-read    answers without taking the body
//	/reset/N       N bytes, which the connection may still hold, then EndReset
type testBackend struct {
	window     int
	answersAll bool // any other path has an empty response; otherwise it has none

	mu        sync.Mutex
	started   int
	cancelled int
	bodies    int // complete
	ended     int
	held      int    // times that output was not taken whole
	aborted   []bool // tooLarge of each abort
	slow      []*testRun
	refuse    error
}

func (b *testBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return &testLoopBackend{b, l}, nil
}

type testLoopBackend struct {
	b *testBackend
	l backend.Loop
}

type testRun struct {
	lb       *testLoopBackend
	x        backend.Exchange
	path     string
	keep     bool
	body     []byte
	window   []byte
	used     int
	wantRoom bool
	complete bool
	over     bool
	output   []byte
}

func (lb *testLoopBackend) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	b := lb.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return nil, b.refuse
	}
	b.started++
	r := &testRun{lb: lb, x: x, path: string(h.Bytes(h.Path)), keep: h.Persistent, body: bytes.Clone(body), complete: !more}
	r.window = make([]byte, b.window)
	if name, _, _ := strings.Cut(r.path, "/"); name == "slow" {
		b.slow = append(b.slow, r) // here, so that release misses none that counts as started
	}
	lb.l.Post(r.begin)
	return r, nil
}

func (r *testRun) begin() {
	if r.over {
		return
	}
	name, arg, _ := strings.Cut(r.path, "/")
	n, _ := strconv.Atoi(arg)
	switch name {
	case "echo":
		r.x.BodyWanted()
		if r.complete {
			r.answer(r.body)
		}
	case "hello", "never-read":
		r.answer([]byte("hello"))
	case "big":
		r.answer(bytes.Repeat([]byte("0123456789abcdef"), n/16))
	case "close":
		r.keep = false
		r.answer([]byte("bye"))
	case "fail":
		r.finished()
		r.x.Failed(n, 1500*time.Millisecond)
	case "reset":
		r.x.Output(bytes.Repeat([]byte("x"), n), nil, false)
		r.finished()
		r.x.Done(backend.EndReset)
	case "addrs":
		local, remote := r.x.Addrs()
		again, _ := r.x.Addrs()
		r.answer(fmt.Appendf(nil, "%v %v %v", local, again, remote))
	case "begin-fail":
		r.x.Output([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), nil, false)
		r.finished()
		r.x.Failed(502, 0)
	case "slow": // release answers
	default:
		if r.lb.b.answersAll {
			r.answer(nil)
		}
	}
}

func (r *testRun) finished() {
	r.over = true
	r.lb.b.mu.Lock()
	r.lb.b.ended++
	r.lb.b.mu.Unlock()
}

func (r *testRun) answer(body []byte) {
	r.output = append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)), body...)
	r.OutputRoom()
}

func (r *testRun) OutputRoom() {
	for len(r.output) > 0 {
		part := r.output[:min(len(r.output), 64<<10)]
		half := len(part) / 2
		n := r.x.Output(part[:half], part[half:], len(part) == len(r.output))
		r.output = r.output[n:]
		if n < len(part) {
			r.lb.b.mu.Lock()
			r.lb.b.held++
			r.lb.b.mu.Unlock()
			return
		}
	}
	r.finished()
	if r.keep {
		r.x.Done(backend.EndKeep)
	} else {
		r.x.Done(backend.EndClose)
	}
}

func (r *testRun) BodyRoom() (a, b []byte) {
	free := r.window[r.used:]
	if len(free) == 0 {
		r.wantRoom = true
		return nil, nil
	}
	half := (len(free) + 1) / 2
	return free[:half], free[half:]
}

func (r *testRun) BodyCommit(n int) {
	r.used += n
	r.lb.l.Post(func() {
		r.body = append(r.body, r.window[:r.used]...)
		r.used = 0
		if r.wantRoom && !r.over {
			r.wantRoom = false
			r.x.BodyRoom()
		}
	})
}

func (r *testRun) BodyEnd() {
	r.lb.b.mu.Lock()
	r.lb.b.bodies++
	r.lb.b.mu.Unlock()
	r.lb.l.Post(func() {
		r.complete = true
		if strings.HasPrefix(r.path, "echo") && !r.over {
			r.answer(r.body)
		}
	})
}

func (r *testRun) BodyAbort(tooLarge bool) {
	r.lb.b.mu.Lock()
	r.lb.b.aborted = append(r.lb.b.aborted, tooLarge)
	r.lb.b.mu.Unlock()
	r.lb.l.Post(func() {
		if !r.over {
			r.finished()
			if tooLarge {
				r.x.Failed(413, 0)
			} else {
				r.x.Failed(400, 0)
			}
		}
	})
}

func (r *testRun) PeerEnd() {}

func (r *testRun) Cancel() {
	r.over = true
	r.lb.b.mu.Lock()
	r.lb.b.cancelled++
	r.lb.b.mu.Unlock()
}

// release answers the slow exchanges that have started.
func (b *testBackend) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.slow {
		r.lb.l.Post(func() {
			if !r.over {
				r.answer([]byte("slow"))
			}
		})
	}
	b.slow = nil
}

// count reads a counter of the backend.
func (b *testBackend) count(p *int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *p
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(waitMost)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// noConns checks that an engine that has ended has no connection any more. Those that were hijacked end on goroutines of the test, perhaps a
// moment later.
func noConns(t *testing.T, e *Engine) {
	t.Helper()
	eventually(t, "no connections are left", func() bool { return e.Conns() == 0 })
}

// wait receives a value, which has to come within a bounded time.
func wait[T any](t *testing.T, from <-chan T, what string) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(waitMost):
		t.Fatalf("timeout: %s", what)
	}
	return got
}
