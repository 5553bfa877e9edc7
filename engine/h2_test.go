package engine

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"

	"golang.org/x/net/http2"
)

// headBackend answers with the head that it got, as text, and what else it knows.
type headBackend struct {
	more func(x backend.Exchange) string
}

func (b *headBackend) Attach(l backend.Loop) (backend.LoopBackend, error) { return headLoop{b, l}, nil }

type headLoop struct {
	b *headBackend
	l backend.Loop
}

func (b headLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	text := string(h.Raw)
	r := &testRun{lb: &testLoopBackend{&testBackend{}, b.l}, x: x, keep: h.Persistent, complete: !more}
	text += fmt.Sprintf("HTTP/2: %v, secure: %v, length: %d\n", h.HTTP2, h.Secure, h.ContentLength)
	b.l.Post(func() {
		if r.over {
			return
		}
		if b.b.more != nil {
			text += b.b.more(x)
		}
		r.answer([]byte(text))
	})
	return r, nil
}

// A backend gets the same of a stream as of HTTP/1.1.
func TestH2Request(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &headBackend{})
	p := dialH2(t, addr)
	p.get(1, "/a?b=c", "cookie", "x=1", "accept", "*/*", "cookie", "y=2", "te", "trailers", "host", "H")
	p.wants(1, "200", "GET /a?b=c HTTP/1.1\r\nhost: h\r\naccept: */*\r\nte: trailers\r\ncookie: x=1; y=2\r\n"+
		"HTTP/2: true, secure: false, length: 0\n")
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndStream: true, EndHeaders: true, BlockFragment: p.block(
		":method", "OPTIONS", ":scheme", "http", ":path", "*", "host", "other")})
	p.wants(3, "200", "OPTIONS * HTTP/1.1\r\nhost: other\r\nHTTP/2: true, secure: false, length: 0\n")
}

// Requests that could be understood in two ways never reach a backend (RFC 9113 §8.2, §8.3, §10.3).
func TestH2Malformed(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	pseudo := []string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/hello"}
	with := func(more ...string) []string { return append(append([]string(nil), pseudo...), more...) }
	id := uint32(1)
	var p *h2Peer
	for i, fields := range [][]string{
		{},
		{":method", "GET", ":scheme", "http", ":authority", "h"},
		{":method", "GET", ":path", "/", ":authority", "h"},
		{":scheme", "http", ":path", "/", ":authority", "h"},
		{":method", "GET", ":scheme", "http", ":authority", "h", ":path", ""},
		{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "hello"},
		{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/a b"},
		{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/ HTTP/1.1\r\nx: y"},
		{":method", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET", ":scheme", "http", ":authority", "h", ":path", "/"},
		{":method", "GET", ":scheme", "http", ":authority", "h\r\nx: y", ":path", "/"},
		{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "*"},
		{":method", "CONNECT", ":scheme", "http", ":authority", "h:1", ":path", "/"},
		{":method", "CONNECT"},
		with(":path", "/again"), with(":status", "200"), with(":protocol", "websocket"), with("a", "b", ":path", "/"),
		with("Upper", "x"), with("a b", "x"), with("a:b", "x"), with("", "x"), with("a", "x\r\ny: z"), with("a", "x\x00"), with("a", " x"),
		with("a", "x\t"), with("cookie", "x\ny"),
		with("connection", "close"), with("keep-alive", "1"), with("proxy-connection", "x"), with("transfer-encoding", "chunked"),
		with("upgrade", "x"), with("te", "gzip"), with("host", "other"),
		with("content-length", "1"), with("content-length", "x"), with("content-length", "+0"), with("content-length", "0", "content-length", "0"),
	} {
		if i%20 == 0 {
			p, id = dialH2(t, addr), 1 // too many mistakes end a connection
		}
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: true, EndHeaders: true})
		p.hearsRST(id, http2.ErrCodeProtocol)
		id += 2
		p.lives(id)
		id += 2
	}
}

// What HTTP/1 refuses is refused with the same status.
func TestH2Refusals(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{HeadBytes: 4000, BodyBytes: 100}, &testBackend{window: 64})
	p := dialH2(t, addr)
	p.get(1, "/hello", "a", strings.Repeat("x", 3000), "b", strings.Repeat("x", 2000))
	p.wants(1, "431", "*")
	p.get(3, "/\"#")
	p.wants(3, "400", "*")
	p.post(5, "/hello", "content-length", "101")
	p.wants(5, "413", "*")
	p.post(7, "/echo")
	p.WriteData(7, true, make([]byte, 101))
	p.wants(7, "413", "*")
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 9, EndStream: true, EndHeaders: true, BlockFragment: p.block(
		":method", "CONNECT", ":authority", "h:80")})
	p.wants(9, "501", "*")
	p.get(11, "/hello", "expect", "miracles")
	p.wants(11, "417", "*")
	for id, long := range []string{strings.Repeat("~", 4001), strings.Repeat("~", 7000), strings.Repeat("a", 9000)} {
		p.get(uint32(2*id+13), "/hello", "cookie", long) // one long field is refused as several are
		p.wants(uint32(2*id+13), "431", "*")
	}
	p.lives(19)
}

