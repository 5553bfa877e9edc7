package backend_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"moonbridge/engine"
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// mirror is a small backend: it answers every request with its path.
type mirror struct{}

func (m *mirror) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return &mirrorLoop{loop: l}, nil
}

// mirrorLoop is the part of a mirror on one loop.
type mirrorLoop struct {
	loop backend.Loop
	date httpwrite.Date
}

func (l *mirrorLoop) Start(x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	path := bytes.Clone(head.Bytes(head.Path)) // a view, which ends with Start
	m := &mirrored{x: x, end: backend.EndClose}
	if head.Persistent {
		m.end = backend.EndKeep
	}
	h := httpwrite.Head{
		Status:    200,
		Date:      l.date.At(l.loop.Now()),
		Fields:    httpwrite.AppendField(nil, "Content-Type", "text/plain"),
		Length:    int64(len(path)),
		Close:     !head.Persistent,
		KeepAlive: head.Persistent && head.Minor == 0,
	}
	m.rest = h.Append(nil)
	if !head.IsHead {
		m.rest = append(m.rest, path...)
	}
	l.loop.Post(m.OutputRoom) // x must not hear of it before Start has returned
	return m, nil
}

// mirrored is one exchange. It throws the request body away.
type mirrored struct {
	x    backend.Exchange
	end  backend.End
	rest []byte // of the response
	over bool
	room [4096]byte
}

// OutputRoom sends as much of the response as the connection takes.
func (m *mirrored) OutputRoom() {
	if m.over {
		return
	}
	m.rest = m.rest[m.x.Output(m.rest, nil, true):]
	if len(m.rest) == 0 {
		m.over = true
		m.x.Done(m.end)
	}
}

func (m *mirrored) BodyRoom() (a, b []byte) { return m.room[:], nil }
func (m *mirrored) BodyCommit(n int)        {}
func (m *mirrored) BodyEnd()                {}
func (m *mirrored) BodyAbort(tooLarge bool) {}
func (m *mirrored) PeerEnd()                {} // it may still read
func (m *mirrored) Cancel()                 { m.over = true }

// A backend of one's own, served by an engine.
func Example() {
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, new(mirror), 0, engine.Limits{}); err != nil {
		panic(err)
	}

	res, err := http.Post("http://"+ln.Addr()+"/a/b", "text/plain", bytes.NewReader(make([]byte, 100_000)))
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	fmt.Println(res.Status, string(text), err)
	// Output: 200 OK a/b <nil>
}
