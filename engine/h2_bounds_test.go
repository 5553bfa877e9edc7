package engine

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// A body that comes in frames of one byte takes no more memory than another, and arrives as it is.
func TestH2TinyData(t *testing.T) {
	const n = 20_000
	e, addr := startH2(t, Options{Loops: 1}, Limits{BufferBody: -1}, stuckBackend{})
	p := dialH2(t, addr)
	p.post(1, "/")
	var frames bytes.Buffer
	to := http2.NewFramer(&frames, nil)
	for range n {
		to.WriteData(1, false, []byte{'x'})
	}
	p.Write(frames.Bytes())
	p.WritePing(false, [8]byte{1})
	until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
	e.onEveryLoop(func(l *loop) error {
		st := l.h2.conns.First().streams[0]
		if kept := st.in.Len(); kept > n {
			t.Errorf("%d bytes are kept of %d", kept, n)
		}
		return nil
	})
	_, addr = startH2(t, Options{Loops: 1, Check: true}, Limits{}, &testBackend{window: 5})
	p = dialH2(t, addr)
	p.echoes(1, 3000, 1, false)
	p.echoes(3, 3000, 1, true)
}

// Two files whose parts are of use are sent by turns, to the end.
func TestH2FilesByTurns(t *testing.T) {
	const size = 500_000
	f := newFileServer(t, size)
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, f)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	p.get(1, "/", "priority", "i")
	p.get(3, "/", "priority", "i")
	for id, a := range p.answers(1, 3) {
		if len(a.body) != size || a.reset != 0 {
			t.Errorf("stream %d: %d bytes, %v", id, len(a.body), a.reset)
		}
	}
	f.wantsReleased(t, 2)
}

// Answers that are collected but not sent yet do not stop the connection for ever: what the socket takes is not waited for.
func TestH2ManyAnswersAtOnce(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	p := dialH2(t, addr)
	go func() {
		e.onEveryLoop(func(l *loop) error {
			s := l.h2.conns.First()
			pong := append(h2Frame{length: 8, kind: h2Ping, flags: h2Ack}.append(nil), "12345678"...)
			for !s.tooManyAnswers() {
				s.put(pong)
			}
			s.Data(s.raw)
			return nil
		})
	}()
	until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
	p.lives(1)
}

// Window that is given in small pieces costs nothing, but does not pay for streams that are reset either.
func TestH2BudgetOfUpdates(t *testing.T) {
	b := newH2Budget(0)
	if b.spendFree(h2CostWindow) {
		t.Error("an update is free before any data")
	}
	for range h2FreeMax {
		b.sentData(1)
	}
	free := 0
	for b.spendFree(h2CostWindow) {
		free++
	}
	if free != h2FreeMax || b.left != h2BudgetMax {
		t.Errorf("%d updates are free, %d left", free, b.left)
	}
	resets := 0
	for b.sentData(1); b.spend(0, h2CostReset); b.sentData(1) {
		resets++
	}
	if resets != h2BudgetMax/h2CostReset {
		t.Errorf("%d resets", resets)
	}
}

// A client that gives window twice for each 4 KiB that its program reads, as that of net/http, and asks by a PING after each DATA frame
// how far away the server is, as that of gRPC, takes nothing from its budget. It may do so late: when all data has come.
func TestH2BudgetOfClients(t *testing.T) {
	const body, piece = 1 << 30, 4 << 10
	b := newH2Budget(0)
	for range body / h2FrameBytesMax {
		b.sentData(h2FrameBytesMax)
		if !b.spendFree(h2CostFrame) {
			t.Fatal("a PING is not free")
		}
	}
	for i := range body / piece * 2 {
		if !b.spendFree(h2CostWindow) {
			t.Fatalf("update %d is not free", i)
		}
	}
}

// A client that gives up responses that have begun is no flood, however many these are, whatever it sends along: a PING each time, as the
// client of net/http does, or RST_STREAM again for the DATA frames that are still on their way, as HAProxy does in front of a server. Of these
// it does not send more than it gets DATA frames. Browsers give up responses in videos, and programs that need only the beginning of a file.
func TestH2LeavesAreFree(t *testing.T) {
	for _, c := range []struct {
		name string
		also func(p *h2Peer, id uint32)
	}{
		{"a PING", func(p *h2Peer, _ uint32) { p.WritePing(false, [8]byte{}) }},
		{"RST_STREAM for late data", func(p *h2Peer, id uint32) { p.WriteRSTStream(id, http2.ErrCodeStreamClosed) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
			p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
			id := uint32(1)
			for range 3 * h2BudgetMax {
				p.get(id, "/big/16000")
				p.hearsHeaders(id)
				until(p, func(f *http2.DataFrame) bool { return f.StreamID == id })
				p.WriteRSTStream(id, http2.ErrCodeCancel)
				c.also(p, id)
				id += 2
			}
			p.lives(id)
		})
	}
}

// Those that are given up without a response cost nothing if they have lasted, nor does a PING for each of them: when a server is slow, clients of gRPC,
// and those of a proxy, do that.
func TestH2LateLeaves(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	p := dialH2(t, addr)
	id := uint32(1)
	for range 2 * h2BudgetMax {
		p.get(id, "/slow")
		p.WritePing(false, [8]byte{1})
		until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
		e.onEveryLoop(func(l *loop) error {
			s := l.h2.conns.First()
			s.streams[0].openedMS -= h2LeaveMS
			s.budget.fullMS = l.sys.nowMS() // nothing is regained
			return nil
		})
		p.WriteRSTStream(id, http2.ErrCodeCancel)
		id += 2
	}
	p.lives(id)
}

// A frame with many settings costs more than one with few.
func TestH2ManySettings(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	p := dialH2(t, addr)
	many := bytes.Repeat([]byte{0, 4, 0, 0, 0xff, 0xff}, 2700)
	code := p.flood(func(i int) error { return p.WriteRawFrame(http2.FrameSettings, 0, 0, many) }, 10)
	if code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("%v", code)
	}
}

// Fields that are very much larger than what was sent use up the budget, although each request is within the limits.
func TestH2Expansion(t *testing.T) {
	b := &testBackend{}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.get(1, "/hello", "bomb", strings.Repeat("x", 3900)) // in the table now, as the latest entry
	p.wants(1, "200", "hello")
	bomb := append(bytes.Clone(p.request("GET", "/hello")), bytes.Repeat([]byte{0x80 | 62}, 10)...) // 39 KB
	code := p.flood(func(i int) error {
		return p.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 3), BlockFragment: bomb, EndStream: true, EndHeaders: true})
	}, 20)
	if n := b.count(&b.started); code != http2.ErrCodeEnhanceYourCalm || n < 2 || n > 4 {
		t.Errorf("%d requests have reached the backend, then %v", n, code)
	}
}
