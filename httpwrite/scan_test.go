package httpwrite

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// The scan finds the same in a response however it is cut into pieces.
func TestScan(t *testing.T) {
	for _, c := range []struct {
		name, in string
		status   int
		body     int64
	}{
		{"empty", "", 0, 0},
		{"begun", "HTTP/1.1 20", 0, 0},
		{"head", "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", 204, 0},
		{"body", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello\r\n\r\nworld", 200, 14},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\nno", 404, 2},
		{"interim only", "HTTP/1.1 100 Continue\r\n\r\n", 0, 0},
		{"two interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200, 0},
		{"odd line ends", "HTTP/1.1 200 OK\r\nA: \r\r\nB: \r\n\r\r\n\r\nx", 200, 1},
		{"nonsense", "HTTP/1.1 \xff\xff\xff x\r\n\r\n", 0, 0},
	} {
		var whole Scan
		whole.Write([]byte(c.in))
		if whole.Final() != c.status || whole.Body() != c.body {
			t.Errorf("%s: status %d, %d bytes, want %d, %d", c.name, whole.Final(), whole.Body(), c.status, c.body)
		}
		for size := 1; size < 6; size++ {
			var s Scan
			for part := range slices.Chunk([]byte(c.in), size) {
				s.Write(part)
			}
			if s.Final() != c.status || s.Body() != c.body {
				t.Errorf("%s in pieces of %d: status %d, %d bytes, want %d, %d", c.name, size, s.Final(), s.Body(), c.status, c.body)
			}
		}
		for range 50 {
			var s Scan
			for rest := []byte(c.in); len(rest) > 0; {
				n := 1 + rand.IntN(len(rest))
				s.Write(bytes.Clone(rest[:n]))
				rest = rest[n:]
			}
			if s.Final() != c.status || s.Body() != c.body {
				t.Errorf("%s in pieces: status %d, %d bytes, want %d, %d", c.name, s.Final(), s.Body(), c.status, c.body)
			}
		}
	}
}

func TestScanBetween(t *testing.T) {
	for in, want := range map[string]bool{
		"":                                     true,
		"H":                                    false,
		"HTTP/1.1 103 Early Hints\r\n\r":       false,
		"HTTP/1.1 103 Early Hints\r\n\r\n":     true,
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP": false,
		"HTTP/1.1 101 Switching Protocols\r\n\r\n": false,
		"HTTP/1.1 200 OK\r\n\r\n":                  false,
	} {
		var s Scan
		s.Write([]byte(in))
		if s.Between() != want {
			t.Errorf("%q: %v", in, !want)
		}
	}
}
