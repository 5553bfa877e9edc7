package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"

	"golang.org/x/net/http2"
)

// awaitSlow waits until n exchanges of /slow have begun.
func (b *testBackend) awaitSlow(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d requests are there", n), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.slow) == n
	})
}

// Frames of streams that were begun after the last GOAWAY are ignored (RFC 9113 §6.8): the others go on.
func TestH2LateStreams(t *testing.T) {
	b := &testBackend{}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.get(1, "/slow")
	b.awaitSlow(t, 1)
	go e.Drain(t.Context())
	ping := until2(p, func(f *http2.PingFrame) bool { return !f.IsAck() })
	p.WritePing(true, ping.Data)
	until2(p, func(f *http2.GoAwayFrame) bool { return f.LastStreamID == 1 })
	for id := uint32(3); id < 200; id += 2 {
		p.post(id, "/echo")
		p.WriteData(id, false, make([]byte, 10_000))
		p.WriteWindowUpdate(id, 10)
		p.WriteData(id, true, nil)
	}
	p.WriteRSTStream(3, http2.ErrCodeCancel)
	p.WritePriority(5, http2.PriorityParam{StreamDep: 1})
	b.release()
	p.wants(1, "200", "slow")
	if code := p.goneWith(); code != ^http2.ErrCode(0) {
		t.Errorf("GOAWAY with %v", code)
	}
}

// until2 is until for a peer that expects GOAWAY.
func until2[F http2.Frame](p *h2Peer, fits func(F) bool) F {
	p.t.Helper()
	for {
		if f, ok := p.next().(F); ok && fits(f) {
			return f
		}
	}
}

// A client that has sent GOAWAY, which is about streams of the server, may still begin streams. The connection ends when it has none.
func TestH2PeerLeaves(t *testing.T) {
	b := &testBackend{window: 64}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.get(1, "/slow")
	b.awaitSlow(t, 1)
	p.WriteGoAway(0, http2.ErrCodeNo, nil)
	p.post(3, "/echo")
	p.WriteData(3, true, []byte("hello"))
	p.wants(3, "200", "hello")
	b.release()
	p.wants(1, "200", "slow")
	until2(p, func(f *http2.GoAwayFrame) bool { return f.LastStreamID == 3 && f.ErrCode == http2.ErrCodeNo })
	p.goneWith()
}

// A client that sends many bodies may have a lot of frames on their way when their requests are refused. That is no fault of it.
func TestH2RefusedBodies(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{BodyBytes: 10}, &testBackend{})
	p := dialH2(t, addr)
	const streams = 100
	ids := make([]uint32, streams)
	for i := range ids {
		ids[i] = uint32(2*i + 1)
		p.post(ids[i], "/echo", "content-length", "10000")
	}
	for id, a := range p.answers(ids...) {
		if a.status() != "413" {
			t.Fatalf("stream %d: %s", id, a.status())
		}
	}
	for range 10 {
		for _, id := range ids {
			p.WriteData(id, false, make([]byte, 1000))
		}
	}
	p.lives(2*streams + 1)
}

// A client that has sent its FIN gets the responses of streams that have not begun, too.
func TestH2WaitingStreamsOutliveFIN(t *testing.T) {
	b := &fewBackend{}
	e, addr := startH2(t, Options{Loops: 1}, Limits{PeerEnd: PeerEndWait}, b)
	p := dialH2(t, addr)
	e.holdH2()
	const streams = 15
	ids := make([]uint32, streams)
	for i := range ids {
		ids[i] = uint32(2*i + 1)
		p.get(ids[i], "/slow")
	}
	b.awaitSlow(t, h2OverlapMin)
	p.Conn.(stream).CloseWrite()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b.count(&b.ended) < streams {
			b.release()
			time.Sleep(time.Millisecond)
		}
	}()
	for id, a := range p.answers(ids...) {
		if string(a.body) != "slow" {
			t.Errorf("stream %d: %s %q, reset %v", id, a.status(), a.body, a.reset)
		}
	}
	<-done
}

// holdH2 has streams in progress count for ever when others want to begin.
func (e *Engine) holdH2() {
	e.onEveryLoop(func(l *loop) error {
		l.h2.lookMS = 1 << 40
		return nil
	})
}

