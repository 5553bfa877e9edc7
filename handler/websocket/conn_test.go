package websocket

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/websocket/wstest"
)

func binaryFrame(s string) []byte {
	return frames(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.Binary, Payload: []byte(s)})
}

func closing(code int) []byte {
	return frames(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.CloseFrame, Payload: wstest.ClosePayload(code, "")})
}

// messages are the texts of the messages in a list of events.
func (e *events) messages() (s string) {
	for _, one := range e.list {
		if one.what == "message" {
			s += one.data + " "
		}
	}
	return s
}

// While a Handler holds, pings are answered up to the next message or close frame, and nothing else happens.
func TestHold(t *testing.T) {
	h := &events{message: func(c *Conn, _ Kind, _ []byte) { c.Hold() }}
	raw, c := opened(New(Options{}), h)
	raw.receive(c, binaryFrame("one"), frames(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.Ping, Payload: []byte("p")}), binaryFrame("two"), closing(1000))
	if got := h.messages(); got != "one " || string(raw.sent) != "\x8a\x01p" {
		t.Fatalf("while it holds: %q, %q", got, raw.sent)
	}
	c.Release()
	raw.loop.turn()
	if got := h.messages(); got != "one two " || raw.closed {
		t.Fatalf("after Release: %q, closed %v", got, raw.closed)
	}
	c.Release()
	raw.loop.turn()
	if last := h.list[len(h.list)-1]; last.what != "close" || last.code != 1000 || !raw.closed {
		t.Errorf("at the end: %v", last)
	}
}

// With engine.Options.Check, a message that is kept after Message has returned shows bytes that were never there.
func TestKeptMessage(t *testing.T) {
	for _, check := range []bool{false, true} {
		var kept [][]byte
		h := &events{message: func(_ *Conn, _ Kind, data []byte) { kept = append(kept, data) }}
		raw := &fakeConn{loop: &fakeLoop{now: 1, check: check}}
		c := &Conn{e: New(Options{Compression: &Compression{}}), handler: h, maxMessage: 1000}
		c.Open(raw)
		c.packed = true
		whole := binaryFrame("one")
		raw.receive(c, whole[:7], whole[7:], whole, deflated("one"))
		if got := h.messages(); got != "one one one " {
			t.Fatalf("%q", got)
		}
		for i, data := range kept {
			if stale := string(data) != "one"; stale != check {
				t.Errorf("with Check %v, message %d that was kept is %q", check, i, data)
			}
		}
		c.Closed(raw, nil)
	}
}

// A message that arrives in pieces waits for Release too.
func TestHoldPieces(t *testing.T) {
	h := &events{}
	raw, c := opened(New(Options{}), h)
	b := binaryFrame("slow")
	raw.receive(c, b[:8])
	c.Hold()
	raw.receive(c, b[8:])
	if got := h.messages(); got != "" {
		t.Errorf("while it holds: %q", got)
	}
	c.Release()
	raw.loop.turn()
	if got := h.messages(); got != "slow " {
		t.Errorf("after Release: %q", got)
	}
}

// While the peer takes nothing, nothing is taken from it.
func TestFull(t *testing.T) {
	h := &events{}
	raw, c := opened(New(Options{}), h)
	raw.full = true
	raw.receive(c, binaryFrame("one"))
	if got := h.messages(); got != "" {
		t.Errorf("a message of a peer that takes nothing: %q", got)
	}
	raw.full = false
	c.Room(raw)
	if got := h.messages(); got != "one " {
		t.Errorf("after Room: %q", got)
	}
}

// A peer for which too much waits is closed with 1013. A single message may be of any size.
func TestBehind(t *testing.T) {
	h := &events{}
	raw, c := opened(New(Options{MaxHeld: 1000}), h)
	if err := c.Send(Binary, make([]byte, 5000)); err != nil {
		t.Error(err)
	}
	raw.held, raw.sent = 250, nil // a quarter: messages of the peer are passed on, and may be answered
	if err := c.Send(Binary, make([]byte, 5000)); err != nil {
		t.Error(err)
	}
	raw.held, raw.sent = 251, nil
	if err := c.Send(Binary, make([]byte, 749)); err != nil {
		t.Error(err)
	}
	raw.held, raw.sent = 900, nil
	if err := c.Send(Binary, make([]byte, 100)); err != nil {
		t.Error(err)
	}
	raw.sent = nil
	if err := c.Send(Binary, make([]byte, 101)); !errors.Is(err, ErrBehind) || string(raw.sent) != "\x88\x02\x03\xf5" {
		t.Errorf("%v, %q", err, raw.sent)
	}
	if err := c.Send(Binary, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after that: %v", err)
	}
	if err := c.Send(Text, []byte("\xff")); !errors.Is(err, ErrClosed) {
		t.Errorf("after that: %v", err)
	}
	c.Closed(raw, nil)
	if last := h.list[len(h.list)-1]; last.code != CodeTryLater {
		t.Errorf("%v", last)
	}
}

