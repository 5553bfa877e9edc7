package pool

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// fullAt is a standard output that refuses the pieces with these numbers, counted from 0.
type fullAt struct {
	pieces map[int]bool
	n      int
	got    bytes.Buffer
}

func (f *fullAt) Offer(p []byte) bool {
	f.n++
	if f.pieces[f.n-1] {
		return false
	}
	f.got.Write(p)
	return true
}

func (f *fullAt) Lose(int) {}

// Bytes are passed on as they come. No part of a lost line is left that could be taken for a whole one.
func TestRelay(t *testing.T) {
	for _, c := range []struct {
		name, pieces, want string
		full               []int
	}{
		{"all of it", "one\n|two\nthr|ee\n\x00\xff|\n", "one\ntwo\nthree\n\x00\xff\n", nil},
		{"a whole line", "one\n|two\n|three\n", "one\nthree\n", []int{1}},
		{"the start of a line", "one\n|tw|o\nthree\n|four\n", "one\nthree\nfour\n", []int{1}},
		{"the start and the middle", "one\n|t|w|o\n|three\n", "one\nthree\n", []int{1}},
		{"the end of a line", "on|e\n|two\n", "on\ntwo\n", []int{1}},
		{"the end, and the start of the next", "on|e\ntw|o\nthree\n", "on\nthree\n", []int{1}},
		{"the middle of a line", "o|n|e\ntwo\n", "o\ntwo\n", []int{1}},
		{"twice", "on|e\n|two\n|three\n", "on\nthree\n", []int{1, 2}},
		{"the last", "one\n|two", "one\n", []int{1}},
	} {
		to := &fullAt{pieces: map[int]bool{}}
		for _, n := range c.full {
			to.pieces[n] = true
		}
		r := relay{to: to}
		for piece := range strings.SplitSeq(c.pieces, "|") {
			r.pass([]byte(piece))
		}
		if got := to.got.String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Everything until the end is passed on, in pieces of any size, and the pipe is closed.
func TestRelayCopies(t *testing.T) {
	text := strings.Repeat("a line\n", 3*stdoutPiece/7) + "no end"
	in := &closed{Reader: strings.NewReader(text)}
	to := &fullAt{}
	(&relay{to: to}).copy(in)
	if got := to.got.String(); got != text || !in.closed || to.n < 3 {
		t.Errorf("%d bytes of %d in %d pieces, closed: %v", len(got), len(text), to.n, in.closed)
	}
}

type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error {
	c.closed = true
	return nil
}

// However the pieces are cut and whichever are lost: a line is whole, or it is counted as lost, once.
func TestRelayCounts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		to := &counting{r: r}
		s := relay{to: to}
		const n = 50
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "<%d%s>\n", i, strings.Repeat("x", r.IntN(20)))
		}
		for rest := text.String(); rest != ""; {
			k := 1 + r.IntN(min(len(rest), 30))
			s.pass([]byte(rest[:k]))
			rest = rest[k:]
		}
		to.r = nil
		s.end()
		whole := 0
		for line := range strings.Lines(to.got.String()) {
			if line[0] == '<' && strings.HasSuffix(line, ">\n") && strings.Count(line, "<") == 1 {
				whole++
			}
		}
		if whole+to.lost != n {
			t.Fatalf("%d whole lines and %d lost, want %d:\n%s", whole, to.lost, n, to.got.String())
		}
	}
}

// counting refuses pieces at random, as long as it has r.
type counting struct {
	r    *rand.Rand
	got  bytes.Buffer
	lost int
}

func (c *counting) Offer(p []byte) bool {
	if c.r != nil && c.r.IntN(3) == 0 {
		return false
	}
	c.got.Write(p)
	return true
}

func (c *counting) Lose(lines int) { c.lost += lines }