// Bodies of both kinds, of every size around that of a frame and of the windows, in pieces of several sizes.
func TestH2Bodies(t *testing.T) {
	for _, o := range []Limits{{}, {SpoolBody: true, SpoolOutput: 8 << 20}, {BufferBody: -1, OutputBytes: 1000}} {
		_, addr := startH2(t, Options{Loops: 1, Check: true}, o, &testBackend{window: 3000})
		p := dialH2(t, addr)
		id := uint32(1)
		for _, size := range []int{0, 1, 4000, 16 << 10, 65535, 65536, 300_000, 1_500_000} {
			for _, known := range []bool{false, true} {
				for _, piece := range []int{16 << 10, 1000} {
					if piece == 1000 && size > 100_000 {
						continue
					}
					p.echoes(id, size, piece, known)
					id += 2
				}
			}
		}
	}
}

// echoes sends a body, as far as the windows allow, and checks that it comes back.
func (p *h2Peer) echoes(id uint32, size, piece int, known bool) {
	p.t.Helper()
	body := noise(size)
	var more []string
	if known {
		more = []string{"content-length", fmt.Sprint(size)}
	}
	p.post(id, "/echo", more...)
	var a h2Answer
	stream, whole := int64(h2StreamWindow), int64(p.window)
	for sent := 0; !a.ended; {
		n := min(int64(size-sent), int64(piece), stream, whole)
		if sent <= size && (n > 0 || sent == size) {
			p.WriteDataPadded(id, int(n) == size-sent, body[sent:sent+int(n)], nil)
			sent += int(n)
			stream, whole = stream-n, whole-n
			if sent < size {
				continue
			}
			sent++
		}
		switch f := p.next().(type) {
		case *http2.WindowUpdateFrame:
			if f.StreamID == 0 {
				whole += int64(f.Increment)
			} else {
				stream += int64(f.Increment)
			}
		case *http2.HeadersFrame:
			a.fields, a.ended = p.decode(f), f.StreamEnded()
		case *http2.DataFrame:
			a.body = append(a.body, f.Data()...)
			a.ended = f.StreamEnded()
			if n := len(f.Data()); n > 0 {
				p.WriteWindowUpdate(0, uint32(n))
				p.WriteWindowUpdate(id, uint32(n))
			}
		case *http2.RSTStreamFrame:
			if f.ErrCode != http2.ErrCodeNo || f.StreamID == id { // the last request was answered before its empty end
				p.t.Fatalf("%d bytes in pieces of %d: stream %d is reset: %v", size, piece, f.StreamID, f.ErrCode)
			}
		case *http2.GoAwayFrame:
			p.t.Fatalf("%d bytes in pieces of %d: %v", size, piece, f)
		}
	}
	p.window = int(whole)
	if a.status() != "200" || !bytes.Equal(a.body, body) {
		p.t.Fatalf("%d bytes in pieces of %d: status %s, %d bytes come back", size, piece, a.status(), len(a.body))
	}
}

