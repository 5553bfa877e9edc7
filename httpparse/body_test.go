package httpparse

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// requestOf returns the head of a request with these field lines, each of which ends with CR LF.
func requestOf(t *testing.T, fields string) *Head {
	t.Helper()
	var p Parser
	h := new(Head)
	if n, err := p.Parse(h, []byte("POST / HTTP/1.1\r\nHost: x\r\n"+fields+"\r\n"), nil); n == 0 || err != nil {
		t.Fatalf("%q: %d, %v", fields, n, err)
	}
	return h
}

func TestBodyBegin(t *testing.T) {
	lim := BodyLimits{Bytes: 100, Await: 10}
	const expect = "Expect: 100-continue\r\n"
	for _, tt := range []struct {
		fields               string
		follow               int
		await, whole, status int // whole: await with BodyLimits.Whole
		missing, expecting   bool
	}{
		{"", 0, 0, 0, 0, false, false},
		{"", 50, 0, 0, 0, false, false}, // the next request
		{"Content-Length: 0\r\n", 0, 0, 0, 0, false, false},
		{"Content-Length: 10\r\n", 0, 10, 10, 0, true, false},
		{"Content-Length: 10\r\n", 9, 10, 10, 0, true, false},
		{"Content-Length: 10\r\n", 10, 0, 0, 0, true, false},
		{"Content-Length: 11\r\n", 0, 0, AwaitWhole, 0, true, false},
		{"Content-Length: 11\r\n", 11, 0, 0, 0, true, false},
		{"Content-Length: 100\r\n", 0, 0, AwaitWhole, 0, true, false},
		{"Content-Length: 101\r\n", 0, 0, 0, 413, false, false},
		{"Content-Length: 101\r\n", 101, 0, 0, 413, false, false},
		{"Content-Length: 9223372036854775807\r\n", 0, 0, 0, 413, false, false},
		{"Transfer-Encoding: chunked\r\n", 0, 0, AwaitWhole, 0, true, false},
		{"Content-Length: 10\r\n" + expect, 0, 0, AwaitWhole, 0, true, true},
		{"Content-Length: 10\r\n" + expect, 1, 0, AwaitWhole, 0, true, false},
		{"Content-Length: 101\r\n" + expect, 0, 0, 0, 413, false, true},
		{"Transfer-Encoding: chunked\r\n" + expect, 0, 0, AwaitWhole, 0, true, true},
	} {
		var b Body
		b.framing, b.left, b.chunked.state = bodyChunked, 7, chunkFailed // left over from another request
		await, err := b.Begin(requestOf(t, tt.fields), tt.follow, &lim)
		whole, _ := new(Body).Begin(requestOf(t, tt.fields), tt.follow, &BodyLimits{Bytes: lim.Bytes, Await: lim.Await, Whole: true})
		if whole != tt.whole {
			t.Errorf("%q, %d bytes follow: await %d with Whole, want %d", tt.fields, tt.follow, whole, tt.whole)
		}
		status := 0
		if err != nil {
			status = StatusOf(err)
		}
		if await != tt.await || status != tt.status || b.Missing() != tt.missing || b.Expecting() != tt.expecting {
			t.Errorf("%q, %d bytes follow: await %d, status %d, missing %v, expecting %v; want %+v", tt.fields, tt.follow,
				await, status, b.Missing(), b.Expecting(), tt)
		}
	}
}

func TestBodyContinue(t *testing.T) {
	const length, chunked = "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"
	for _, tt := range []struct {
		name, fields string
		do           func(b *Body)
		want         bool
	}{
		{"length", length, func(*Body) {}, true},
		{"chunked", chunked, func(*Body) {}, true},
		{"asked", length, func(b *Body) { b.Continue() }, false},
		{"some came", length, func(b *Body) { b.Move(make([]byte, 1), nil, []byte("a")) }, false},
		{"some were taken", length, func(b *Body) { b.Take([]byte("a")) }, false},
		{"none were taken", length, func(b *Body) { b.Take(nil) }, true},
		{"some were read", length, func(b *Body) { b.Took(1) }, false},
		{"a chunk starts", chunked, func(b *Body) { b.Move(make([]byte, 1), nil, []byte("1")) }, false},
	} {
		var b Body
		if _, err := b.Begin(requestOf(t, tt.fields+"Expect: 100-continue\r\n"), 0, &BodyLimits{Bytes: 10}); err != nil {
			t.Fatal(err)
		}
		tt.do(&b)
		if was := b.Expecting(); was != tt.want || b.Continue() != tt.want || b.Expecting() {
			t.Errorf("%s: %v, want %v", tt.name, was, tt.want)
		}
	}
}

// moved is the outcome of a body.
type moved struct {
	body, rest string // its data; the rest of the input
	status     int    // status of the error
	missing    bool
}

// moveAll feeds the input, in pieces that end at the cuts, to a ring of window bytes that is emptied after each step.
// With direct, a body of known length is read into the ring, as a connection does.
func moveAll(t *testing.T, h *Head, lim BodyLimits, in string, window int, direct bool, cuts ...int) (m moved) {
	t.Helper()
	var b Body
	if _, err := b.Begin(h, 0, &lim); err != nil {
		t.Fatal(err)
	}
	room, at, pos := make([]byte, window), 0, 0
	for _, cut := range append(cuts, len(in)) {
		for pos < cut && b.Missing() {
			x, y := room[at:], room[:at]
			var n, consumed int
			var err error
			if d := b.Direct(x); direct && len(d) > 0 {
				n = copy(d, in[pos:cut])
				consumed = n
				b.Took(n)
			} else {
				n, consumed, err = b.Move(x, y, []byte(in[pos:cut]))
			}
			if n > window || consumed > cut-pos || err == nil && consumed == 0 {
				t.Fatalf("%q: %d written, %d consumed of %d", in, n, consumed, cut-pos)
			}
			m.body += string(append(append([]byte(nil), x...), y...)[:n])
			at, pos = (at+n)%window, pos+consumed
			if err != nil {
				m.status = StatusOf(err)
			}
		}
	}
	m.rest, m.missing = in[pos:], b.Missing()
	if n, consumed, err := b.Move(room, nil, []byte("x")); !m.missing && (n != 0 || consumed != 0 || err != nil) {
		t.Errorf("%q: after the end: %d written, %d consumed, %v", in, n, consumed, err)
	}
	return m
}