func TestSendChecksText(t *testing.T) {
	raw, c := opened(New(Options{}), &events{})
	if err := c.Send(Text, []byte("\xc3")); !errors.Is(err, ErrText) || len(raw.sent) > 0 {
		t.Errorf("%v, %q", err, raw.sent)
	}
}

// Of more messages than the rate allows, the further ones come when their time has come, in their order.
func TestRate(t *testing.T) {
	h := &events{}
	raw, c := opened(New(Options{Rate: 10, Burst: 2}), h)
	raw.receive(c, slices.Concat(binaryFrame("1"), binaryFrame("2"), binaryFrame("3"), binaryFrame("4")))
	for i, want := range []string{"1 2 ", "1 2 ", "1 2 3 ", "1 2 3 4 "} {
		if got := h.messages(); got != want {
			t.Errorf("after %d × 60 ms: %q, want %q", i, got, want)
		}
		raw.loop.pass(60 * time.Millisecond)
		if i == 2 {
			raw.loop.pass(40 * time.Millisecond)
		}
	}
	// It ends while a message waits: nothing is called any more.
	raw.receive(c, slices.Concat(binaryFrame("5"), binaryFrame("6"), binaryFrame("7"), binaryFrame("8")))
	c.Closed(raw, nil)
	got := h.messages()
	raw.loop.pass(time.Minute)
	if h.messages() != got {
		t.Error("a message after the end")
	}
}

// How many of ten messages come at once, and which time the others take. An Answer counts more than the options.
func TestRates(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		a    Answer
		once int
		then time.Duration
	}{
		{Options{}, Answer{}, 10, 0},
		{Options{Rate: 4}, Answer{}, 4, 1500 * time.Millisecond},
		{Options{Rate: 0.5}, Answer{}, 1, 18 * time.Second},
		{Options{Rate: 2, Burst: 6}, Answer{}, 6, 2 * time.Second},
		{Options{}, Answer{Rate: 10, Burst: 5}, 5, 500 * time.Millisecond},
		{Options{Rate: 2, Burst: 6}, Answer{Rate: 3}, 3, 2333 * time.Millisecond},
		{Options{Rate: -1}, Answer{Rate: math.NaN()}, 10, 0},
		{Options{Rate: 1e-300}, Answer{}, 1, -1}, // years
		{Options{Rate: 1e-300, Burst: math.MaxInt}, Answer{}, 10, 0},
		{Options{Rate: 1e300}, Answer{}, 10, 0},
	} {
		h := &events{}
		raw, c := answered(New(tt.o), h, tt.a)
		var all []byte
		for range 10 {
			all = append(all, binaryFrame("x")...)
		}
		raw.receive(c, all)
		count := func() int { return strings.Count(h.messages(), "x") }
		if n := count(); n != tt.once {
			t.Errorf("%+v, %+v: %d messages at once, want %d", tt.o, tt.a, n, tt.once)
		}
		if tt.then < 0 {
			continue
		}
		raw.loop.pass(tt.then - time.Millisecond)
		if n := count(); tt.then > 0 && n != 9 {
			t.Errorf("%+v, %+v: %d messages in %v", tt.o, tt.a, n, tt.then)
		}
		raw.loop.pass(2 * time.Millisecond)
		if n := count(); n != 10 {
			t.Errorf("%+v, %+v: %d messages in the end", tt.o, tt.a, n)
		}
	}
}

// A silent peer is sent a ping. Whatever it sends then keeps the connection; nothing at all ends it.
func TestPing(t *testing.T) {
	h := &events{}
	raw, c := opened(New(Options{Ping: 10 * time.Second, Pong: 5 * time.Second}), h)
	raw.loop.pass(8 * time.Second)
	raw.receive(c, binaryFrame("x"))
	raw.loop.pass(9 * time.Second)
	if len(raw.sent) > 0 {
		t.Errorf("%q to a peer that was not silent", raw.sent)
	}
	raw.loop.pass(2 * time.Second)
	if string(raw.sent) != "\x89\x00" {
		t.Errorf("%q, want a ping", raw.sent)
	}
	raw.receive(c, frames(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.Pong}))
	raw.loop.pass(12 * time.Second)
	if string(raw.sent) != "\x89\x00\x89\x00" || raw.closed {
		t.Errorf("%q, closed %v", raw.sent, raw.closed)
	}
	raw.loop.pass(6 * time.Second)
	if last := h.list[len(h.list)-1]; !raw.resets || last.what != "close" || last.code != CodeAbnormal {
		t.Errorf("a peer that does not answer: %v, reset %v", last, raw.resets)
	}
	c.Closed(raw, nil)
	if n := len(h.list); n != 3 {
		t.Errorf("%d events: %v", n, h.list)
	}
}

