package httpparse

import (
	"strings"
	"testing"
)

// Typical requests: of a load generator, of a browser, and an upload.
const (
	requestSmall   = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
	requestBrowser = "GET /articles/2024/05/some-title?page=2&sort=date HTTP/1.1\r\n" +
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
		"\r\n"
	requestUpload = "POST /upload HTTP/1.1\r\nHost: www.example.com\r\nContent-Type: text/plain\r\n" +
		"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
)

func BenchmarkHead(b *testing.B) {
	for _, bench := range []struct{ name, request string }{
		{"small", requestSmall},
		{"browser", requestBrowser},
		{"upload", requestUpload},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var p Parser
			var h Head
			buf := []byte(bench.request)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if n, err := p.Parse(&h, buf, nil); n != len(buf) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// BenchmarkHeadDripped parses a head that arrives byte by byte, the worst case.
func BenchmarkHeadDripped(b *testing.B) {
	var p Parser
	var h Head
	buf := []byte(requestBrowser)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		n := 0
		for i := 1; i <= len(buf) && n == 0; i++ {
			n, _ = p.Parse(&h, buf[:i], nil)
		}
		if n != len(buf) {
			b.Fatal(n)
		}
	}
}

func BenchmarkChunked(b *testing.B) {
	for _, bench := range []struct{ name, body string }{
		{"4kB", strings.Repeat("1000\r\n"+strings.Repeat("x", 4096)+"\r\n", 16) + "0\r\n\r\n"},
		{"16B", strings.Repeat("10\r\n"+strings.Repeat("x", 16)+"\r\n", 256) + "0\r\n\r\n"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			body := []byte(bench.body)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				var d Chunked
				for rest := body; ; {
					_, n, done, err := d.Next(rest)
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
					if done {
						break
					}
				}
			}
		})
	}
}

func BenchmarkForm(b *testing.B) {
	src := []byte("page=2&sort=date&name=J%C3%B6rg+M%C3%BCller&empty=&flag")
	scratch := make([]byte, len(src))
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		f := NewForm(src, scratch)
		for _, _, ok := f.Next(); ok; _, _, ok = f.Next() {
		}
	}
}
