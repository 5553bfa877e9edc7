package httpparse

import (
	"strings"
	"testing"
)

// Typical responses: of a small service, of a framework, and one whose length is not known in advance.
const (
	responseSmall = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\nContent-Type: text/plain\r\n\r\nHello, world!\n"
	responseLarge = "HTTP/1.1 200 OK\r\n" +
		"Server: nginx\r\n" +
		"Date: Sun, 29 Nov 2026 00:00:00 GMT\r\n" +
		"Content-Type: text/html; charset=utf-8\r\n" +
		"Content-Length: 1024\r\n" +
		"Connection: keep-alive\r\n" +
		"Vary: Accept-Encoding, Cookie\r\n" +
		"Cache-Control: private, max-age=0, must-revalidate\r\n" +
		"ETag: \"0123456789abcdef0123456789abcdef\"\r\n" +
		"Last-Modified: Sat, 28 Nov 2026 12:00:00 GMT\r\n" +
		"Set-Cookie: session=0123456789abcdef0123456789abcdef; Path=/; HttpOnly; Secure; SameSite=Lax\r\n" +
		"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n" +
		"X-Content-Type-Options: nosniff\r\n" +
		"X-Request-Id: 6f1ed002ab5595859014ebf0951522d9\r\n\r\n"
	responseChunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// BenchmarkResponse parses a response, body included. It must not allocate.
func BenchmarkResponse(b *testing.B) {
	for _, bench := range []struct{ name, response string }{
		{"small", responseSmall},
		{"large", responseLarge + strings.Repeat("x", 1024)},
		{"chunked", responseChunked + strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 4) + "0\r\n\r\n"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			buf := []byte(bench.response)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			var c client
			c.response(b, buf)
			for b.Loop() {
				c.response(b, buf)
			}
		})
	}
}

// client is what a proxy keeps for a connection to a server.
type client struct {
	parser ResponseParser
	head   Response
	body   ResponseBody
	hop    Hop
}

// response parses one response.
func (c *client) response(t testing.TB, buf []byte) {
	n, err := c.parser.Parse(&c.head, buf, MethodOther, nil)
	if err != nil || n == 0 || c.hop.Reset(c.head.Raw, c.head.Fields) != nil {
		t.Fatal(n, err)
	}
	for c.body.BeginFrom(&c.head); c.body.Missing(); {
		_, k, err := c.body.Next(buf[n:])
		if err != nil || k == 0 {
			t.Fatal(k, err)
		}
		n += k
	}
	if n != len(buf) {
		t.Fatalf("%d of %d bytes", n, len(buf))
	}
}

func TestResponseClientDoesNotAllocate(t *testing.T) {
	buf := []byte(responseLarge + strings.Repeat("x", 1024))
	chunked := []byte(responseChunked + "3\r\nabc\r\n0\r\nA: b\r\n\r\n")
	bad := []byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
	var c client
	c.response(t, buf)
	if n := testing.AllocsPerRun(100, func() {
		c.response(t, buf)
		c.response(t, chunked)
		if _, err := c.parser.Parse(&c.head, bad, MethodOther, nil); err == nil {
			t.Fatal("two lengths are accepted")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