// A message that waits for its Handler is no silence.
func TestPingWhileHeld(t *testing.T) {
	h := &events{message: func(c *Conn, _ Kind, _ []byte) { c.Hold() }}
	raw, c := opened(New(Options{Ping: time.Second, Pong: time.Second}), h)
	raw.receive(c, slices.Concat(binaryFrame("1"), binaryFrame("2")))
	raw.loop.pass(time.Minute)
	if raw.closed || len(raw.sent) > 0 {
		t.Errorf("closed %v, sent %q", raw.closed, raw.sent)
	}
	c.Closed(raw, nil)
}

// The first byte of a frame that does not go on is silence too, once a ping has been sent.
func TestPingWithinHeader(t *testing.T) {
	h := &events{}
	raw, c := opened(New(Options{Ping: 10 * time.Second, Pong: 5 * time.Second}), h)
	raw.receive(c, binaryFrame("x")[:1])
	raw.loop.pass(14 * time.Second)
	if string(raw.sent) != "\x89\x00" || raw.closed {
		t.Fatalf("%q was sent, closed %v", raw.sent, raw.closed)
	}
	raw.loop.pass(2 * time.Second)
	if !raw.resets {
		t.Error("a peer that has sent a byte and nothing since is not reset")
	}
	c.Closed(raw, nil)
}

// A peer that does not take what is sent to it has to take something. A slow one is not reset, whether or not an answer to a ping can be
// expected of it.
func TestStuck(t *testing.T) {
	for _, full := range []bool{true, false} {
		h := &events{}
		raw, c := opened(New(Options{Ping: 10 * time.Second, Pong: 5 * time.Second}), h)
		raw.full, raw.held = full, 1000
		for range 10 {
			raw.taken++
			raw.loop.pass(5 * time.Second)
		}
		if raw.closed || full && len(raw.sent) > 0 {
			t.Errorf("full %v: a slow peer: closed %v, sent %q", full, raw.closed, raw.sent)
		}
		raw.loop.pass(21 * time.Second)
		if last := h.list[len(h.list)-1]; !raw.resets || last.code != CodeAbnormal {
			t.Errorf("full %v: a peer that takes nothing: reset %v, %v", full, raw.resets, last)
		}
		c.Closed(raw, nil)
	}
}

// A message that has arrived in part takes of the Budget, which its end, and that of the connection, give back.
func TestBudget(t *testing.T) {
	budget := NewBudget(1000)
	e := New(Options{Budget: budget, MaxMessage: 900})
	part := func(n int) []byte { return frames(wstest.Frame{Opcode: wstest.Binary, Payload: make([]byte, n)}) }
	h := &events{}
	raw, c := opened(e, h)
	raw.receive(c, part(600), frames(wstest.Frame{Opcode: 0, Payload: make([]byte, 100)}))
	if n := budget.Used(); n < 700 || n > 900 {
		t.Errorf("%d bytes are taken for 700", n)
	}
	other := &events{}
	raw2, c2 := opened(e, other)
	raw2.receive(c2, part(600))
	if last := other.list[len(other.list)-1]; last.code != CodeTryLater || string(raw2.sent) != "\x88\x02\x03\xf5" {
		t.Errorf("above the budget: %v, %q", last, raw2.sent)
	}
	raw.receive(c, frames(wstest.Frame{Bits: wstest.Fin, Opcode: 0, Payload: make([]byte, 1)}))
	if n := budget.Used(); n != 0 || len(h.list[1].data) != 701 {
		t.Errorf("after the message: %d bytes are taken, %d bytes received", n, len(h.list[1].data))
	}
	raw.receive(c, part(600))
	c.Close(1000, "")
	if n := budget.Used(); n != 0 {
		t.Errorf("after the end of the connections: %d bytes are taken", n)
	}
	c.Closed(raw, nil)
	c2.Closed(raw2, nil)
}

// A client that allows only a small window does not make the loop compress large messages: each piece costs the time of an encoder.
func TestSmallWindowLargeMessage(t *testing.T) {
	e := New(Options{Compression: &Compression{}})
	raw, c := opened(e, &events{})
	c.compressed(e.deflate.o.agree(deflateParams{serverBits: 8}))
	for n, want := range map[int]bool{8192: true, 8193: false} {
		raw.sent = nil
		c.Send(Binary, make([]byte, n))
		if got := raw.sent[0]&bitCompressed != 0; got != want {
			t.Errorf("%d bytes: compressed %v", n, got)
		}
	}
	c.Closed(raw, nil)
}

