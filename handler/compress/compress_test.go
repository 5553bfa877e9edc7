package compress

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// get is a request by a client that accepts these codings.
func get(accept string) string { return request("GET", "1.1", accept) }

func request(method, version, accept string) string {
	r := method + " / HTTP/" + version + "\r\nHost: x\r\n"
	if accept != "" {
		r += "Accept-Encoding: " + accept + "\r\n"
	}
	return r + "\r\n"
}

// decode undoes a coding.
func decode(coding string, r io.Reader) (io.Reader, error) {
	switch coding {
	case "gzip":
		return gzip.NewReader(r)
	case "br":
		return brotli.NewReader(r), nil
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case "":
		return r, nil
	}
	return nil, fmt.Errorf("unknown coding %q", coding)
}

// answer is a response as a client reads it.
type answer struct {
	*http.Response
	raw  string // the body as sent
	body string // decoded
}

func read(t *testing.T, method, in string) (a answer) {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(in))
	var err error
	for {
		if a.Response, err = http.ReadResponse(r, &http.Request{Method: method}); err != nil {
			t.Fatalf("%v in %q", err, in)
		}
		if a.StatusCode >= 200 {
			break
		}
	}
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatalf("%v in %q", err, in)
	}
	a.raw = string(raw)
	if method == "HEAD" {
		return a
	}
	d, err := decode(a.Header.Get("Content-Encoding"), bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in %q", err, in)
	}
	body, err := io.ReadAll(d)
	if err != nil {
		t.Fatalf("%v in %q", err, in)
	}
	a.body = string(body)
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		t.Fatalf("%q after the response", rest)
	}
	return a
}

// page is a compressible body of n bytes.
func page(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "<p>line %d of a page that repeats itself, %d times</p>\n", i, i*i%97)
	}
	return b.String()[:n]
}

func html(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"a\"\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// TestWhole sends bodies of all sizes at once: small ones are encoded on the loop, larger ones on a goroutine.
func TestWhole(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		for _, size := range []int{1024, 2048, 2049, 8192, 8193, 40000, 65536} {
			g := newRig(t, get(coding), Options{})
			body := page(size)
			g.out(html(body), true)
			g.done(backend.EndKeep)
			a := read(t, "GET", g.conn.got.String())
			if a.body != body || a.Header.Get("Content-Encoding") != coding {
				t.Fatalf("%s, %d: %q", coding, size, g.conn.got.String())
			}
			if a.ContentLength != int64(len(a.raw)) || a.ContentLength >= int64(size) || g.conn.outputs != 1 || g.conn.lasts != 1 {
				t.Errorf("%s, %d: length %d, %d outputs, last %d", coding, size, a.ContentLength, g.conn.outputs, g.conn.lasts)
			}
			if a.Header.Get("Vary") != "Accept-Encoding" || a.Header.Get("ETag") != `W/"a"` {
				t.Errorf("%s, %d: %v", coding, size, a.Header)
			}
			if g.conn.end != backend.EndKeep {
				t.Errorf("end %v", g.conn.end)
			}
		}
	}
}

// TestSplit sends the same responses in pieces of random sizes to connections that take pieces of random sizes, and compares
// what the client decodes.
func TestSplit(t *testing.T) {
	shared := NewShared()
	for seed := range uint64(300) {
		checkSplit(t, seed, shared)
	}
	if shared.streams != 0 || shared.queued != 0 {
		t.Errorf("%d streams, %d bytes are left", shared.streams, shared.queued)
	}
}

