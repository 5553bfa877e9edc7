package compress

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// bodyInner is a backend that reads request bodies through a window.
type bodyInner struct {
	fakeInner
	head   httpparse.Head
	given  []byte // at Start
	window []byte
	free   int // of the window
	got    []byte
	ends   int
	aborts []bool // tooLarge
}

func (f *bodyInner) Attach(backend.Loop) (backend.LoopBackend, error) { return f, nil }

func (f *bodyInner) Start(x backend.Exchange, h *httpparse.Head, _ int, body []byte, more bool) (backend.Running, error) {
	f.x, f.head, f.given = x, *h, bytes.Clone(body)
	return f, nil
}

func (f *bodyInner) StartFile(x backend.Exchange, h *httpparse.Head, _ int, body backend.File, _ []byte) (backend.Running, error) {
	f.x, f.head = x, *h
	f.given, _ = io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	body.Close()
	return f, nil
}

func (f *bodyInner) BodyRoom() (a, b []byte) {
	f.window = make([]byte, f.free)
	return f.window[:f.free/3], f.window[f.free/3:]
}

func (f *bodyInner) BodyCommit(n int) {
	f.got = append(f.got, f.window[:n]...)
	f.free -= n
}

func (f *bodyInner) BodyEnd()             { f.ends++ }
func (f *bodyInner) BodyAbort(large bool) { f.aborts = append(f.aborts, large) }

// read makes room for n bytes.
func (f *bodyInner) read(n int) {
	f.free = n
	f.x.BodyRoom()
}

// over reports whether the body has ended, one way or another.
func (f *bodyInner) over() bool { return f.ends+len(f.aborts) > 0 }

// fakeBody is a request body in a file.
type fakeBody struct {
	*bytes.Reader
	closed int
}

func (f *fakeBody) Size() int64        { return f.Reader.Size() }
func (f *fakeBody) Open() (int, error) { return 0, os.ErrInvalid }
func (f *fakeBody) Close() error       { f.closed++; return nil }

// encodeAll encodes a whole body.
func encodeAll(coding, body string) []byte {
	c, _ := httpparse.CodingOf([]byte(coding))
	j := &job{in: []byte(body), finish: true, kind: kind{c, 5}}
	j.run(NewShared())
	return j.out
}

// upload starts an exchange with a coded body, in one of three ways: at once, in a file, or piece by piece.
func upload(t *testing.T, way string, coding string, body []byte, bytesMax int64) (*fakeLoop, *bodyInner, *fakeConn, *fakeBody) {
	t.Helper()
	loop, inner, conn := newFakeLoop(), new(bodyInner), &fakeConn{t: t}
	lb, err := NewDecoder(inner, bytesMax).Attach(loop)
	if err != nil {
		t.Fatal(err)
	}
	var p httpparse.Parser
	var h httpparse.Head
	request := fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Encoding: %s\r\nX-Y: z\r\nContent-Length: %d\r\n\r\n", coding, len(body))
	if _, err := p.Parse(&h, []byte(request), nil); err != nil {
		t.Fatal(err)
	}
	file := &fakeBody{Reader: bytes.NewReader(body)}
	switch way {
	case "at once":
		conn.r, err = lb.Start(conn, &h, 0, body, false)
	case "file":
		conn.r, err = lb.(backend.FileBackend).StartFile(conn, &h, 0, file, nil)
	default:
		conn.r, err = lb.Start(conn, &h, 0, body[:len(body)/3], true)
	}
	if err != nil {
		t.Fatal(err)
	}
	if way == "pieces" {
		rest := body[len(body)/3:]
		var feed func()
		feed = func() {
			if conn.ended > 0 {
				return
			}
			a, _ := conn.r.BodyRoom()
			n := copy(a, rest[:min(len(rest), 1000)])
			rest = rest[n:]
			conn.r.BodyCommit(n)
			if len(rest) == 0 && n > 0 {
				conn.r.BodyEnd()
			} else {
				loop.Post(feed)
			}
		}
		if len(rest) > 0 {
			feed()
		} else {
			conn.r.BodyEnd()
		}
	}
	return loop, inner, conn, file
}

var ways = []string{"at once", "file", "pieces"}

func TestDecode(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		for _, size := range []int{0, 1, 5000, 32 << 10, 300000} {
			for _, way := range ways {
				body := page(size)
				loop, inner, conn, file := upload(t, way, coding, encodeAll(coding, body), 1<<20)
				if inner.head.Find("content-encoding", 0) >= 0 || inner.head.Find("content-length", 0) >= 0 || inner.head.Find("x-y", 0) < 0 {
					t.Fatalf("the head has %d fields", len(inner.head.Fields))
				}
				if backend.BodyReceived(inner.x) != (way != "pieces") {
					t.Errorf("%s: received is %v", way, way == "pieces")
				}
				if !inner.head.Chunked || len(inner.given) > 0 {
					t.Fatalf("%q is given at once", inner.given)
				}
				inner.x.BodyWanted()
				loop.wait(t, func() bool {
					inner.read(7000)
					loop.Post(func() {})
					return inner.over()
				})
				if string(inner.got) != body || inner.ends != 1 || len(inner.aborts) > 0 {
					t.Fatalf("%s, %d, %s: %d bytes, %d ends, aborts %v", coding, size, way, len(inner.got), inner.ends, inner.aborts)
				}
				inner.x.Done(backend.EndKeep)
				if conn.ended != 1 || way == "file" && file.closed != 1 {
					t.Errorf("%d ends, file closed %d times", conn.ended, file.closed)
				}
			}
		}
	}
}