// scripted answers with bytes that the test gives, piece by piece.
type scripted struct{ pieces []string }

func (b *scripted) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return scriptedLoop{b, l}, nil
}

type scriptedLoop struct {
	b *scripted
	l backend.Loop
}

func (b scriptedLoop) Start(x backend.Exchange, h *httpparse.Head, _ int, _ []byte, more bool) (backend.Running, error) {
	r := &testRun{lb: &testLoopBackend{&testBackend{}, b.l}, x: x, complete: !more}
	r.keep = !strings.HasPrefix(strings.Join(b.b.pieces, ""), "HTTP/1.0")
	b.l.Post(func() {
		if r.over {
			return
		}
		for _, piece := range b.b.pieces[:len(b.b.pieces)-1] {
			if x.Output([]byte(piece), nil, false) != len(piece) {
				panic("output not taken")
			}
		}
		r.output = []byte(b.b.pieces[len(b.b.pieces)-1])
		r.OutputRoom()
	})
	return r, nil
}

// Responses of HTTP/1.1 become the same in HTTP/2, however they are cut.
func TestH2Response(t *testing.T) {
	for _, c := range []struct{ name, text, fields, body, trailer string }{
		{"length", "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\nConnection: close, x-hop\r\nKeep-Alive: 1\r\nX-Hop: 1\r\n\r\nhello",
			":status=200;date=x;content-length=5;", "hello", ""},
		{"empty", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ":status=404;content-length=0;", "", ""},
		{"without", "HTTP/1.1 204 No Content\r\nSet-Cookie: A=B\r\nSet-Cookie: C=D\r\n\r\n", ":status=204;set-cookie=A=B;set-cookie=C=D;", "", ""},
		{"chunked", "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", ":status=201;", "abcde", ""},
		{"trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: no\r\n\r\n",
			":status=200;trailer=X-Sum;", "abc", "x-sum=1;"},
		{"to the end", "HTTP/1.0 200 OK\r\nX: y\r\n\r\nbytes", ":status=200;x=y;", "bytes", ""},
	} {
		for _, cut := range []int{0, 1, 2, 7, 1000} {
			pieces := []string{c.text}
			if cut > 0 {
				pieces = nil
				for rest := c.text; rest != ""; rest = rest[min(cut, len(rest)):] {
					pieces = append(pieces, rest[:min(cut, len(rest))])
				}
			}
			_, addr := startH2(t, Options{Loops: 1, Check: true}, Limits{}, &scripted{pieces})
			p := dialH2(t, addr)
			p.get(1, "/")
			a := p.answer(1)
			if fieldsText(a.fields) != c.fields || string(a.body) != c.body || fieldsText(a.trailer) != c.trailer || a.reset != 0 {
				t.Errorf("%s, cut at %d: %s %q %s, reset %v", c.name, cut, fieldsText(a.fields), a.body, fieldsText(a.trailer), a.reset)
			}
		}
	}
}

// A response that is not valid, or breaks off, is a reset of its stream and of nothing else.
func TestH2BrokenResponse(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", "nonsense\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
	} {
		_, addr := startH2(t, Options{Loops: 1}, Limits{}, &scripted{[]string{text}})
		p := dialH2(t, addr)
		p.get(1, "/")
		p.hearsRST(1, http2.ErrCodeInternal)
		p.WritePing(false, [8]byte{1})
		until(p, func(f *http2.PingFrame) bool { return f.IsAck() })
	}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	p := dialH2(t, addr)
	p.get(1, "/begin-fail")
	p.hearsRST(1, http2.ErrCodeInternal)
	p.get(3, "/fail/502")
	p.wants(3, "502", "*")
	p.get(5, "/close")
	p.wants(5, "200", "bye")
	p.lives(7)
}