// Streams that take long do not keep others of their connection waiting: the backend may have further handlers, or has to refuse the request.
func TestH2LongStreams(t *testing.T) {
	b := &fewBackend{}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	const streams = 3*h2OverlapMin + 1
	for id := uint32(1); id < 2*streams; id += 2 {
		p.get(id, "/slow")
	}
	b.awaitSlow(t, streams)
	p.lives(2*streams + 1)
}

// Heads of streams that have not begun are kept up to a limit. Streams above it are refused, and can be tried again.
func TestH2HeadsThatWait(t *testing.T) {
	b := &fewBackend{}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	e.holdH2()
	for id := uint32(1); id <= 2*h2OverlapMin-1; id += 2 {
		p.get(id, "/slow")
	}
	b.awaitSlow(t, h2OverlapMin)
	large := strings.Repeat("x", 400<<10)
	for _, id := range []uint32{21, 23, 25} {
		p.large(id, "/hello", "a", large)
	}
	p.hearsRST(25, http2.ErrCodeRefusedStream)
	b.release()
	all := p.answers(21, 23)
	for _, id := range []uint32{21, 23} {
		if a := all[id]; string(a.body) != "hello" {
			t.Errorf("stream %d: %s %q", id, a.status(), a.body)
		}
	}
	p.large(27, "/hello", "a", large)
	p.wants(27, "200", "hello")
	e.onEveryLoop(func(l *loop) error {
		if s := l.h2.conns.First(); s.headsWaiting != 0 {
			t.Errorf("%d bytes of heads wait", s.headsWaiting)
		}
		return nil
	})
}

// lateBackend answers at once. Its exchanges end when the test says so.
type lateBackend struct {
	testBackend
	ends bool
	runs []*testRun
}

func (b *lateBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return &lateLoop{b, l}, nil
}

type lateLoop struct {
	b *lateBackend
	l backend.Loop
}

func (b *lateLoop) Start(x backend.Exchange, h *httpparse.Head, _ int, _ []byte, more bool) (backend.Running, error) {
	r := &testRun{lb: &testLoopBackend{&b.b.testBackend, b.l}, x: x, complete: !more}
	b.l.Post(func() {
		if r.over {
			return
		}
		x.Output([]byte(headFor(4)+"done"), nil, true)
		if b.b.ends {
			x.Done(backend.EndKeep)
		} else {
			b.b.runs = append(b.b.runs, r)
		}
	})
	return r, nil
}

// A stream has ended for the client when its response is complete. It does not count any more, even if its exchange goes on.
func TestH2AnsweredStreamsDoNotCount(t *testing.T) {
	b := &lateBackend{}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	id := uint32(1)
	for ; id < 200; id += 2 {
		p.get(id, "/")
		p.wants(id, "200", "done")
	}
	var ids []uint32
	for ; id < 400; id += 2 {
		p.get(id, "/")
		ids = append(ids, id)
	}
	all := make(chan map[uint32]*h2Answer, 1)
	go func() { all <- p.answers(ids...) }()
	eventually(t, "all streams are there", func() (there bool) {
		onLoop(t, e.Loop(0), func() { there = e.loops[0].h2.conns.First().seenID == id-2 })
		return there
	})
	onLoop(t, e.Loop(0), func() {
		b.ends = true
		for _, r := range b.runs {
			r.x.Done(backend.EndKeep)
		}
	})
	for id, a := range waitFor(t, all, "response") {
		if id != 0 && string(a.body) != "done" {
			t.Errorf("stream %d: %s %q, reset %v", id, a.status(), a.body, a.reset)
		}
	}
}

// large begins a stream with a field section that needs several frames.
func (p *h2Peer) large(id uint32, path string, more ...string) {
	block := p.request("GET", path, more...)
	first := block[:min(len(block), h2FrameBytesMax)]
	block = block[len(first):]
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: true, EndHeaders: len(block) == 0})
	for len(block) > 0 {
		part := block[:min(len(block), h2FrameBytesMax)]
		block = block[len(part):]
		p.WriteContinuation(id, len(block) == 0, part)
	}
}