// TestDecodeRefused: bodies that are too large or broken. None of them may look complete.
func TestDecodeRefused(t *testing.T) {
	bomb := strings.Repeat("\x00", 3<<20)
	for _, coding := range []string{"gzip", "br", "zstd"} {
		good := encodeAll(coding, page(100000))
		for name, c := range map[string]struct {
			body  []byte
			large bool
		}{
			"too large": {encodeAll(coding, page(200001)), true},
			"bomb":      {encodeAll(coding, bomb), true},
			"cut":       {good[:len(good)/2], false},
			"cut by 1":  {good[:len(good)-1], false},
			"garbage":   {[]byte("this is not encoded"), false},
			"more":      {append(bytes.Clone(good), "xyz"...), false},
			"empty":     {nil, false},
		} {
			if len(c.body) == 0 {
				continue // a request without a body has none that is encoded
			}
			for _, way := range ways {
				loop, inner, conn, file := upload(t, way, coding, c.body, 200000)
				inner.x.BodyWanted()
				loop.wait(t, func() bool {
					inner.read(64 << 10)
					loop.Post(func() {})
					return inner.over()
				})
				if inner.ends > 0 || len(inner.aborts) != 1 || inner.aborts[0] != c.large {
					t.Errorf("%s, %s, %s: %d ends, aborts %v", coding, name, way, inner.ends, inner.aborts)
				}
				inner.x.Failed(400, 0)
				if conn.failed != 400 || way == "file" && file.closed != 1 {
					t.Errorf("failed %d, file closed %d times", conn.failed, file.closed)
				}
			}
		}
	}
}

// TestDecodeRatio: a body within the limit of its size that was made to cost time.
func TestDecodeRatio(t *testing.T) {
	body := encodeAll("zstd", strings.Repeat("a", 8<<20))
	loop, inner, _, _ := upload(t, "at once", "zstd", body, 1<<30)
	inner.x.BodyWanted()
	loop.wait(t, func() bool {
		inner.read(64 << 10)
		loop.Post(func() {})
		return inner.over()
	})
	if len(inner.aborts) != 1 || !inner.aborts[0] || len(inner.got) > decodeFree+decodePiece {
		t.Errorf("aborts %v after %d bytes", inner.aborts, len(inner.got))
	}
}

// TestDecodeStopped: an exchange ends at any point.
func TestDecodeStopped(t *testing.T) {
	body := encodeAll("gzip", page(300000))
	for _, way := range ways {
		for _, wanted := range []bool{false, true} {
			for _, how := range []string{"cancel", "done", "failed", "abort", "complete"} {
				loop, inner, conn, file := upload(t, way, "gzip", body, 1<<20)
				if wanted {
					inner.x.BodyWanted()
					loop.wait(t, func() bool {
						if len(inner.got) < 1000 {
							inner.read(1000)
							loop.Post(func() {})
						}
						return len(inner.got) >= 1000
					})
				}
				switch how {
				case "cancel":
					conn.r.Cancel()
				case "done":
					inner.x.Done(backend.EndClose)
				case "failed":
					inner.x.Failed(500, 0)
				case "abort":
					conn.r.BodyAbort(false)
					inner.x.Done(backend.EndClose)
				case "complete":
					inner.x.Complete(inner, backend.EndClose)
					inner.x.Left(inner)
				}
				conn.ended = 1
				got := len(inner.got)
				if way == "file" {
					loop.wait(t, func() bool { return file.closed > 0 })
				}
				inner.read(1000)
				loop.turn()
				if len(inner.got) != got || inner.ends > 0 || file.closed > 1 {
					t.Errorf("%s, %v, %s: %d bytes, %d ends, closed %d times", way, wanted, how, len(inner.got)-got, inner.ends, file.closed)
				}
			}
		}
	}
}

// TestNotDecoded: other requests reach the inner backend as they are.
func TestNotDecoded(t *testing.T) {
	loop, inner, conn := newFakeLoop(), new(bodyInner), &fakeConn{t: t}
	lb, _ := NewDecoder(inner, -1).Attach(loop)
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: identity\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip, br\r\nContent-Length: 5\r\n\r\n",
	} {
		var p httpparse.Parser
		var h httpparse.Head
		p.Parse(&h, []byte(request), nil)
		r, err := lb.Start(conn, &h, 0, []byte("hello"), false)
		if err != nil || r != backend.Running(inner) || inner.x != backend.Exchange(conn) || string(inner.given) != "hello" {
			t.Errorf("%q: %v, %q", request, err, inner.given)
		}
	}
}
