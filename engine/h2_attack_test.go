package engine

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// flood sends what more writes, until the server has ended the connection, and returns the code of GOAWAY. What the server sends is
// read at the same time.
func (p *h2Peer) flood(more func(i int) error, most int) (code http2.ErrCode) {
	p.t.Helper()
	gone := make(chan http2.ErrCode, 1)
	go func() { gone <- p.goneWith() }()
	for i := range most {
		if more(i) != nil {
			break
		}
	}
	select {
	case code = <-gone:
	case <-time.After(waitMost):
		p.t.Fatal("the connection goes on")
	}
	return code
}

// A peer that sends frames which are no requests, and cost more than they say, is cut off. Numbers are those of the documentation:
// a budget of 1000, of which each costs 1 to 8.
func TestH2Floods(t *testing.T) {
	const most = 20_000 // many times the budget, and what is gained while they are sent
	for _, c := range []struct {
		name string
		more func(p *h2Peer, i int) error
	}{
		{"PING", func(p *h2Peer, i int) error { return p.WritePing(false, [8]byte{}) }},
		{"answers to no PING", func(p *h2Peer, i int) error { return p.WritePing(true, [8]byte{}) }},
		{"answers to no SETTINGS", func(p *h2Peer, i int) error {
			return p.WriteRawFrame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
		}},
		{"SETTINGS", func(p *h2Peer, i int) error { return p.WriteSettings() }},
		{"PRIORITY", func(p *h2Peer, i int) error { return p.WritePriority(1, http2.PriorityParam{StreamDep: 3}) }},
		{"PRIORITY_UPDATE", func(p *h2Peer, i int) error { return p.WriteRawFrame(16, 0, 0, []byte{0, 0, 0, 1, 'u', '=', '0'}) }},
		{"unknown frames", func(p *h2Peer, i int) error { return p.WriteRawFrame(99, 0, 1, nil) }},
		{"WINDOW_UPDATE", func(p *h2Peer, i int) error { return p.WriteWindowUpdate(0, 1) }},
		{"empty DATA", func(p *h2Peer, i int) error {
			if i == 0 {
				p.post(1, "/echo")
			}
			return p.WriteData(1, false, nil)
		}},
		{"padded DATA", func(p *h2Peer, i int) error {
			if i == 0 {
				p.post(1, "/echo")
			}
			return p.WriteDataPadded(1, false, nil, make([]byte, 200))
		}},
		{"RST_STREAM of streams that are over", func(p *h2Peer, i int) error {
			if i == 0 {
				p.get(1, "/hello")
			}
			return p.WriteRSTStream(1, http2.ErrCodeCancel)
		}},
		{"rapid reset (CVE-2023-44487)", func(p *h2Peer, i int) error {
			p.get(uint32(2*i+1), "/slow")
			return p.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}},
		{"streams beyond the limit", func(p *h2Peer, i int) error {
			p.get(uint32(2*i+1), "/slow")
			return nil
		}},
		// MadeYouReset (CVE-2025-8671): the server is made to reset streams.
		{"made reset by a window of 0", func(p *h2Peer, i int) error {
			p.get(uint32(2*i+1), "/slow")
			return p.WriteWindowUpdate(uint32(2*i+1), 0)
		}},
		{"made reset by a window too large", func(p *h2Peer, i int) error {
			p.get(uint32(2*i+1), "/slow")
			return p.WriteWindowUpdate(uint32(2*i+1), 1<<31-1)
		}},
		{"made reset by DATA after the end", func(p *h2Peer, i int) error {
			p.get(uint32(2*i+1), "/slow")
			return p.WriteData(uint32(2*i+1), false, []byte("x"))
		}},
		{"made reset by too much DATA", func(p *h2Peer, i int) error {
			p.post(uint32(2*i+1), "/slow", "content-length", "1")
			return p.WriteData(uint32(2*i+1), false, []byte("xx"))
		}},
		{"made reset by HEADERS after the end", func(p *h2Peer, i int) error {
			p.get(uint32(2*i+1), "/slow")
			return p.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: p.block("a", "b"), EndStream: true, EndHeaders: true})
		}},
		{"made reset by a PRIORITY frame", func(p *h2Peer, i int) error {
			p.get(uint32(2*i+1), "/slow")
			return p.WriteRawFrame(http2.FramePriority, 0, uint32(2*i+1), []byte{0})
		}},
		{"malformed requests", func(p *h2Peer, i int) error {
			return p.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: p.block("a", "b"), EndStream: true, EndHeaders: true})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &testBackend{window: 64}
			_, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
			other := dialH2(t, addr)
			p := dialH2(t, addr)
			code := p.flood(func(i int) error { return c.more(p, i) }, most)
			if code != http2.ErrCodeEnhanceYourCalm && code != ^http2.ErrCode(0) {
				t.Errorf("GOAWAY with %v", code)
			}
			if n := b.count(&b.started); n > 1000 {
				t.Errorf("%d requests have reached the backend", n)
			}
			other.lives(1)
		})
	}
}