// TestPassed sends responses that are not compressed: they must arrive as they are, except for Vary.
func TestPassed(t *testing.T) {
	long := page(3000)
	with := func(fields string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s", len(long), fields, long)
	}
	for _, c := range []struct {
		name, request, response string
		vary                    bool
	}{
		{"client without Accept-Encoding", get(""), html(long), true},
		{"client that refuses", get("gzip;q=0, identity"), html(long), true},
		{"small", get("gzip"), html(page(1023)), false},
		{"small, client without Accept-Encoding", get(""), html(page(1023)), false},
		{"empty", get("gzip, identity;q=0"), html(""), false},
		{"no type", get("gzip"), with(""), false},
		{"other type", get("gzip"), with("Content-Type: image/png\r\n"), false},
		{"event stream", get("gzip"), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		{"encoded already", get("gzip"), with("Content-Type: text/html\r\nContent-Encoding: gzip\r\n"), false},
		{"encoded as identity", get("gzip"), with("Content-Type: text/html\r\nContent-Encoding: identity\r\n"), false},
		{"range", get("gzip"), strings.Replace(with("Content-Type: text/html\r\nContent-Range: bytes 0-9/10\r\n"), "200", "206", 1), false},
		{"Content-Range without 206", get("gzip"), with("Content-Type: text/html\r\nContent-Range: bytes 0-9/10\r\n"), false},
		{"ranges can be asked for", get("gzip"), with("Content-Type: text/html\r\nAccept-Ranges: bytes\r\n"), false},
		{"no-transform", get("gzip"), with("Content-Type: text/html\r\nCache-Control: public, no-transform\r\n"), false},
		{"digest", get("gzip"), with("Content-Type: text/html\r\nRepr-Digest: sha-256=:AAAA:\r\n"), false},
		{"redirect", get("gzip"), strings.Replace(html(long), "200", "302", 1), false},
		{"204", get("gzip"), "HTTP/1.1 204 No Content\r\nContent-Type: text/html\r\n\r\n", false},
		{"304", get("gzip"), "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", true},
		{"304, client without Accept-Encoding", get(""), "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", true},
		{"304 of a page", get("gzip"), "HTTP/1.1 304 Not Modified\r\nContent-Type: text/html\r\n\r\n", true},
		{"304 of a picture", get("gzip"), "HTTP/1.1 304 Not Modified\r\nContent-Type: image/png\r\n\r\n", false},
		{"304 of what is encoded", get("gzip"), "HTTP/1.1 304 Not Modified\r\nContent-Encoding: gzip\r\n\r\n", false},
		{"304 of what has ranges", get("gzip"), "HTTP/1.1 304 Not Modified\r\nAccept-Ranges: bytes\r\n\r\n", false},
		{"304, no-transform", get("gzip"), "HTTP/1.1 304 Not Modified\r\nCache-Control: no-transform\r\n\r\n", false},
		{"304 that varies", get("gzip"), "HTTP/1.1 304 Not Modified\r\nVary: Cookie, accept-encoding\r\n\r\n", false},
		{"interim, then small", get("gzip"), "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + html("x"), false},
		{"not a response", get("gzip"), "what is this?", false},
		{"bare LF", get("gzip"), strings.ReplaceAll(html(long), "\r\n", "\n"), false},
		{"HEAD, small", request("HEAD", "1.1", "gzip"), "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{len(c.response), 1, 7, 300} {
				g := newRig(t, c.request, Options{})
				for rest := c.response; rest != ""; {
					n := min(size, len(rest))
					g.out(rest[:n], n == len(rest))
					rest = rest[n:]
				}
				g.done(backend.EndKeep)
				want := c.response
				if c.vary {
					want = strings.Replace(want, "\r\n\r\n", "\r\nVary: Accept-Encoding\r\n\r\n", 1)
				}
				if got := g.conn.got.String(); got != want || g.conn.end != backend.EndKeep {
					t.Fatalf("pieces of %d, end %v: %q\nwant %q", size, g.conn.end, got, want)
				}
			}
		})
	}
}

// TestHead: HEAD gets the fields of GET, except for those that only the body can tell.
func TestHead(t *testing.T) {
	body := page(100000)
	fields := "Content-Type: application/json\r\nVary: Cookie\r\nETag: W/\"a\"\r\n"
	for _, framing := range []string{"Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n"} {
		content := body
		if framing[0] == 'T' {
			content = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		}
		response := "HTTP/1.1 200 OK\r\n" + fields + framing + "\r\n"
		g := newRig(t, get("br"), Options{})
		g.stream(response+content, 30000)
		g.done(backend.EndKeep)
		ofGet := read(t, "GET", g.conn.got.String())

		g = newRig(t, request("HEAD", "1.1", "br"), Options{})
		g.out(response, true)
		g.done(backend.EndKeep)
		ofHead := read(t, "HEAD", g.conn.got.String())
		if ofGet.body != body || fmt.Sprint(ofGet.Header) != fmt.Sprint(ofHead.Header) || ofHead.Header.Get("Content-Encoding") != "br" {
			t.Errorf("GET %v, HEAD %v", ofGet.Header, ofHead.Header)
		}
		if ofHead.ContentLength >= 0 {
			t.Errorf("HEAD has a length: %q", g.conn.got.String())
		}
	}
}

