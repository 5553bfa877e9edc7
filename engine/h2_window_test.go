package engine

import (
	"strings"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"

	"golang.org/x/net/http2"
)

// partlyStuckBackend takes nothing of bodies for /stuck.
type partlyStuckBackend struct{ testBackend }

func (b *partlyStuckBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return partlyStuckLoop{&testLoopBackend{&b.testBackend, l}}, nil
}

type partlyStuckLoop struct{ *testLoopBackend }

func (lb partlyStuckLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	if strings.HasPrefix(string(h.Bytes(h.Path)), "stuck") {
		return stuckRun{}, nil
	}
	return lb.testLoopBackend.Start(x, h, listener, body, more)
}

// Bodies that nobody reads may leave little of the connection's window. A body that is read goes on all the same.
func TestH2WindowBesideUnread(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{BufferBody: -1}, &partlyStuckBackend{testBackend{window: 3000}})
	p := dialH2(t, addr)
	for id := uint32(1); id < 6; id += 2 {
		p.post(id, "/stuck")
		for range h2StreamWindow / h2FrameBytesMax {
			p.WriteData(id, false, make([]byte, h2FrameBytesMax))
			p.window -= h2FrameBytesMax
		}
	}
	p.echoes(7, 600_000, 16<<10, true)
}

// What a stream takes for progress of its peer is that data was acknowledged: its own if its window is used up, otherwise that of any
// stream. Answers to PING are none.
func TestH2Progress(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	const window = 1000
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	// left is what the loop knows of the first stream, when all that was sent is acknowledged.
	left := func() (n int64) {
		eventually(t, "all is acknowledged", func() (all bool) {
			e.onEveryLoop(func(l *loop) error {
				s := l.h2.conns.First()
				n = l.h2.unacknowledged(s.streams[0].c.socket.fd)
				all = l.sys.unacknowledged(s.raw.socket.fd) == 0 && s.raw.Held() == 0
				return nil
			})
			return all
		})
		return n
	}
	hears := func(id uint32, n int) {
		for n > 0 {
			n -= len(until(p, func(f *http2.DataFrame) bool { return f.StreamID == id }).Data())
		}
	}
	pings := func() {
		p.WritePing(false, [8]byte{1})
		until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
	}
	p.get(1, "/big/1600000", "priority", "u=7")
	hears(1, window)
	first := left()
	if first < 0 {
		t.Fatal("a stream whose window is used up cannot be told from an error")
	}
	pings()
	if n := left(); n != first {
		t.Errorf("PING: %d bytes of progress", first-n)
	}
	p.get(3, "/big/1600000", "priority", "u=0")
	hears(3, window)
	if n := left(); n != first {
		t.Errorf("%d bytes of another stream are progress of one that has no window", first-n)
	}
	// The first one has a window now, but it is the other one's turn, for which the window of the connection is just enough.
	const rest = h2WindowDefault - 2*window
	p.WriteWindowUpdate(3, uint32(rest))
	hears(3, rest)
	p.WriteWindowUpdate(1, window)
	pings()
	second := left()
	if n := first - second; n < rest {
		t.Errorf("%d bytes of progress, and the other one has got %d", n, rest)
	}
	pings()
	if n := left(); n != second {
		t.Errorf("PING, when the window of the connection is used up: %d bytes of progress", second-n)
	}
}

// A request of which GOAWAY comes in the middle, with a last stream before it, is not served: its client tries it again elsewhere.
func TestH2GoAwayWithinFields(t *testing.T) {
	b := &testBackend{window: 64}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.get(1, "/slow")
	b.awaitSlow(t, 1)
	fields := p.request("POST", "/hello")
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: fields[:5], EndStream: true})
	eventually(t, "the fields have begun", func() (begun bool) {
		e.onEveryLoop(func(l *loop) error {
			if s := l.h2.conns.First(); s.block != nil {
				begun = true
				s.leave()
				s.flush()
			}
			return nil
		})
		return begun
	})
	until2(p, func(f *http2.GoAwayFrame) bool { return f.LastStreamID == 1 })
	p.WriteContinuation(3, true, fields[5:])
	p.WritePing(false, [8]byte{1})
	until2(p, func(f *http2.PingFrame) bool { return f.IsAck() })
	b.release()
	p.wants(1, "200", "slow")
	if n := b.count(&b.started); n != 1 {
		t.Errorf("%d requests were served", n)
	}
}

// What frames the chunks of a body needs no window.
func TestH2EndOfChunksNeedsNoWindow(t *testing.T) {
	st := &h2Stream{s: new(h2Conn), phase: h2Chunks}
	for text, want := range map[string]bool{"": true, "2": true, "2\r\n": false, "2\r\na": false, "2\r\nab": true, "2\r\nab\r\n0\r\n": true} {
		st.chunks.Reset()
		for rest := []byte(text); len(rest) > 0; {
			_, n, _, err := st.chunks.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if got := st.sendable(); got != want {
			t.Errorf("after %q: sendable %v", text, got)
		}
	}
}
