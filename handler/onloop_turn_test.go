package handler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// However many exchanges follow from one another, a turn completes 4096 of them. Then other events of the loop have a turn.
func TestOnLoopTurnIsBounded(t *testing.T) {
	const perTurn, exchanges = 4096, 10_000
	b := attach(t, OnLoop(hello))
	p := &pipeliner{fakeConn: fakeConn{t: t, l: b.fakeLoop, takes: -1, started: true}, b: b, left: exchanges}
	b.inTurn = true
	p.next()
	for turn, want := 1, perTurn; ; turn, want = turn+1, want+perTurn {
		again := b.turns[0].EndTurn()
		want = min(want, exchanges)
		if n := strings.Count(string(p.out), "hello"); n != want || again != (want < exchanges) {
			t.Fatalf("%d exchanges in %d turns, another asked for: %v; want %d exchanges", n, turn, again, want)
		}
		if !again {
			return
		}
	}
}

// A backend without exchanges leaves the turns of its loop, and comes back with the next exchange: at the end of a turn, too, when
// others were asked already whether there is more to do.
func TestOnLoopLeavesTurns(t *testing.T) {
	b := attach(t, OnLoop(hello))
	if len(b.turns) != 0 {
		t.Error("it takes part in turns before there was an exchange")
	}
	for range 2 {
		x := &pipeliner{fakeConn: fakeConn{t: t, l: b.fakeLoop, takes: -1, started: true}, b: b, left: 1}
		b.inTurn = true
		x.next()
		if len(b.turns) != 1 || len(b.posted) != 1 {
			t.Fatalf("with an exchange, %d hooks and %d posted functions", len(b.turns), len(b.posted))
		}
		for n := range idleTurns + 1 {
			if len(b.turns) != 1 {
				t.Fatalf("it has left after %d turns", n)
			}
			b.fakeLoop.turn(nil)
			if n == 0 && !strings.Contains(string(x.out), "hello") {
				t.Errorf("response %q", x.out)
			}
		}
		if len(b.turns) != 0 {
			t.Error("it has not left")
		}
	}
}

// A turn with many bytes of responses is full. The handlers of further requests are called in the turns after it, in the order of the requests.
func TestOnLoopFullTurn(t *testing.T) {
	const size, large = 512 << 10, 20
	const perTurn = turnBytes / size
	var later *Later
	b := attach(t, OnLoop(Func(func(w *Response, r *Request) {
		switch path := string(r.Path()); path {
		case "later":
			later = r.Later()
		case "small", "post":
			body, _ := r.Body(100)
			w.WriteString(path)
			w.Write(body)
		default:
			w.Write(make([]byte, size))
		}
	})))
	var order []string
	exchange := func(name, head string, more bool) *fakeConn {
		t.Helper()
		c := &fakeConn{t: t, l: b.fakeLoop, takes: -1, hook: func(*fakeConn) { order = append(order, name) }}
		head += " HTTP/1.1\nHost: a\n"
		if more {
			head += "Content-Length: 4\n"
		}
		if err := b.startIn(c, head+"\n", "", more); err != nil {
			t.Fatal(err)
		}
		return c
	}
	want := func(turn int, names ...string) {
		t.Helper()
		if !slices.Equal(order, names) {
			t.Fatalf("turn %d: answered %q, want %q", turn, order, names)
		}
		order = nil
	}
	var names []string
	for i := range large {
		names = append(names, fmt.Sprint(i))
	}

	b.turn(func() { exchange("later", "GET /later", false) })
	later.Do(func(w *Response, r *Request) { w.WriteString("later") })
	var all []*fakeConn
	var small, gone, posted *fakeConn
	b.turn(func() {
		posted = exchange("post", "POST /post", true)
		for _, name := range names {
			all = append(all, exchange(name, "GET /large", false))
		}
		posted.sendSome([]byte("body"))
		posted.running.BodyEnd()
		small = exchange("small", "GET /small", false)
		gone = exchange("gone", "GET /small", false)
		gone.cancel()
	})
	want(1, names[:perTurn]...)
	all[perTurn+1].cancel()
	b.turn(nil)
	want(2, append(names[perTurn:perTurn+1:perTurn+1], names[perTurn+2:2*perTurn+1]...)...)
	b.turn(nil)
	want(3, append(names[2*perTurn+1:], "post", "small", "later")...)
	if !strings.HasSuffix(posted.text(), "postbody") || !strings.HasSuffix(small.text(), "small") {
		t.Errorf("%q, %q", posted.text(), small.text())
	}
	lb := b.lb.(*onLoopBackend)
	if lb.bytes != nil || lb.waiting != nil || lb.most != lb.bodyMax || len(b.posted) != 0 {
		t.Errorf("left: %d bytes, %d that wait, bodies up to %d, %d posts", len(lb.bytes), len(lb.waiting), lb.most, len(b.posted))
	}
	b.turn(func() { exchange("small", "GET /small", false) })
	want(4, "small")
}

// If all that wait are cancelled, nothing is left of them, and the next request is served at once.
func TestOnLoopFullTurnIsCancelled(t *testing.T) {
	b := attach(t, Config{ResponseMax: turnBytes + 1}.OnLoop(Func(func(w *Response, r *Request) { w.Write(make([]byte, turnBytes+1)) })))
	var first, second *fakeConn
	b.turn(func() {
		first = &fakeConn{t: t, l: b.fakeLoop, takes: -1}
		second = &fakeConn{t: t, l: b.fakeLoop, takes: -1}
		for _, c := range []*fakeConn{first, second} {
			if err := b.startIn(c, get, "", false); err != nil {
				t.Fatal(err)
			}
		}
	})
	second.cancel()
	b.turn(nil)
	lb := b.lb.(*onLoopBackend)
	if lb.bytes != nil || lb.waiting != nil || lb.most != lb.bodyMax || lb.frees != 2 {
		t.Errorf("left: %d bytes, %d that wait, bodies up to %d; %d exchanges free", len(lb.bytes), len(lb.waiting), lb.most, lb.frees)
	}
	if first.outcome() != "keep" || len(first.out) <= turnBytes || second.offers != 0 {
		t.Errorf("%s with %d bytes, and %d offers", first.outcome(), len(first.out), second.offers)
	}
}