// stream outputs a response in pieces, as far as it is taken.
func (g *rig) stream(response string, size int) {
	g.t.Helper()
	rest := []byte(response)
	for len(rest) > 0 {
		n := min(size, len(rest))
		before := g.inner.room
		taken := g.inner.x.Output(rest[:n], nil, n == len(rest))
		rest = rest[taken:]
		if taken < n {
			g.loop.wait(g.t, func() bool { return g.inner.room > before })
		}
	}
}

func TestNotModified(t *testing.T) {
	const response = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nX: y\r\n\r\n"
	const varying = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nX: y\r\nVary: Accept-Encoding\r\n\r\n"
	const weakened = "HTTP/1.1 304 Not Modified\r\nETag: W/\"a\"\r\nX: y\r\nVary: Accept-Encoding\r\n\r\n"
	for noneMatch, want := range map[string]string{
		`W/"a"`:          weakened,
		`"b", W/"a"`:     weakened,
		`"a"`:            varying,
		`W/"a", "a"`:     varying,
		`W/"b"`:          varying,
		"*":              varying,
		`"x,W/\"a\"", b`: varying,
	} {
		g := newRig(t, strings.Replace(get("gzip"), "\r\n\r\n", "\r\nIf-None-Match: "+noneMatch+"\r\n\r\n", 1), Options{})
		g.out(response, true)
		g.done(backend.EndKeep)
		if got := g.conn.got.String(); got != want {
			t.Errorf("%s: %q", noneMatch, got)
		}
	}
}

// TestFlush: what the inner backend outputs can be decoded at once, whatever follows.
func TestFlush(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		g := newRig(t, get(coding), Options{Types: []string{"text/event-stream"}})
		head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
		g.out(head, false)
		if got := g.conn.got.String(); !strings.HasSuffix(got, "\r\n\r\n") || !strings.Contains(got, "chunked") {
			t.Fatalf("%s: the head waits: %q", coding, got)
		}
		want := ""
		for i := range 5 {
			event := fmt.Sprintf("data: event %d %s\n\n", i, page(i*i*i*i*300))
			want += event
			// A goroutine may be at work.
			for sent := fmt.Sprintf("%x\r\n%s\r\n", len(event), event); sent != ""; {
				before := g.inner.room
				n := g.inner.x.Output([]byte(sent), nil, false)
				if sent = sent[n:]; sent != "" {
					g.loop.wait(t, func() bool { return g.inner.room > before })
				}
			}
			g.loop.wait(t, func() bool { return decodable(t, coding, g.conn.got.Bytes()) == want })
		}
		g.out("0\r\n\r\n", true)
		g.done(backend.EndKeep)
		if a := read(t, "GET", g.conn.got.String()); a.body != want {
			t.Errorf("%s: %q", coding, a.body)
		}
	}
}

// decodable returns what can be decoded of an incomplete response.
func decodable(t *testing.T, coding string, response []byte) string {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(response)), nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := io.ReadAll(r.Body)
	d, err := decode(coding, bytes.NewReader(raw))
	if err != nil {
		return ""
	}
	body, _ := io.ReadAll(d)
	return string(body)
}

// TestHTTP10: an HTTP/1.0 client gets a length if the body is complete at once; otherwise the connection ends with it.
func TestHTTP10(t *testing.T) {
	body := page(200000)
	keep := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n", len(body))
	}
	g := newRig(t, request("GET", "1.0", "gzip"), Options{})
	g.stream(keep(body)+body, 50000)
	g.done(backend.EndKeep)
	a := read(t, "GET", g.conn.got.String())
	if a.body != body || !a.Close || g.conn.end != backend.EndClose || len(a.TransferEncoding) > 0 || a.ContentLength >= 0 {
		t.Errorf("stream: end %v, %v", g.conn.end, a.Header)
	}
	g = newRig(t, request("GET", "1.0", "gzip"), Options{})
	g.out(keep(body[:5000])+body[:5000], true)
	g.done(backend.EndKeep)
	if a := read(t, "GET", g.conn.got.String()); a.body != body[:5000] || g.conn.end != backend.EndKeep || a.ContentLength < 0 {
		t.Errorf("whole: end %v, %v", g.conn.end, a.Header)
	}
	// A body of unknown length that ends with the connection.
	g = newRig(t, request("GET", "1.0", "gzip"), Options{})
	g.stream("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"+body, 50000)
	g.done(backend.EndClose)
	if a := read(t, "GET", g.conn.got.String()); a.body != body || g.conn.end != backend.EndClose {
		t.Errorf("to the end: end %v, %v", g.conn.end, a.Header)
	}
}

