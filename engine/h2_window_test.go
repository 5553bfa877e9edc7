package engine

import (
	"fmt"
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

// The bodies that nobody reads may use up the window of the connection. One that is read goes on all the same, whether it has begun before them
// or after them, and although they take first whatever the connection has room for: its handler may be the one that they wait for.
func TestH2WindowUsedUp(t *testing.T) {
	const stuck, size = 40, 600_000
	for _, known := range []bool{true, false} {
		for _, first := range []bool{true, false} {
			_, addr := startH2(t, Options{Loops: 1}, Limits{BufferBody: -1}, &partlyStuckBackend{testBackend{window: 3000}})
			p := dialH2(t, addr)
			var more []string
			if known {
				more = []string{"content-length", fmt.Sprint(size)}
			}
			id := uint32(1)
			if !first {
				id = 2*stuck + 1
			}
			left := make(map[uint32]int)
			for n := range uint32(stuck + 1) {
				if 2*n+1 == id {
					p.post(id, "/echo", more...)
				} else {
					p.post(2*n+1, "/stuck")
					left[2*n+1] = h2StreamWindow
				}
			}
			whole, stream, sent, back := h2ConnWindow, h2StreamWindow, 0, 0
			for ended := false; !ended; {
				for other, n := range left {
					n = min(n, whole)
					for rest := n; rest > 0; rest -= min(rest, h2FrameBytesMax) {
						p.WriteData(other, false, make([]byte, min(rest, h2FrameBytesMax)))
					}
					left[other] -= n
					whole -= n
				}
				if n := min(whole, stream, size-sent, h2FrameBytesMax); n > 0 {
					sent, whole, stream = sent+n, whole-n, stream-n
					p.WriteData(id, sent == size, make([]byte, n))
					continue
				}
				switch f := p.next().(type) {
				case *http2.WindowUpdateFrame:
					switch f.StreamID {
					case 0:
						whole += int(f.Increment)
					case id:
						stream += int(f.Increment)
					}
				case *http2.DataFrame:
					ended = f.StreamEnded()
					if n := len(f.Data()); n > 0 {
						back += n
						p.WriteWindowUpdate(0, uint32(n))
						p.WriteWindowUpdate(id, uint32(n))
					}
				case *http2.RSTStreamFrame, *http2.GoAwayFrame:
					t.Fatalf("%v, when %d bytes of %d were sent", f, sent, size)
				}
			}
			if back != size {
				t.Errorf("known length %v, first %v: %d bytes of %d were sent, %d come back", known, first, sent, size, back)
			}
		}
	}
}

// A handler that begins to read when others have used up the window gets the body, too, and what they have made the connection keep is bounded.
func TestH2WindowUsedUpBefore(t *testing.T) {
	b := &lateReaderBackend{partlyStuckBackend: partlyStuckBackend{testBackend{window: 3000}}, read: make(chan func(), 1)}
	e, addr := startH2(t, Options{Loops: 1}, Limits{BufferBody: -1}, b)
	p := dialH2(t, addr)
	p.post(1, "/late")
	read := <-b.read
	for id := uint32(3); id < 11; id += 2 {
		p.post(id, "/stuck")
		for range h2StreamWindow / h2FrameBytesMax {
			p.WriteData(id, false, make([]byte, h2FrameBytesMax))
		}
	}
	p.WritePing(false, [8]byte{1})
	until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
	e.onEveryLoop(func(l *loop) error {
		s := l.h2.conns.First()
		if s.recvWindow != 0 || s.l.widened != 0 {
			t.Errorf("the window is %d, and %d streams have made it larger", s.recvWindow, s.l.widened)
		}
		read()
		s.l.widened = h2WidenedMax
		s.turn()
		if s.recvWindow != 0 {
			t.Errorf("the window is %d, though too many have made theirs larger", s.recvWindow)
		}
		s.l.widened = 0
		return nil
	})
	until(p, func(f *http2.WindowUpdateFrame) bool { return f.StreamID == 0 })
	e.onEveryLoop(func(l *loop) error {
		if s := l.h2.conns.First(); s.recvWindow != h2StreamWindow || s.l.widened != 1 {
			t.Errorf("the window is %d, and %d streams have made it larger", s.recvWindow, s.l.widened)
		}
		return nil
	})
	for id := uint32(3); id < 11; id += 2 {
		p.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	p.WriteData(1, true, nil)
	p.wants(1, "200", "")
	p.WritePing(false, [8]byte{2})
	until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
	e.onEveryLoop(func(l *loop) error {
		s := l.h2.conns.First()
		if all := s.recvWindow + s.credit - s.narrow; all != h2ConnWindow || s.l.widened != 0 {
			t.Errorf("the window is %d, and %d streams make it larger", all, s.l.widened)
		}
		p.window = int(s.recvWindow)
		return nil
	})
	p.echoes(11, 3_000_000, 16<<10, true)
}

// lateReaderBackend takes nothing of the body for /late before the test says so.
type lateReaderBackend struct {
	partlyStuckBackend
	read chan func()
}

func (b *lateReaderBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return lateReaderLoop{partlyStuckLoop{&testLoopBackend{&b.testBackend, l}}, b}, nil
}

type lateReaderLoop struct {
	partlyStuckLoop
	b *lateReaderBackend
}

func (lb lateReaderLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	if string(h.Bytes(h.Path)) != "late" {
		return lb.partlyStuckLoop.Start(x, h, listener, body, more)
	}
	r := &lateReader{x: x}
	lb.b.read <- func() {
		r.reads = true
		x.BodyRoom()
	}
	return r, nil
}

type lateReader struct {
	stuckRun
	x     backend.Exchange
	reads bool
	room  [100]byte
}

func (r *lateReader) BodyRoom() (a, b []byte) {
	if !r.reads {
		return nil, nil
	}
	return r.room[:], nil
}

func (r *lateReader) BodyEnd() {
	r.x.Output([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), nil, true)
	r.x.Done(backend.EndKeep)
}

// Frames that have nothing but padding use up the window of a stream, and it is given back like that of data.
func TestH2WindowOfPadding(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{window: 3000})
	p := dialH2(t, addr)
	p.post(1, "/echo")
	for n := 0; n < h2StreamWindow; n += 256 {
		p.WriteDataPadded(1, false, nil, make([]byte, 255))
		if n%(64<<10) == 0 {
			p.WritePing(false, [8]byte{1})
			until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
			e.onEveryLoop(func(l *loop) error {
				s := l.h2.conns.First()
				s.budget.left = h2BudgetMax
				if left := s.streams[0].recvWindow; left < h2StreamWindow/2 {
					t.Errorf("a window of %d is left after %d bytes of padding", left, n)
				}
				return nil
			})
		}
	}
	p.WriteData(1, true, []byte("end"))
	p.wants(1, "200", "end")
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