// Interim responses, and what a client has to wait for.
func TestH2Interim(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &scripted{[]string{
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}})
	p := dialH2(t, addr)
	p.get(1, "/")
	for _, want := range []string{":status=103;link=</a>;", ":status=200;content-length=2;"} {
		f := until(p, func(f *http2.HeadersFrame) bool { return true })
		if got := fieldsText(p.decode(f)); got != want || f.StreamEnded() {
			t.Fatalf("%s, end %v; want %s", got, f.StreamEnded(), want)
		}
	}
	_, addr = startH2(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	p = dialH2(t, addr)
	p.post(1, "/echo", "expect", "100-continue", "content-length", "5")
	f := until(p, func(f *http2.HeadersFrame) bool { return true })
	if got := fieldsText(p.decode(f)); got != ":status=100;" || f.StreamEnded() {
		t.Fatalf("%s, end %v", got, f.StreamEnded())
	}
	p.WriteData(1, true, []byte("hello"))
	p.wants(1, "200", "hello")
}

// trailerBackend answers with the trailer section of the request.
type trailerRun struct {
	*testRun
	trailer string
}

func (r *trailerRun) BodyTrailer(section []byte) { r.trailer = string(section) }
func (r *trailerRun) BodyEnd()                   { r.lb.l.Post(func() { r.answer([]byte(r.trailer)) }) }

type trailerBackend struct{}

func (b trailerBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return trailerLoop{l}, nil
}

type trailerLoop struct{ l backend.Loop }

func (b trailerLoop) Start(x backend.Exchange, h *httpparse.Head, _ int, body []byte, more bool) (backend.Running, error) {
	r := &testRun{lb: &testLoopBackend{&testBackend{}, b.l}, x: x, keep: h.Persistent, window: make([]byte, 1000)}
	t := &trailerRun{testRun: r}
	if !more {
		t.BodyEnd()
	}
	return t, nil
}

func TestH2RequestTrailer(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, trailerBackend{})
	p := dialH2(t, addr)
	end := func(id uint32, fields ...string) {
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: true, EndHeaders: true})
	}
	p.post(1, "/")
	p.WriteData(1, false, []byte("hello"))
	end(1, "x-sum", "1", "x-more", "2")
	p.wants(1, "200", "x-sum: 1\r\nx-more: 2\r\n\r\n")
	p.post(3, "/", "content-length", "5")
	p.WriteData(3, false, []byte("hello"))
	end(3, "x-sum", "1") // a body of known length has no place for it
	p.wants(3, "200", "")
	p.post(5, "/")
	end(5, ":path", "/")
	p.hearsRST(5, http2.ErrCodeProtocol)
	p.post(7, "/", "content-length", "5")
	end(7, "x-sum", "1")
	p.hearsRST(7, http2.ErrCodeProtocol)
	p.post(9, "/")
	p.WriteData(9, true, nil)
	p.wants(9, "200", "")
}

// Go's client, with and without TLS: many requests at a time, large bodies in both directions.
func TestH2GoClient(t *testing.T) {
	config := serverConfig()
	config.NextProtos = []string{"h2", "http/1.1"}
	b := &testBackend{window: 5000}
	_, secure := startTLS(t, Options{Loops: 2}, Limits{SpoolOutput: 8 << 20}, b, &TLS{Config: config})
	_, plain := startH2(t, Options{Loops: 2}, Limits{SpoolOutput: 8 << 20}, b)
	for name, c := range map[string]struct {
		url       string
		transport http.RoundTripper
	}{
		"TLS": {"https://" + secure, &http.Transport{TLSClientConfig: clientConfig(), ForceAttemptHTTP2: true}},
		"h2c": {"http://" + plain, &http2.Transport{AllowHTTP: true, DialTLS: func(network, addr string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, addr)
		}}},
	} {
		client := &http.Client{Transport: c.transport, Timeout: waitMost}
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				body := noise(i * i * 500)
				res, err := client.Post(c.url+"/echo", "text/plain", bytes.NewReader(body))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				defer res.Body.Close()
				got, err := io.ReadAll(res.Body)
				if err != nil || res.ProtoMajor != 2 || res.StatusCode != 200 || !bytes.Equal(got, body) {
					t.Errorf("%s: %s %s, %d bytes of %d, %v", name, res.Proto, res.Status, len(got), len(body), err)
				}
			})
		}
		all.Wait()
		client.CloseIdleConnections()
	}
}