// The result does not depend on how the input is split or how much room there is.
func TestBodyMove(t *testing.T) {
	const next = "GET /next"
	const length, chunked = "Content-Length: 12\r\n", "Transfer-Encoding: chunked\r\n"
	for _, tt := range []struct {
		name, fields, in string
		limit            int64
		want             moved
	}{
		{"none", "", next, 100, moved{rest: next}},
		{"length", length, "hello, world" + next, 100, moved{body: "hello, world", rest: next}},
		{"length at the limit", length, "hello, world" + next, 12, moved{body: "hello, world", rest: next}},
		{"length, incomplete", length, "hello, worl", 100, moved{body: "hello, worl", missing: true}},
		{"chunked", chunked, "7\r\nhello, \r\n5;x\r\nworld\r\n0\r\nT: u\r\n\r\n" + next, 100, moved{body: "hello, world", rest: next}},
		{"chunked at the limit", chunked, "7\r\nhello, \r\n5\r\nworld\r\n0\r\n\r\n" + next, 12, moved{body: "hello, world", rest: next}},
		{"chunked, empty", chunked, "0\r\n\r\n" + next, 0, moved{rest: next}},
		{"chunked, incomplete", chunked, "7\r\nhello, \r\n5\r\nworld\r\n0\r\n\r", 100, moved{body: "hello, world", missing: true}},
		{"malformed size", chunked, "1\r\na\r\nx", 100, moved{body: "a", rest: "x", status: 400}},
		{"malformed end", chunked, "1\r\nab", 100, moved{body: "a", rest: "b", status: 400}},
		{"size above 63 bits", chunked, "1\r\na\r\nffffffffffffffff", 100, moved{body: "a", rest: "f", status: 413}},
	} {
		h := requestOf(t, tt.fields)
		check := func(what string, got moved) {
			t.Helper()
			if got != tt.want {
				t.Fatalf("%s, %s: %+v, want %+v", tt.name, what, got, tt.want)
			}
		}
		lim := BodyLimits{Bytes: tt.limit}
		every := make([]int, len(tt.in))
		for i := range every {
			every[i] = i
		}
		for _, window := range []int{1, 2, 5, 64} {
			for _, direct := range []bool{false, true} {
				check(fmt.Sprintf("window %d, byte by byte", window), moveAll(t, h, lim, tt.in, window, direct, every...))
				for cut := range len(tt.in) + 1 {
					check(fmt.Sprintf("window %d, direct %v, cut at %d", window, direct, cut), moveAll(t, h, lim, tt.in, window, direct, cut))
				}
			}
		}
	}
}

// A chunked body is refused with the piece that exceeds its limit. How much of it is returned before that depends on
// the pieces, but it is the start of the body, and at most a window more than the limit.
func TestBodyTooLarge(t *testing.T) {
	h := requestOf(t, "Transfer-Encoding: chunked\r\n")
	in := "4\r\n0123\r\n9\r\n456789abc\r\n0\r\n\r\n"
	for _, window := range []int{1, 3, 64} {
		for cut := range len(in) + 1 {
			got := moveAll(t, h, BodyLimits{Bytes: 5}, in, window, false, cut)
			if got.status != 413 || got.missing || !strings.HasPrefix("0123456789abc", got.body) || len(got.body) <= 5 || len(got.body) > 5+window {
				t.Errorf("window %d, cut at %d: %+v", window, cut, got)
			}
		}
	}
}

func TestBodyTake(t *testing.T) {
	for _, tt := range []struct {
		fields, src, want string
		missing           bool
	}{
		{"", "GET", "", false},
		{"Content-Length: 3\r\n", "", "", true},
		{"Content-Length: 3\r\n", "ab", "ab", true},
		{"Content-Length: 3\r\n", "abc", "abc", false},
		{"Content-Length: 3\r\n", "abcGET", "abc", false},
		{"Transfer-Encoding: chunked\r\n", "3\r\nabc", "", true},
	} {
		var b Body
		if _, err := b.Begin(requestOf(t, tt.fields), len(tt.src), &BodyLimits{Bytes: 10}); err != nil {
			t.Fatal(err)
		}
		if got := string(b.Take([]byte(tt.src))); got != tt.want || b.Missing() != tt.missing {
			t.Errorf("%q of %q: %q, missing %v", tt.fields, tt.src, got, b.Missing())
		}
	}
}

func TestBodyAbort(t *testing.T) {
	for _, fields := range []string{"Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"} {
		var b Body
		if _, err := b.Begin(requestOf(t, fields), 0, &BodyLimits{Bytes: 10}); err != nil || !b.Missing() {
			t.Fatal(err, b.Missing())
		}
		b.Abort()
		if b.Missing() || len(b.Direct(make([]byte, 10))) != 0 {
			t.Errorf("%q: something is missing after Abort", fields)
		}
	}
}

func TestStatusOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{errBodyLarge, 413},
		{fmt.Errorf("peer: %w", errTargetLong), 414},
		{errors.New("another error"), 400},
	} {
		if got := StatusOf(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}