// What ordinary clients send costs them nothing: many requests, resets among them, pings, small windows.
func TestH2BudgetIsEnough(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	id := uint32(1)
	for range 2000 {
		p.lives(id)
		if id%20 == 1 {
			id += 2
			p.get(id, "/slow")
			p.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		id += 2
	}
	// A window update for every ten bytes of a response.
	p.get(id, "/big/16000")
	p.wants(id, "200", "*")
}

// A field section in many CONTINUATION frames (CVE-2024-27316) ends the connection: at 128 of them, or when it is too large.
func TestH2ContinuationFlood(t *testing.T) {
	for _, piece := range []int{0, 1, 1000, 16 << 10} {
		_, addr := startH2(t, Options{Loops: 1}, Limits{HeadBytes: 100_000}, &testBackend{})
		p := dialH2(t, addr)
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.request("GET", "/hello")})
		field := append([]byte{0x00, 1, 'a', 0x7f, 0xff, 0xff, 0x03}, bytes.Repeat([]byte("x"), piece)...)
		code := p.flood(func(i int) error { return p.WriteContinuation(1, false, field[:min(len(field), piece)]) }, 100_000)
		if code == http2.ErrCodeNo {
			t.Errorf("pieces of %d: the connection has ended in order", piece)
		}
	}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	p := dialH2(t, addr)
	block := bytes.Clone(p.request("GET", "/hello", "a", strings.Repeat("x", 100)))
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:1], EndStream: true})
	for i := range block[1:] {
		if i == 100 { // within 128
			p.WriteContinuation(1, true, block[1+i:])
			break
		}
		p.WriteContinuation(1, i+1 == len(block)-1, block[1+i:][:1])
	}
	p.wants(1, "200", "hello")
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: p.request("GET", "/hello")})
	p.WritePing(false, [8]byte{})
	p.hearsGoAway(http2.ErrCodeProtocol)
}

// A few bytes that stand for many fields, or long ones, are refused like the fields themselves, and cost no memory.
func TestH2HpackBomb(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{HeadBytes: 32 << 10}, &testBackend{})
	p := dialH2(t, addr)
	p.get(1, "/hello", "bomb", strings.Repeat("x", 3900)) // in the table now, as the latest entry
	p.wants(1, "200", "hello")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for id := uint32(3); id < 43; id += 2 {
		bomb := append(bytes.Clone(p.request("GET", "/hello")), bytes.Repeat([]byte{0x80 | 62}, 16000)...) // 62 MB
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bomb, EndStream: true, EndHeaders: true})
		p.wants(id, "431", "*")
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d MB allocated for 20 requests", n>>20)
	}
	p.lives(43)
	for _, invalid := range [][]byte{{0xff, 0xff, 0xff, 0xff, 0xff, 0x0f}, {0x80}, {0x3f, 0xff, 0xff, 0x03}, {0x00, 0x85}} {
		p := dialH2(t, addr)
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: invalid, EndStream: true, EndHeaders: true})
		p.hearsGoAway(http2.ErrCodeCompression)
	}
}

// With a limit of heads that a bomb does not reach, it ends the connection as soon as it has grown beyond the budget: the rest of it is not
// decoded into anything.
func TestH2HpackBombWithinTheLimit(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{HeadBytes: 64 << 20}, &testBackend{})
	p := dialH2(t, addr)
	p.get(1, "/hello", "bomb", strings.Repeat("x", 3900))
	p.wants(1, "200", "hello")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	bomb := append(bytes.Clone(p.request("GET", "/hello")), bytes.Repeat([]byte{0x80 | 62}, 16000)...) // 62 MB
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: bomb, EndStream: true, EndHeaders: true})
	p.hearsGoAway(http2.ErrCodeEnhanceYourCalm)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
		t.Errorf("%d MB allocated", n>>20)
	}
}

