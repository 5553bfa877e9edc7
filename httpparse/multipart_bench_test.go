package httpparse

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// BenchmarkMultipart parses a file of 4 MiB in pieces as large as a read, with content that makes the search for a
// delimiter easy or hard, and a form of small fields.
func BenchmarkMultipart(b *testing.B) {
	const boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gWq"
	random := make([]byte, 4<<20)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(source.Uint32())
	}
	fill := func(line string) []byte { return bytes.Repeat([]byte(line), len(random)/len(line)) }
	var fields bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&fields, "--%s\r\nContent-Disposition: form-data; name=\"field%d\"\r\n\r\nvalue\r\n", boundary, i)
	}
	for _, bench := range []struct {
		name string
		body []byte
	}{
		{"random", multipartFile(boundary, random)},
		{"text", multipartFile(boundary, fill("The quick brown fox jumps over the lazy dog, and does it again.\r\n"))},
		{"zeros", multipartFile(boundary, make([]byte, len(random)))},
		{"line ends", multipartFile(boundary, fill("\r\n"))},
		{"dashes", multipartFile(boundary, fill("\r\n--"))},
		{"lookalikes", multipartFile(boundary, fill("\r\n--"+boundary+"x"))},
		{"fields", append(fields.Bytes(), "--"+boundary+"--\r\n"...)},
	} {
		b.Run(strings.ReplaceAll(bench.name, " ", "_"), func(b *testing.B) {
			var m Multipart
			b.SetBytes(int64(len(bench.body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := drainMultipart(&m, boundary, bench.body, 64<<10); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// multipartFile is a body with one file.
func multipartFile(boundary string, content []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file.bin\"\r\n", boundary)
	b.WriteString("Content-Type: application/octet-stream\r\n\r\n")
	b.Write(content)
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.Bytes()
}

// drainMultipart parses a body in pieces of the given size.
func drainMultipart(m *Multipart, boundary string, body []byte, size int) error {
	var room [MultipartBoundaryBytesMax]byte
	if err := m.Reset(room[:copy(room[:], boundary)]); err != nil {
		return err
	}
	for len(body) > 0 {
		piece := body[:min(size, len(body))]
		body = body[len(piece):]
		for {
			ev, _, n, err := m.Next(piece)
			if err != nil {
				return err
			}
			if piece = piece[n:]; ev == MultipartMore {
				break
			}
		}
	}
	return m.End()
}
