package compress

import (
	"math"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// busyInner is a backend with the optional interfaces that say how busy it is.
type busyInner struct{ bodyInner }

func (f *busyInner) Attach(backend.Loop) (backend.LoopBackend, error) { return f, nil }
func (f *busyInner) Overlap() int                                     { return 3 }
func (f *busyInner) Pressed() bool                                    { return false }

// TestForwarded: the optional interfaces of the inner backend are those of the backends in front of it.
func TestForwarded(t *testing.T) {
	for name, wrap := range map[string]func(backend.Backend) backend.Backend{
		"Backend": func(b backend.Backend) backend.Backend {
			c, err := New(b, Options{}, NewShared())
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		"Decoder": func(b backend.Backend) backend.Backend { return NewDecoder(b, 1) },
	} {
		busy, err := wrap(new(busyInner)).Attach(newFakeLoop())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := busy.(backend.FileBackend); !ok || busy.(backend.Overlapping).Overlap() != 3 || busy.(backend.Pressable).Pressed() {
			t.Errorf("%s: files %v", name, ok)
		}
		plain, err := wrap(new(fakeInner)).Attach(newFakeLoop())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := plain.(backend.FileBackend); ok || plain.(backend.Overlapping).Overlap() != math.MaxInt || !plain.(backend.Pressable).Pressed() {
			t.Errorf("%s in front of a backend without them: files %v", name, ok)
		}
	}
}

// passing is a backend that passes its requests on, as a proxy behind a cache does.
type passing struct{ fakeInner }

func (f *passing) Attach(backend.Loop) (backend.LoopBackend, error) { return f, nil }

func (f *passing) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	f.x = x
	return passingRunning{f}, nil
}

type passingRunning struct{ backend.Running }

func (passingRunning) Upstream() (address string, sent int) { return "192.0.2.1:80", 2 }
func (passingRunning) CacheTimes() (queue, service time.Duration, result backend.CacheResult) {
	return 5, 6, backend.CacheMiss
}

// receivedConn is a connection that has the whole body of the request.
type receivedConn struct{ fakeConn }

func (*receivedConn) BodyReceived() bool { return true }

// TestTold: what a log and traces want to know of an exchange, and what its backend may know of its request, is passed on.
func TestTold(t *testing.T) {
	compressed := func(b backend.Backend) backend.Backend {
		c, err := New(b, Options{}, NewShared())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const coded = "POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"
	for name, wrap := range map[string]func(backend.Backend) backend.Backend{
		"Backend": compressed,
		"Decoder": func(b backend.Backend) backend.Backend { return NewDecoder(b, 1) },
	} {
		inner := new(passing)
		l, err := wrap(inner).Attach(newFakeLoop())
		if err != nil {
			t.Fatal(err)
		}
		var p httpparse.Parser
		var h httpparse.Head
		if _, err := p.Parse(&h, []byte(coded), nil); err != nil {
			t.Fatal(err)
		}
		h.ID = []byte("id") // there is a log
		c := &receivedConn{fakeConn{t: t}}
		if c.r, err = l.Start(c, &h, 0, []byte("xxxxx"), name == "Backend"); err != nil {
			t.Fatal(err)
		}
		if !backend.BodyReceived(inner.x) {
			t.Errorf("%s: the backend does not know that the body has come", name)
		}
		inner.x.Output([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), nil, true)
		inner.x.Done(backend.EndKeep)
		queue, service, result := backend.TimesOf(c.r)
		address, sent := backend.UpstreamOf(c.r)
		if queue != 5 || service != 6 || result != backend.CacheMiss || address != "192.0.2.1:80" || sent != 2 {
			t.Errorf("%s: %v, %v, %v, %s, %d", name, queue, service, result, address, sent)
		}
	}
}