// A listener that knows HTTP/2 without TLS still serves HTTP/1, and one that does not refuses it.
func TestH2C(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	one := dial(t, addr)
	one.say(get("/hello"))
	one.hears(200)
	for _, start := range []string{"PRI * HTTP/2.0\r\n\r\nxx\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, start)
		p := &h2Peer{t: t, Conn: c, Framer: http2.NewFramer(c, c)}
		if code := p.goneWith(); code != http2.ErrCodeProtocol && code != http2.ErrCodeFrameSize {
			t.Errorf("%q: %v", start, code)
		}
	}
	slow := dial(t, addr)
	for _, b := range []byte(h2PrefaceText) {
		slow.Write([]byte{b})
	}
	p := &h2Peer{t: t, Conn: slow, Framer: http2.NewFramer(slow, slow)}
	p.WriteSettings()
	until(p, func(f *http2.SettingsFrame) bool { return f.IsAck() })
	_, addr = start(t, Options{Loops: 1}, Limits{}, &testBackend{})
	never := dial(t, addr)
	never.say(h2PrefaceText)
	never.hears(505)
}

// What is known of the connection is known of its streams.
func TestH2Connection(t *testing.T) {
	config := serverConfig()
	config.NextProtos = []string{"h2"}
	_, addr := startTLS(t, Options{Loops: 1}, Limits{}, &headBackend{func(x backend.Exchange) string {
		local, remote := x.Addrs()
		keeper := x.(backend.ConnKeeper)
		n, _ := keeper.ConnValue().(int)
		keeper.SetConnValue(n + 1)
		_, failed := x.(backend.Upgrader).Hijack(nil)
		return fmt.Sprint(local, remote, backend.TLSOf(x).NegotiatedProtocol, n, failed)
	}}, &TLS{Config: config})
	client := clientConfig()
	client.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", addr, client)
	if err != nil {
		t.Fatal(err)
	}
	p := greetH2(t, c)
	for i, id := range []uint32{1, 3} {
		p.get(id, "/")
		want := fmt.Sprintf("HTTP/2: true, secure: true, length: 0\n%s %sh2%d %v", addr, c.LocalAddr(), i, errH2)
		if a := p.answer(id); !strings.HasSuffix(string(a.body), want) {
			t.Errorf("%q, want %q", a.body, want)
		}
	}
}

// stuckBackend takes nothing of a body, and never answers.
type stuckBackend struct{}

func (stuckBackend) Attach(l backend.Loop) (backend.LoopBackend, error) { return stuckLoop{}, nil }

type stuckLoop struct{}

func (stuckLoop) Start(backend.Exchange, *httpparse.Head, int, []byte, bool) (backend.Running, error) {
	return stuckRun{}, nil
}

type stuckRun struct{}

func (stuckRun) BodyRoom() (a, b []byte) { return nil, nil }
func (stuckRun) BodyCommit(int)          {}
func (stuckRun) BodyEnd()                {}
func (stuckRun) BodyAbort(bool)          {}
func (stuckRun) OutputRoom()             {}
func (stuckRun) PeerEnd()                {}
func (stuckRun) Cancel()                 {}
