package main

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"

	"moonbridge/httpparse"
)

// responseHead is a head as a service behind a proxy sends it. There is no body.
const responseHead = "HTTP/1.1 200 OK\r\n" +
	"Server: nginx\r\n" +
	"Date: Sun, 29 Nov 2026 00:00:00 GMT\r\n" +
	"Content-Type: text/html; charset=utf-8\r\n" +
	"Content-Length: 0\r\n" +
	"Vary: Accept-Encoding, Cookie\r\n" +
	"Cache-Control: private, max-age=0, must-revalidate\r\n" +
	"ETag: \"0123456789abcdef0123456789abcdef\"\r\n" +
	"Set-Cookie: session=0123456789abcdef0123456789abcdef; Path=/; HttpOnly; Secure; SameSite=Lax\r\n" +
	"X-Request-Id: 6f1ed002ab5595859014ebf0951522d9\r\n\r\n"

// BenchmarkResponse parses the head of a response, as a proxy does.
func BenchmarkResponse(b *testing.B) {
	head := []byte(responseHead)
	b.Run("service/ours", func(b *testing.B) {
		var p httpparse.ResponseParser
		var r httpparse.Response
		b.ReportAllocs()
		for b.Loop() {
			if n, err := p.Parse(&r, head, httpparse.MethodOther, nil); n != len(head) || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	from := bytes.NewReader(head)
	buffered := bufio.NewReader(from)
	b.Run("service/nethttp", func(b *testing.B) {
		request := &http.Request{Method: "GET"}
		b.ReportAllocs()
		for b.Loop() {
			from.Reset(head)
			buffered.Reset(from)
			if _, err := http.ReadResponse(buffered, request); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("service/fasthttp", func(b *testing.B) {
		var h fasthttp.ResponseHeader
		b.ReportAllocs()
		for b.Loop() {
			from.Reset(head)
			buffered.Reset(from)
			if err := h.Read(buffered); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// All three find the same length and the same number of fields.
func TestResponseParsersAgree(t *testing.T) {
	head := []byte(responseHead)
	var p httpparse.ResponseParser
	var r httpparse.Response
	if n, err := p.Parse(&r, head, httpparse.MethodOther, nil); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs.Body.Close()
	var fast fasthttp.ResponseHeader
	if err := fast.Read(bufio.NewReader(bytes.NewReader(head))); err != nil {
		t.Fatal(err)
	}
	if r.ContentLength != theirs.ContentLength || int(r.ContentLength) != fast.ContentLength() || len(r.Fields) != len(theirs.Header) {
		t.Errorf("lengths %d, %d, %d; fields %d, %d", r.ContentLength, theirs.ContentLength, fast.ContentLength(), len(r.Fields), len(theirs.Header))
	}
}
