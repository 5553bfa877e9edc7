package handler

import (
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// fakeFile is a request body as if it was in a file. It counts what the backend does with it.
type fakeFile struct {
	io.ReaderAt
	size   int64
	closed atomic.Int32
	fails  error
}

func newFakeFile(body string) *fakeFile {
	return &fakeFile{ReaderAt: strings.NewReader(body), size: int64(len(body))}
}

func (f *fakeFile) ReadAt(p []byte, off int64) (int, error) {
	if f.closed.Load() != 0 {
		return 0, errors.New("read of a closed file")
	}
	if f.fails != nil {
		return 0, f.fails
	}
	return f.ReaderAt.ReadAt(p, off)
}
func (f *fakeFile) Size() int64        { return f.size }
func (f *fakeFile) Open() (int, error) { return -1, errors.ErrUnsupported }
func (f *fakeFile) Close() error       { f.closed.Add(1); return nil }

// startFile starts an exchange whose body is in f.
func (b *fakeBackend) startFile(head string, f *fakeFile) (c *fakeConn, err error) {
	b.t.Helper()
	c = &fakeConn{t: b.t, l: b.fakeLoop, takes: -1}
	b.turn(func() {
		c.running, err = b.lb.(backend.FileBackend).StartFile(c, parse(b.t, head), 3, f, nil)
		c.started = true
	})
	return c, err
}

// closes waits until the file is closed, and checks that this happens once.
func (f *fakeFile) closes(t *testing.T, b *fakeBackend) {
	t.Helper()
	for end := time.Now().Add(patience); f.closed.Load() == 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("the file is not closed")
		}
	}
	b.turn(nil)
	if n := f.closed.Load(); n != 1 {
		t.Errorf("the file was closed %d times", n)
	}
}

func TestBlockingFile(t *testing.T) {
	body := strings.Repeat("0123456789", 20_000)
	for name, h := range map[string]Func{
		"Read": echo,
		"Body": func(w *Response, r *Request) {
			if r.ContentLength() >= 0 {
				if _, err := r.Body(199_999); err != ErrBodyTooLarge {
					t.Errorf("Body with a limit: %v", err)
				}
			}
			got, err := r.Body(200_000)
			if err != nil {
				t.Error(err)
			}
			w.Write(got)
		},
	} {
		for _, head := range []string{"POST / HTTP/1.1\nHost: a\nContent-Length: 200000\n\n", postMany} {
			t.Run(name, func(t *testing.T) {
				b := attachBlocking(t, Config{}, h, 0)
				f := newFakeFile(body)
				c, err := b.startFile(head, f)
				if err != nil {
					t.Fatal(err)
				}
				b.until("the end", func() bool { return c.over })
				if _, got := c.response("POST"); got != body || c.outcome() != "keep" {
					t.Errorf("%d bytes came back, %s", len(got), c.outcome())
				}
				if c.wanted != 0 || c.room != 0 {
					t.Error("the connection was asked for the body")
				}
				f.closes(t, b)
			})
		}
	}
}

// The file is closed when the handler has ended, and not before.
func TestBlockingFileOutlivesExchange(t *testing.T) {
	release := make(chan struct{})
	var late error
	b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) {
		<-release
		_, late = r.Read(make([]byte, 1))
	}), 0)
	f := newFakeFile("hello")
	c, err := b.startFile(postMany, f)
	if err != nil {
		t.Fatal(err)
	}
	b.turn(c.cancel)
	if f.closed.Load() != 0 {
		t.Error("closed while the handler runs")
	}
	close(release)
	f.closes(t, b)
	if late != ErrGone {
		t.Errorf("read after the connection had gone: %v", late)
	}
}

// A handler that has kept its request reads nothing more.
func TestBlockingFileAfterServe(t *testing.T) {
	var kept *Request
	b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) { kept = r }), 0)
	f := newFakeFile("hello")
	c, err := b.startFile(postMany, f)
	if err != nil {
		t.Fatal(err)
	}
	b.until("the end", func() bool { return c.over })
	f.closes(t, b)
	if n, err := kept.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestBlockingFileFails(t *testing.T) {
	for name, h := range map[string]Func{
		"panic":  func(*Response, *Request) { panic("on purpose") },
		"Goexit": func(*Response, *Request) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			b := attachBlocking(t, Config{Logger: slog.New(slog.DiscardHandler)}, h, 0)
			f := newFakeFile("hello")
			c, err := b.startFile(postMany, f)
			if err != nil {
				t.Fatal(err)
			}
			b.until("the end", func() bool { return c.over })
			if c.failed != 500 {
				t.Error(c.outcome())
			}
			f.closes(t, b)
		})
	}
	t.Run("read", func(t *testing.T) {
		b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) {
			if _, err := io.ReadAll(r); err != io.ErrNoProgress {
				t.Errorf("read: %v", err)
			}
		}), 0)
		f := newFakeFile("hello")
		f.fails = io.ErrNoProgress
		c, err := b.startFile(postMany, f)
		if err != nil {
			t.Fatal(err)
		}
		b.until("the end", func() bool { return c.over })
		f.closes(t, b)
	})
}

// Exchanges that no goroutine has taken give their files back too. One that is refused leaves it to the engine.
func TestBlockingFileInQueue(t *testing.T) {
	release := make(chan struct{})
	b := attachBlocking(t, Config{QueueMax: 2}, Func(func(*Response, *Request) { <-release }), 1)
	files := []*fakeFile{newFakeFile("a"), newFakeFile("b"), newFakeFile("c"), newFakeFile("d")}
	var conns []*fakeConn
	for _, f := range files {
		c, err := b.startFile(postMany, f)
		if (err != nil) != (f == files[3]) {
			t.Fatalf("start: %v", err)
		}
		conns = append(conns, c)
	}
	b.turn(conns[1].cancel)
	files[1].closes(t, b)
	b.advance(time.Minute)
	if conns[2].failed != 503 {
		t.Error(conns[2].outcome())
	}
	files[2].closes(t, b)
	if files[0].closed.Load()+files[3].closed.Load() != 0 {
		t.Error("the file of another exchange was closed")
	}
	close(release)
	files[0].closes(t, b)
}
