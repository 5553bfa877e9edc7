package main

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"

	"moonbridge/httpparse"
)

// requests are heads as a browser and as a program sends them.
var requests = []struct{ name, head string }{
	{"browser", "GET /articles/2024/05/some-title?page=2&sort=date HTTP/1.1\r\n" +
		"Host: www.example.com\r\n" +
		"Connection: keep-alive\r\n" +
		"Cache-Control: max-age=0\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Sec-Fetch-Site: same-origin\r\n" +
		"Sec-Fetch-Mode: navigate\r\n" +
		"Referer: https://www.example.com/articles/\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
		"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=\"yes\"\r\n" +
		"\r\n"},
	{"api", "GET /v1/articles/17 HTTP/1.1\r\n" +
		"Host: api.example.com\r\n" +
		"User-Agent: client/2.1\r\n" +
		"Accept: application/json\r\n" +
		"Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n" +
		"\r\n"},
}

// BenchmarkHead parses a complete head. Each parser uses its memory again, as far as it can.
func BenchmarkHead(b *testing.B) {
	for _, r := range requests {
		b.Run(r.name+"/ours", func(b *testing.B) { ours(b, []byte(r.head)) })
		b.Run(r.name+"/nethttp", func(b *testing.B) { netHTTP(b, []byte(r.head)) })
		b.Run(r.name+"/fasthttp", func(b *testing.B) { fastHTTP(b, []byte(r.head)) })
	}
}

func ours(b *testing.B, head []byte) {
	var p httpparse.Parser
	var h httpparse.Head
	b.ReportAllocs()
	for b.Loop() {
		if n, err := p.Parse(&h, head, nil); n != len(head) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func netHTTP(b *testing.B, head []byte) {
	from := bytes.NewReader(head)
	r := bufio.NewReader(from)
	b.ReportAllocs()
	for b.Loop() {
		from.Reset(head)
		r.Reset(from)
		if _, err := http.ReadRequest(r); err != nil {
			b.Fatal(err)
		}
	}
}

func fastHTTP(b *testing.B, head []byte) {
	var h fasthttp.RequestHeader
	from := bytes.NewReader(head)
	r := bufio.NewReader(from)
	b.ReportAllocs()
	for b.Loop() {
		from.Reset(head)
		r.Reset(from)
		if err := h.Read(r); err != nil {
			b.Fatal(err)
		}
	}
}

// All three find the same fields, so all three have done the same work.
func TestParsersAgree(t *testing.T) {
	for _, r := range requests {
		var p httpparse.Parser
		var h httpparse.Head
		if n, err := p.Parse(&h, []byte(r.head), nil); n != len(r.head) || err != nil {
			t.Fatal(n, err)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader([]byte(r.head))))
		if err != nil {
			t.Fatal(err)
		}
		var fast fasthttp.RequestHeader
		if err := fast.Read(bufio.NewReader(bytes.NewReader([]byte(r.head)))); err != nil {
			t.Fatal(err)
		}
		if want := len(theirs.Header) + 1; len(h.Fields) != want || fast.Len() < want-1 { // net/http keeps Host elsewhere
			t.Errorf("%s: %d fields, net/http has %d, fasthttp %d", r.name, len(h.Fields), want, fast.Len())
		}
	}
}
