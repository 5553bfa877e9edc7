package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestGet(t *testing.T) {
	heads := make(chan string, 10)
	a := newTarget(t, func(p *peer) {
		for {
			h := p.request()
			if h == "" {
				return
			}
			heads <- h
			p.send("HTTP/1.1 200 Fine\r\nDate: now\r\nServer: s\r\nX-A: 1\r\nContent-Length: 5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 2\r\nX-B: 3\r\n\r\nhello")
		}
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial("")
	for range 3 {
		c.send("GET /a?b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nConnection: X-Mine\r\nX-Mine: 1\r\nAccept: */*\r\n\r\n")
		want := "HTTP/1.1 200 Fine\r\nDate: now\r\nServer: s\r\nX-A: 1\r\nX-B: 3\r\nContent-Length: 5\r\n\r\nhello"
		if got := c.take(len(want)); got != want {
			t.Errorf("response %q, want %q", got, want)
		}
		want = "GET /a?b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n" +
			"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: example.com\r\n\r\n"
		if got := <-heads; got != want {
			t.Errorf("request %q, want %q", got, want)
		}
	}
	if a.accepted() != 1 {
		t.Errorf("%d connections to the target for three requests", a.accepted())
	}
}

// echo answers each request with its framing and its body.
func echo(p *peer) {
	for {
		req, err := http.ReadRequest(p.r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		p.send(ok(fmt.Sprintf("%s length %d %v %q %s", req.Method, req.ContentLength, req.TransferEncoding, body, req.Trailer.Get("T"))))
	}
}

func TestRequestBodies(t *testing.T) {
	a := newTarget(t, echo)
	r := newRig(t, rigOptions{}, a)
	c := r.dial("")
	for _, tt := range []struct {
		pieces []string
		want   string
	}{
		{[]string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"}, `POST length 5 [] "hello" `},
		{[]string{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"}, `POST length 0 [] "" `},
		{[]string{"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"}, `PUT length 5 [] "hello" `},
		{[]string{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, `POST length -1 [chunked] "" `},
		{[]string{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "3;x=y\r\ncde\r\n0\r\n\r\n"},
			`POST length -1 [chunked] "abcde" `},
		{[]string{"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2\r\nab\r\n", "0\r\nT: t\r\nHost: y\r\n\r\n"},
			`PUT length -1 [chunked] "ab" t`},
	} {
		for _, piece := range tt.pieces {
			c.send(piece)
		}
		c.reply("POST").want(t, 200, tt.want)
	}
	if a.accepted() != 1 {
		t.Errorf("%d connections to the target", a.accepted())
	}
}

// Responses in each framing, for a client of each version.
func TestResponseFraming(t *testing.T) {
	const chunks = "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
	const length = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nabcde"
	const toEnd = "HTTP/1.1 200 OK\r\nDate: x\r\n\r\nabcde"
	const old = "HTTP/1.0 200 OK\r\nDate: x\r\n\r\nabcde"
	const get11, get10 = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"
	const keep10 = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	for _, tt := range []struct{ name, request, response, want string }{
		{"length", get11, length, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nabcde"},
		{"chunks", get11, chunks, "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"},
		{"length for HTTP/1.0", get10, length, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde"},
		{"length for HTTP/1.0, kept", keep10, length, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nabcde"},
		{"chunks for HTTP/1.0", keep10, chunks, "HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\nabcde"},
		{"to the end", get11, toEnd, "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"},
		{"to the end, HTTP/1.0 target", get11, old, "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"},
		{"to the end for HTTP/1.0", keep10, toEnd, "HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\nabcde"},
		{"no reason phrase", get11, "HTTP/1.1 299\r\nDate: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 299 \r\nDate: x\r\nContent-Length: 0\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newTarget(t, func(p *peer) {
				p.request()
				p.send(tt.response) // in one piece, and then the end
				p.closeWrite()
				p.wait()
			})
			c := newRig(t, rigOptions{}, a).dial(tt.request)
			if got := c.take(len(tt.want)); normal(got) != normal(tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// normal joins the chunks of a body: where they are cut depends on how the bytes arrive.
func normal(text string) string {
	return strings.Replace(text, "0\r\n\r\n", "", 1)
}

// The head, and the body, arrive in pieces.
func TestResponseInPieces(t *testing.T) {
	const text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n"
	a := newTarget(t, func(p *peer) {
		for p.request() != "" {
			for i := range len(text) {
				p.send(text[i : i+1]) // TCP_NODELAY: a packet each
			}
		}
	})
	r := newRig(t, rigOptions{}, a)
	c := r.dial("")
	for range 10 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n")
		if hints := c.request(); !strings.HasPrefix(hints, "HTTP/1.1 103 ") {
			t.Errorf("hints %q", hints)
		}
		got := c.reply("GET")
		got.want(t, 200, "abcde")
		if got.trailer.Get("T") != "t" {
			t.Errorf("trailer %v", got.trailer)
		}
	}
	if a.accepted() != 1 {
		t.Errorf("%d connections to the target", a.accepted())
	}
}

// Requests in a pipeline get their responses in order.
func TestPipeline(t *testing.T) {
	a := newTarget(t, echo)
	r := newRig(t, rigOptions{}, a)
	c := r.dial(strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\nPUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", 50))
	for range 50 {
		c.reply("GET").want(t, 200, `GET length 0 [] "" `)
		c.reply("PUT").want(t, 200, `PUT length 2 [] "ab" `)
	}
}
