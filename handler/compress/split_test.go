package compress

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"moonbridge/handler/backend"
)

// script is a response that a fake backend outputs in pieces.
type script struct {
	g     *rig
	rnd   *rand.Rand
	rest  []byte
	ended bool
	end   backend.End
}

// step outputs pieces until one is not taken in full. Then it ends the response.
func (s *script) step() {
	for len(s.rest) > 0 {
		n := 1 + s.rnd.IntN(min(len(s.rest), 1+s.rnd.IntN(65536)))
		cut := s.rnd.IntN(n + 1)
		taken := s.g.inner.x.Output(s.rest[:cut:cut], s.rest[cut:n:n], n == len(s.rest))
		s.rest = s.rest[taken:]
		if taken < n {
			return
		}
	}
	if !s.ended {
		s.ended = true
		s.g.inner.x.Done(s.end)
	}
}

// checkSplit sends one response.
func checkSplit(t *testing.T, seed uint64, shared *Shared) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	coding := []string{"gzip", "br", "zstd"}[rnd.IntN(3)]
	version := []string{"1.1", "1.1", "1.0"}[rnd.IntN(3)]
	body := page(rnd.IntN([]int{100, 3000, 30000, 300000}[rnd.IntN(4)]))
	g := startRig(t, request("GET", version, coding), Options{MinBytes: -1, Level: 1}, shared)
	s := &script{g: g, rnd: rnd}
	response := "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
	switch kind := rnd.IntN(3); {
	case kind == 0 && version == "1.1":
		response += "Transfer-Encoding: chunked\r\n\r\n"
		for rest := body; rest != ""; {
			n := 1 + rnd.IntN(len(rest))
			response += fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		response += "0\r\n\r\n"
	case kind == 1:
		response += "Connection: close\r\n\r\n" + body
		s.end = backend.EndClose
	default:
		response += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	if rnd.IntN(3) == 0 {
		response = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + response
	}
	s.rest = []byte(response)
	g.inner.more = s.step
	if rnd.IntN(2) == 0 {
		g.conn.take = func(n int) int { return rnd.IntN(n + 1) }
	}
	s.step()
	g.loop.wait(t, func() bool {
		if g.conn.waits && g.conn.ended == 0 {
			g.conn.room()
			g.loop.Post(func() {}) // so that the loop does not wait for a goroutine
		}
		return g.conn.ended > 0
	})
	if g.conn.ended != 1 || g.conn.end == backend.EndReset || g.conn.failed != 0 {
		t.Fatalf("seed %d: %d ends, %v", seed, g.conn.ended, g.conn.end)
	}
	in := g.conn.got.String()
	if a := read(t, "GET", in); a.body != body {
		t.Fatalf("seed %d: %d of %d bytes", seed, len(a.body), len(body))
	}
	if rnd.IntN(2) == 0 && strings.Count(in, "HTTP/1.1 103") != strings.Count(response, "HTTP/1.1 103") {
		t.Fatalf("seed %d: interim response lost", seed)
	}
}

// FuzzSplit is TestSplit with seeds from the fuzzer.
func FuzzSplit(f *testing.F) {
	f.Add(uint64(1))
	shared := NewShared()
	f.Fuzz(func(t *testing.T, seed uint64) { checkSplit(t, seed, shared) })
}
