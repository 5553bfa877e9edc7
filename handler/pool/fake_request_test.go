package pool

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// request is an exchange from the side of the connection.
type request struct {
	method, target string
	fields         [][2]string
	body           []byte // that is there from the beginning
	rest           []byte // that comes later
	chunked        bool
	abort          bool      // break off after the rest
	stall          bool      // send nothing after the first part of the body
	file           *testFile // the body, instead
	listener       int
	take           int  // bytes of output that are taken at a time; 0: all
	stuck          bool // takes no output at all

	joined int // heads that were taken together with a range of a file; of the loop

	// Of the loop.
	t      *testing.T
	l      *fakeLoop
	lb     backend.LoopBackend
	r      backend.Running
	wanted bool
	full   bool
	over   bool
	got    result
	after  func() // called on the loop when it is over
	done   chan struct{}
	left   chan struct{} // closed by Left
}

// result is how an exchange ended.
type result struct {
	out        string
	end        backend.End
	status     int // of Failed
	retryAfter time.Duration
	err        error // of Start
	calls      int   // of Done, Complete and Failed
	complete   bool  // the worker still had it
}

// makeHead builds the head as the parser would.
func (q *request) head() *httpparse.Head {
	h := &httpparse.Head{Minor: 1, Persistent: true}
	var raw bytes.Buffer
	span := func(s string) httpparse.Span {
		at := raw.Len()
		raw.WriteString(s)
		return httpparse.Span{Off: uint32(at), Len: uint32(len(s))}
	}
	h.Method = span(q.method)
	raw.WriteString(" /")
	path, query, found := bytes.Cut([]byte(q.target), []byte("?"))
	h.Path = span(string(path))
	if found {
		h.Query = span("?" + string(query))
	}
	raw.WriteString(" HTTP/1.1")
	for _, f := range q.fields {
		raw.WriteString("\r\n")
		n := span(f[0])
		raw.WriteString(": ")
		v := span(f[1])
		h.Fields = append(h.Fields, httpparse.Field{NameOff: n.Off, NameLen: n.Len, ValueOff: v.Off, ValueLen: v.Len})
	}
	h.Raw = raw.Bytes()
	h.IsHead = q.method == "HEAD"
	h.Chunked = q.chunked
	h.ContentLength = int64(len(q.body) + len(q.rest))
	if q.file != nil {
		h.ContentLength = q.file.size
	}
	if q.chunked {
		h.ContentLength = httpparse.LengthUnknown
	}
	return h
}

// start begins the exchange on its loop.
func (q *request) start(t *testing.T, l *fakeLoop, lb backend.LoopBackend) *request {
	q.t, q.l, q.lb, q.done, q.left = t, l, lb, make(chan struct{}), make(chan struct{})
	l.Post(q.begin)
	return q
}

func (q *request) begin() {
	if q.method == "" {
		q.method = "GET"
	}
	more := len(q.rest) > 0 || q.chunked || q.abort
	var r backend.Running
	var err error
	if q.file != nil {
		more = false
		r, err = q.lb.(backend.FileBackend).StartFile(q, q.head(), q.listener, q.file, nil)
	} else {
		r, err = q.lb.Start(q, q.head(), q.listener, q.body, more)
	}
	if err != nil {
		q.got.err = err
		q.finished()
		return
	}
	q.r = r
	if more && !q.stall {
		q.pump()
	}
}

func (q *request) pump() {
	for len(q.rest) > 0 {
		a, b := q.r.BodyRoom()
		if len(a) == 0 {
			q.full = true
			return
		}
		n := copy(a, q.rest)
		n += copy(b, q.rest[n:])
		q.rest = q.rest[n:]
		q.r.BodyCommit(n)
	}
	if q.abort {
		q.r.BodyAbort(true)
	} else {
		q.r.BodyEnd()
	}
}

func (q *request) Output(a, b []byte, last bool) int {
	q.use()
	n := len(a) + len(b)
	if q.stuck {
		return 0
	}
	if q.take > 0 && n > q.take {
		n = q.take
		q.l.Post(func() {
			if !q.over {
				q.r.OutputRoom()
			}
		})
	}
	q.got.out += string(a[:min(n, len(a))]) + string(b[:max(0, n-len(a))])
	return n
}

func (q *request) Done(end backend.End) {
	q.use()
	q.got.end = end
	q.finished()
}

func (q *request) Complete(r backend.Running, end backend.End) {
	q.use()
	if r != q.r {
		q.t.Errorf("%s: Complete of another exchange", q.target)
	}
	q.got.end, q.got.complete = end, true
	q.finished()
}

func (q *request) Left(r backend.Running) {
	if r != q.r || !q.got.complete {
		q.t.Errorf("%s: Left, complete: %v", q.target, q.got.complete)
	}
	close(q.left)
}

func (q *request) Failed(status int, retryAfter time.Duration) {
	q.use()
	q.got.status, q.got.retryAfter = status, retryAfter
	q.finished()
}

func (q *request) BodyRoom() {
	q.use()
	if q.full {
		q.full = false
		q.pump()
	}
}

func (q *request) BodyWanted()                           { q.use(); q.wanted = true }
func (q *request) Addrs() (local, remote netip.AddrPort) { return local, remote }

// use is part of every call of the backend.
func (q *request) use() {
	if q.over {
		q.t.Errorf("%s: called after its end", q.target)
	}
}

func (q *request) finished() {
	q.over = true
	q.got.calls++
	if q.after != nil {
		q.after()
	}
	close(q.done)
}

// cancel ends it from the connection's side.
func (q *request) cancel() {
	q.l.do(func() {
		if !q.over {
			q.over = true
			q.r.Cancel()
			close(q.done)
		}
	})
}

// peerEnds says that the peer has finished sending.
func (q *request) peerEnds() {
	q.l.do(func() {
		if !q.over {
			q.r.PeerEnd()
		}
	})
}

// cancelComplete tells it that the connection is gone, after Complete.
func (q *request) cancelComplete() {
	q.l.do(func() { q.r.Cancel() })
}

// awaitLeft waits until its handler has ended, after Complete.
func (q *request) awaitLeft() {
	q.t.Helper()
	select {
	case <-q.left:
	case <-time.After(testPatience):
		q.t.Fatalf("%s: the handler has not left for %v", q.target, testPatience)
	}
}

// wait returns the result.
func (q *request) wait() result {
	q.t.Helper()
	select {
	case <-q.done:
	case <-time.After(testPatience):
		q.t.Fatalf("%s: no answer for %v", q.target, testPatience)
	}
	return q.got
}