// A peer that gives no window, or reads nothing, holds a bounded number of bytes for a bounded time.
func TestH2ZeroWindows(t *testing.T) {
	b := &testBackend{window: 64}
	e, addr := startH2(t, Options{Loops: 1}, Limits{StallTimeout: 300 * time.Millisecond, OutputBytes: 100_000}, b)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.get(1, "/hello")
	p.get(3, "/big/1600000")
	p.hearsHeaders(1)
	p.hearsHeaders(3)
	seen := map[uint32]bool{}
	for len(seen) < 2 {
		if f, ok := p.next().(*http2.RSTStreamFrame); ok && f.ErrCode == http2.ErrCodeInternal {
			seen[f.StreamID] = true
		}
	}
	p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	until(p, func(f *http2.SettingsFrame) bool { return f.IsAck() })
	p.lives(5)

	// The whole connection is stalled: the peer reads nothing.
	silent := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	silent.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	silent.WriteWindowUpdate(0, 1<<30)
	for id := uint32(1); id < 40; id += 2 {
		silent.get(id, "/big/1600000")
	}
	eventually(t, "the connection that takes nothing is ended", func() bool { return e.Conns() == 1 })
	p.lives(7)
}

// hearsHeaders reads the response head of a stream.
func (p *h2Peer) hearsHeaders(id uint32) {
	p.t.Helper()
	f := until(p, func(f *http2.HeadersFrame) bool { return f.StreamID == id })
	p.decode(f)
}

// A peer that sends bodies which no handler takes has to wait: 256 KiB of each, 1 MiB in all.
func TestH2BodiesAreBounded(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{BufferBody: -1}, &stuckBackend{})
	p := dialH2(t, addr)
	sent := 0
	for id := uint32(1); id < 20; id += 2 {
		p.post(id, "/")
		for stream := 0; stream < 256<<10 && sent < 1<<20; stream += 16 << 10 {
			p.WriteData(id, false, make([]byte, 16<<10))
			sent += 16 << 10
		}
	}
	p.WritePing(false, [8]byte{7})
	for {
		f := p.next()
		if w, ok := f.(*http2.WindowUpdateFrame); ok && w.Increment > 1<<10 {
			t.Fatalf("stream %d gets %d bytes more", w.StreamID, w.Increment)
		}
		if f, ok := f.(*http2.PingFrame); ok && f.IsAck() {
			break
		}
	}
	p.WriteData(19, false, make([]byte, 16<<10))
	p.hearsGoAway(http2.ErrCodeFlowControl)
	one := dialH2(t, addr)
	one.post(1, "/")
	for range 17 {
		one.WriteData(1, false, make([]byte, 16<<10))
	}
	one.hearsRST(1, http2.ErrCodeFlowControl)
}

// Settings and windows that are not allowed, frames of wrong sizes and on wrong streams.
func TestH2ConnectionErrors(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	for i, c := range []struct {
		send func(p *h2Peer)
		code http2.ErrCode
	}{
		{func(p *h2Peer) { p.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 2}) }, http2.ErrCodeProtocol},
		{func(p *h2Peer) { p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}) }, http2.ErrCodeFlowControl},
		{func(p *h2Peer) { p.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}) }, http2.ErrCodeProtocol},
		{func(p *h2Peer) { p.WriteWindowUpdate(0, 1<<31-1) }, http2.ErrCodeFlowControl},
		{func(p *h2Peer) { p.WriteRawFrame(http2.FrameData, 0, 0, nil) }, http2.ErrCodeProtocol},
		{func(p *h2Peer) { p.WriteData(1, true, nil) }, http2.ErrCodeProtocol},
		{func(p *h2Peer) { p.WriteRawFrame(http2.FrameHeaders, 4, 2, nil) }, http2.ErrCodeProtocol},
		{func(p *h2Peer) { p.WriteRawFrame(http2.FramePing, 0, 0, nil) }, http2.ErrCodeFrameSize},
		{func(p *h2Peer) { p.WriteRawFrame(http2.FramePushPromise, 4, 1, make([]byte, 4)) }, http2.ErrCodeProtocol},
		{func(p *h2Peer) { p.WriteRawFrame(99, 0, 0, make([]byte, 16<<10+1)) }, http2.ErrCodeFrameSize},
		{func(p *h2Peer) { p.WriteRawFrame(http2.FrameHeaders, 0xc, 1, []byte{9, 1}) }, http2.ErrCodeProtocol},
	} {
		p := dialH2(t, addr)
		c.send(p)
		if code := p.goneWith(); code != c.code {
			t.Errorf("case %d: %v, want %v", i, code, c.code)
		}
	}
}