func TestClose(t *testing.T) {
	h := &events{}
	raw, c := opened(New(Options{Close: 3 * time.Second}), h)
	c.Close(4001, "done")
	c.Close(4002, "twice")
	if string(raw.sent) != "\x88\x06\x0f\xa1done" || len(h.list) != 1 {
		t.Fatalf("%q, %v", raw.sent, h.list)
	}
	// What comes before the answer is dropped, in whatever pieces.
	raw.receive(c, binaryFrame("late"), slices.Concat(binaryFrame(strings.Repeat("x", 200))[:50]), binaryFrame(strings.Repeat("x", 200))[50:], closing(1000))
	if want := (event{"close", 0, "done", 4001}); h.list[1] != want || len(h.list) != 2 || !raw.closed {
		t.Errorf("%v, closed %v", h.list, raw.closed)
	}
}

// A code that no frame can have is left out, with its reason. The Handler is told what the peer is told.
func TestCloseWithoutCode(t *testing.T) {
	for _, code := range []int{0, 999, 1004, CodeNone, CodeAbnormal, 1015, 2000, 5000} {
		h := &events{}
		raw, c := opened(New(Options{}), h)
		c.Close(code, "dropped")
		raw.receive(c, closing(1000))
		if want := (event{"close", 0, "", CodeNone}); string(raw.sent) != "\x88\x00" || h.list[1] != want {
			t.Errorf("%d: %q, %v", code, raw.sent, h.list)
		}
		c.Closed(raw, nil)
	}
}

// A peer that does not answer a close frame is not waited for. A slow one may first take what was sent before.
func TestCloseLate(t *testing.T) {
	for _, test := range []struct {
		rounds, held int // what it has not taken in the end
	}{{0, 0}, {10, 0}, {10, 500}} {
		h := &events{}
		raw, c := opened(New(Options{Close: 3 * time.Second}), h)
		if test.rounds > 0 {
			raw.held = 1000
		}
		c.Close(4001, "done")
		for range test.rounds {
			raw.taken++
			raw.loop.pass(3 * time.Second)
		}
		raw.taken, raw.held = raw.taken+1, test.held
		raw.loop.pass(2 * time.Second)
		if raw.closed {
			t.Fatalf("%+v: closed too early", test)
		}
		raw.loop.pass(4 * time.Second)
		if last := h.list[len(h.list)-1]; !raw.closed || raw.resets != (test.held > 0) || last.code != 4001 {
			t.Errorf("%+v: closed %v, reset %v, %v", test, raw.closed, raw.resets, last)
		}
		c.Closed(raw, nil)
	}
}

// A peer that ends without a close frame, in the middle of a message or not.
func TestAbnormalEnd(t *testing.T) {
	for _, b := range [][]byte{nil, binaryFrame("cut")[:7], binaryFrame("x")[:1]} {
		h := &events{}
		raw, c := opened(New(Options{}), h)
		raw.receive(c, b)
		raw.ended = true
		raw.receive(c, nil)
		if last := h.list[len(h.list)-1]; last.code != CodeAbnormal || !raw.closed {
			t.Errorf("%q: %v, closed %v", b, last, raw.closed)
		}
	}
}

func TestDrain(t *testing.T) {
	e := New(Options{})
	for _, want := range []string{"\x88\x02\x03\xe9", "\x88\x02\x03\xf4"} {
		raw, c := opened(e, &events{})
		c.Drain(raw)
		if string(raw.sent) != want {
			t.Errorf("%q, want %q", raw.sent, want)
		}
		e.SetDrainCode(CodeRestart)
	}
}

// What the Handler is at can still be answered when the engine drains.
func TestDrainWhileHeld(t *testing.T) {
	h := &events{message: func(c *Conn, _ Kind, _ []byte) { c.Hold() }}
	raw, c := opened(New(Options{}), h)
	raw.receive(c, slices.Concat(binaryFrame("one"), binaryFrame("two")))
	c.Drain(raw)
	c.Send(Binary, []byte("1"))
	c.Release()
	raw.loop.turn()
	if string(raw.sent) != "\x82\x011\x88\x02\x03\xe9" || h.messages() != "one " {
		t.Errorf("%q was sent, messages %q", raw.sent, h.messages())
	}
	c.Closed(raw, nil)
}

// What is sent while input is parsed goes out together.
func TestFramesAreCollected(t *testing.T) {
	raw, c := opened(New(Options{}), echoing{})
	raw.receive(c, slices.Concat(binaryFrame("1"), binaryFrame("2"), binaryFrame("3"), closing(1000)))
	if raw.writes != 1 || string(raw.sent) != "\x82\x011\x82\x012\x82\x013\x88\x02\x03\xe8" {
		t.Errorf("%d writes of %q", raw.writes, raw.sent)
	}
}
