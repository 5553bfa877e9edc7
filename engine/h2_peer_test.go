package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// startH2 serves b on a free port, without TLS. At the end of the test none of it may be left.
func startH2(t *testing.T, o Options, lim Limits, b backend.Backend) (*Engine, string) {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitMost)
		defer cancel()
		e.Shutdown(ctx)
		checkNothingLeft(t, e)
	})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tarpits(e, 1)
	lim.H2C = true
	if err := e.Serve(ln, b, 0, lim); err != nil {
		t.Fatal(err)
	}
	return e, ln.Addr()
}

// tarpits sets for how long connections of floods are left unread: the shortest time, for tests that wait for the end of the connection.
func tarpits(e *Engine, ms uint64) {
	e.onEveryLoop(func(l *loop) error { l.h2Part().tarpitMS = ms; return nil })
}

// checkNothingLeft checks that an engine that has ended holds nothing.
func checkNothingLeft(t *testing.T, e *Engine) {
	t.Helper()
	noConns(t, e)
	for _, l := range e.loops {
		if n := l.pool.InUse(); n != 0 {
			t.Errorf("%d buffers are not given back", n)
		}
		for _, m := range []*h2Loop{l.h2, l.tlsH2()} {
			if m == nil {
				continue
			}
			if n := m.pool.InUse(); n != 0 {
				t.Errorf("%d buffers of streams are not given back", n)
			}
			if m.widened != 0 {
				t.Errorf("%d streams make windows larger", m.widened)
			}
			if n := m.tunnels.Load(); n != 0 || m.twin.raw.conns.Len() != 0 {
				t.Errorf("%d tunnels left, %d counted", m.twin.raw.conns.Len(), n)
			}
			if m.conns.Len() != 0 || m.twin.conns.Len() != len(m.idle) || len(m.idle)+len(m.free) != len(m.slots) {
				t.Errorf("left: %d connections, %d conns of %d that are idle, %d descriptors of %d",
					m.conns.Len(), m.twin.conns.Len(), len(m.idle), len(m.slots)-len(m.free), len(m.slots))
			}
		}
	}
}

func (l *loop) tlsH2() *h2Loop {
	if l.tls == nil {
		return nil
	}
	return l.tls.twin.h2
}

// h2Peer is a client that speaks in frames.
type h2Peer struct {
	t *testing.T
	net.Conn
	*http2.Framer
	fields  bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	got     []hpack.HeaderField
	window  int // of the connection, for what it sends
}

// dialH2 begins a connection. Its first SETTINGS, and those of the server, are through.
func dialH2(t *testing.T, addr string, settings ...http2.Setting) *h2Peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return greetH2(t, c, settings...)
}

func greetH2(t *testing.T, c net.Conn, settings ...http2.Setting) *h2Peer {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(waitMost))
	p := &h2Peer{t: t, Conn: c, Framer: http2.NewFramer(c, c)}
	p.AllowIllegalReads, p.AllowIllegalWrites, p.window = true, true, h2WindowDefault
	p.encoder = hpack.NewEncoder(&p.fields)
	p.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) { p.got = append(p.got, f) })
	io.WriteString(c, h2PrefaceText)
	p.WriteSettings(settings...)
	for acks := 0; acks < 1; {
		if f, ok := p.next().(*http2.SettingsFrame); ok {
			if f.IsAck() {
				acks++
			} else {
				p.WriteSettingsAck()
			}
		}
	}
	return p
}

// next reads a frame.
func (p *h2Peer) next() http2.Frame {
	p.t.Helper()
	f, err := p.ReadFrame()
	if err != nil {
		p.t.Fatalf("no frame: %v", err)
	}
	if w, ok := f.(*http2.WindowUpdateFrame); ok && w.StreamID == 0 {
		p.window += int(w.Increment)
	}
	return f
}

// until reads frames up to one that fits, and returns it. It fails if the stream is reset, or the connection ended, before.
func until[F http2.Frame](p *h2Peer, fits func(F) bool) F {
	p.t.Helper()
	for {
		f := p.next()
		if f, ok := f.(F); ok && fits(f) {
			return f
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			p.t.Fatalf("GOAWAY: %v", f.ErrCode)
		case *http2.RSTStreamFrame:
			p.t.Fatalf("stream %d is reset: %v", f.StreamID, f.ErrCode)
		}
	}
}

// block encodes fields, given as name and value.
func (p *h2Peer) block(fields ...string) []byte {
	p.fields.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.fields.Bytes()
}

// request returns the pseudo-headers of a request, and more fields.
func (p *h2Peer) request(method, path string, more ...string) []byte {
	return p.block(append([]string{":method", method, ":scheme", "http", ":authority", "h", ":path", path}, more...)...)
}

// get begins a stream without a body.
func (p *h2Peer) get(id uint32, path string, more ...string) {
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.request("GET", path, more...), EndStream: true, EndHeaders: true})
}