// FuzzH2 gives a connection arbitrary frames, cut anywhere. It must neither panic nor hold anything afterwards, and other connections
// go on.
func FuzzH2(f *testing.F) {
	var all bytes.Buffer
	fr := http2.NewFramer(&all, nil)
	fr.AllowIllegalWrites = true
	var fields bytes.Buffer
	encoder := hpack.NewEncoder(&fields)
	for _, field := range []string{":method POST", ":scheme http", ":path /echo", ":authority h", "a b"} {
		name, value, _ := strings.Cut(field, " ")
		encoder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields.Bytes(), EndHeaders: true})
	fr.WriteData(1, false, []byte("hello"))
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: fields.Bytes()[:4]})
	fr.WriteContinuation(3, true, fields.Bytes()[4:])
	fr.WriteDataPadded(3, true, []byte("world"), []byte{0, 0})
	fr.WriteData(1, true, nil)
	fr.WriteWindowUpdate(1, 100)
	fr.WriteRSTStream(3, http2.ErrCodeCancel)
	fr.WritePing(false, [8]byte{})
	fr.WriteGoAway(0, 0, nil)
	f.Add(bytes.Clone(all.Bytes()), uint16(3))
	f.Add(bytes.Clone(all.Bytes()), uint16(1000))
	for _, path := range []string{"/up", "/hijack", "/hello"} {
		for _, window := range []uint32{0, 2, 1000} {
			all.Reset()
			fields.Reset()
			for _, field := range []string{":method CONNECT", ":protocol websocket", ":scheme http", ":path " + path, ":authority h"} {
				name, value, _ := strings.Cut(field, " ")
				encoder.WriteField(hpack.HeaderField{Name: name, Value: value})
			}
			fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields.Bytes(), EndHeaders: true})
			fr.WriteData(1, false, []byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: fields.Bytes(), EndHeaders: true, EndStream: true})
			fr.WriteWindowUpdate(1, 5)
			fr.WriteData(1, true, []byte("end"))
			fr.WriteRSTStream(1, http2.ErrCodeCancel)
			f.Add(bytes.Clone(all.Bytes()), uint16(3))
			f.Add(bytes.Clone(all.Bytes()), uint16(1000))
		}
	}
	e, err := New(Options{Loops: 1, Check: true})
	if err != nil {
		f.Fatal(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		f.Fatal(err)
	}
	b := &tunnelBackend{t: f, testBackend: testBackend{window: 3, answersAll: true}, protocol: echo(f, nil), bounds: backend.Bounds{Linger: -1}}
	b.hijacked = func(c net.Conn) { c.Close() }
	b.may = true
	if err := e.Serve(ln, b, 0, Limits{H2C: true, DrainTimeout: -1, ResponseTimeout: 100 * time.Millisecond}); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Shutdown(f.Context()) })
	f.Fuzz(func(t *testing.T, frames []byte, cut uint16) {
		c, err := net.Dial("tcp", ln.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(waitMost))
		c.Write([]byte(h2PrefaceText))
		for rest := frames; len(rest) > 0; {
			n := min(len(rest), int(cut)+1)
			if _, err := c.Write(rest[:n]); err != nil {
				break
			}
			rest = rest[n:]
		}
		c.(*net.TCPConn).CloseWrite()
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				break
			}
		}
		c.Close()
		eventually(t, "the connection is gone", func() bool { return e.Conns() == 0 })
		e.onEveryLoop(func(l *loop) error {
			if m := l.h2; m != nil && (m.conns.Len() != 0 || m.pool.InUse() != 0) {
				t.Errorf("%d connections and %d buffers are left", m.conns.Len(), m.pool.InUse())
			} else if m != nil && (m.tunnels.Load() != 0 || len(m.idle)+len(m.free) != len(m.slots)) {
				t.Errorf("%d tunnels, and %d descriptors of %d are left", m.tunnels.Load(), len(m.slots)-len(m.free)-len(m.idle), len(m.slots))
			}
			return nil
		})
	})
}

// Frame headers are parsed as the library does it.
func FuzzH2Frame(f *testing.F) {
	f.Add([]byte{0, 0, 5, 0, 9, 0, 0, 0, 1, 2, 'a', 'b', 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) < h2HeaderBytes {
			return
		}
		want, err := http2.ReadFrameHeader(bytes.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		got := parseH2Frame(p)
		if got.length != int(want.Length) || uint8(got.kind) != uint8(want.Type) || got.flags != uint8(want.Flags) || got.stream != want.StreamID {
			t.Fatalf("%+v, want %v", got, want)
		}
		got.stream |= binary.BigEndian.Uint32(p[5:]) &^ h2LastStream // the reserved bit
		if again := got.append(nil); !bytes.Equal(again, p[:h2HeaderBytes]) {
			t.Fatalf("% x, want % x", again, p[:h2HeaderBytes])
		}
	})
}