// TestNoGain: a body that does not become smaller is sent as it is, unless the client refuses that.
func TestNoGain(t *testing.T) {
	noise := make([]byte, 3000)
	x := uint32(1)
	for i := range noise {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	for accept, coding := range map[string]string{"gzip": "", "gzip, identity;q=0": "gzip"} {
		g := newRig(t, get(accept), Options{})
		g.out(html(string(noise)), true)
		g.done(backend.EndKeep)
		a := read(t, "GET", g.conn.got.String())
		if a.body != string(noise) || a.Header.Get("Content-Encoding") != coding || a.Header.Get("Vary") == "" {
			t.Errorf("%s: %v", accept, a.Header)
		}
		if weak := strings.HasPrefix(a.Header.Get("ETag"), "W/"); weak != (coding != "") {
			t.Errorf("%s: %v", accept, a.Header)
		}
	}
}

func TestTrailer(t *testing.T) {
	body := page(30000)
	g := newRig(t, get("zstd"), Options{})
	g.out(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nSum: 1\r\n\r\n",
		len(body), body), true)
	g.done(backend.EndKeep)
	if a := read(t, "GET", g.conn.got.String()); a.body != body || a.Trailer.Get("Sum") != "1" {
		t.Errorf("%v, trailer %v", a.Header, a.Trailer)
	}
}

func TestOptionsCheck(t *testing.T) {
	for _, o := range []Options{{Level: -1}, {Level: 10}, {Types: []string{"text"}}, {Types: []string{"text/"}}, {Types: []string{""}},
		{Types: []string{"*/*"}}, {Types: []string{"text/html; charset=x"}}, {Types: []string{"*+"}}} {
		if _, err := New(new(fakeInner), o, NewShared()); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	if !validType(TypesDefault[0]) || (&Options{Types: TypesDefault, Level: 9}).Check() != nil {
		t.Error("the defaults are invalid")
	}
}

func TestTypes(t *testing.T) {
	r := (&Options{}).rules()
	for typ, want := range map[string]bool{
		"text/html": true, "TEXT/HTML; charset=utf-8": true, "text/event-stream": false, "text/event-stream;x=y": false,
		"application/json": true, "application/problem+json": true, "image/svg+xml": true, "image/png": false, "video/mp4": false,
		"application/octet-stream": false, "": false, ";": false, "text": false, "font/woff2": false, "font/ttf": true,
		strings.Repeat("x", 200) + "+json": false,
	} {
		if got := r.compressible([]byte(typ)); got != want {
			t.Errorf("%q: %v", typ, got)
		}
	}
	r = (&Options{Types: []string{"text/event-stream", "Application/X"}}).rules()
	for typ, want := range map[string]bool{"text/event-stream": true, "application/x": true, "text/html": false} {
		if got := r.compressible([]byte(typ)); got != want {
			t.Errorf("%q: %v", typ, got)
		}
	}
}

// TestLevels: every level works with every coding.
func TestLevels(t *testing.T) {
	for level := 1; level <= LevelMax; level++ {
		for _, c := range []httpparse.Coding{httpparse.Gzip, httpparse.Brotli, httpparse.Zstd} {
			g := newRig(t, get(c.String()), Options{Level: level})
			g.out(html(page(20000)), true)
			g.done(backend.EndKeep)
			if a := read(t, "GET", g.conn.got.String()); a.body != page(20000) || a.Header.Get("Content-Encoding") != c.String() {
				t.Errorf("%v, level %d", c, level)
			}
		}
	}
}