// post begins a stream with a body.
func (p *h2Peer) post(id uint32, path string, more ...string) {
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.request("POST", path, more...), EndHeaders: true})
}

// h2Answer is a response.
type h2Answer struct {
	fields, trailer []hpack.HeaderField
	body            []byte
	ended           bool
	reset           http2.ErrCode
}

func (a *h2Answer) status() string { return fieldOf(a.fields, ":status") }

func fieldOf(fields []hpack.HeaderField, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// answers reads the responses to streams, to their ends, and gives the server room as it sends.
func (p *h2Peer) answers(ids ...uint32) map[uint32]*h2Answer {
	p.t.Helper()
	all := make(map[uint32]*h2Answer)
	for left := len(ids); left > 0; {
		f := p.next()
		id := f.Header().StreamID
		a := all[id]
		if a == nil {
			a = new(h2Answer)
			all[id] = a
		}
		end := false
		switch f := f.(type) {
		case *http2.HeadersFrame:
			fields := p.decode(f)
			if fieldOf(fields, ":status") != "" {
				a.fields = fields
			} else {
				a.trailer = fields
			}
			end = f.StreamEnded()
		case *http2.DataFrame:
			a.body = append(a.body, f.Data()...)
			end = f.StreamEnded()
			if n := len(f.Data()); n > 0 {
				p.WriteWindowUpdate(0, uint32(n))
				if !end {
					p.WriteWindowUpdate(id, uint32(n))
				}
			}
		case *http2.RSTStreamFrame:
			if a.ended {
				continue
			}
			a.reset, end = f.ErrCode, true
		case *http2.GoAwayFrame:
			p.t.Fatalf("GOAWAY: %v", f.ErrCode)
		}
		if end && contains(ids, id) {
			a.ended = true
			left--
		}
	}
	return all
}

func contains(ids []uint32, id uint32) bool {
	for _, other := range ids {
		if other == id {
			return true
		}
	}
	return false
}

// decode decodes the field section that a frame begins.
func (p *h2Peer) decode(f *http2.HeadersFrame) []hpack.HeaderField {
	p.t.Helper()
	p.got = nil
	_, err := p.decoder.Write(f.HeaderBlockFragment())
	for ended := f.HeadersEnded(); !ended && err == nil; {
		more, ok := p.next().(*http2.ContinuationFrame)
		if !ok {
			p.t.Fatal("no CONTINUATION follows")
		}
		_, err = p.decoder.Write(more.HeaderBlockFragment())
		ended = more.HeadersEnded()
	}
	if err == nil {
		err = p.decoder.Close()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return p.got
}

// answer reads the response to one stream.
func (p *h2Peer) answer(id uint32) *h2Answer {
	p.t.Helper()
	return p.answers(id)[id]
}

// wants checks the response to one stream.
func (p *h2Peer) wants(id uint32, status, body string) *h2Answer {
	p.t.Helper()
	a := p.answer(id)
	if a.status() != status || body != "*" && string(a.body) != body || a.reset != 0 {
		p.t.Fatalf("stream %d: status %q, %.100q, reset %v; want %s %.100q", id, a.status(), a.body, a.reset, status, body)
	}
	return a
}

// hearsGoAway reads to the end of the connection, which GOAWAY has to come before.
func (p *h2Peer) hearsGoAway(code http2.ErrCode) {
	p.t.Helper()
	if got := p.goneWith(); got != code {
		p.t.Fatalf("GOAWAY with %v, want %v", got, code)
	}
}

// goneWith reads to the end of the connection, and returns the code of GOAWAY; all ones: there was none.
func (p *h2Peer) goneWith() http2.ErrCode {
	code := ^http2.ErrCode(0)
	for {
		f, err := p.ReadFrame()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				p.t.Fatal("the connection goes on")
			}
			return code
		}
		if f, ok := f.(*http2.GoAwayFrame); ok {
			code = f.ErrCode
		}
	}
}

// hearsRST reads up to the reset of a stream.
func (p *h2Peer) hearsRST(id uint32, code http2.ErrCode) {
	p.t.Helper()
	for {
		switch f := p.next().(type) {
		case *http2.RSTStreamFrame:
			if f.StreamID != id && f.ErrCode == http2.ErrCodeNo {
				continue // another one was answered before the end of its request had come
			}
			if f.StreamID != id || f.ErrCode != code {
				p.t.Fatalf("stream %d is reset: %v, want stream %d: %v", f.StreamID, f.ErrCode, id, code)
			}
			return
		case *http2.GoAwayFrame:
			p.t.Fatalf("GOAWAY: %v", f.ErrCode)
		}
	}
}

// lives checks that the connection still serves requests.
func (p *h2Peer) lives(id uint32) {
	p.t.Helper()
	p.get(id, "/hello")
	p.wants(id, "200", "hello")
}

func fieldsText(fields []hpack.HeaderField) string {
	var s strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&s, "%s=%s;", f.Name, f.Value)
	}
	return s.String()
}
