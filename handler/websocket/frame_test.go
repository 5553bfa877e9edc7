package websocket

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"moonbridge/handler/websocket/wstest"
)

func frames(list ...wstest.Frame) (b []byte) {
	for _, f := range list {
		b = f.Append(b)
	}
	return b
}

// dialogues are what a peer may send. Each ends with a close frame or an error of the peer.
func dialogues() map[string][]byte {
	end := wstest.Frame{Bits: wstest.Fin, Opcode: wstest.CloseFrame, Payload: wstest.ClosePayload(4321, "bye")}
	text := func(bits, opcode byte, s string) wstest.Frame {
		return wstest.Frame{Bits: bits, Opcode: opcode, Payload: []byte(s)}
	}
	return map[string][]byte{
		"messages": frames(text(wstest.Fin, wstest.Text, "héllo"), text(wstest.Fin, wstest.Binary, "\xff"), text(wstest.Fin, wstest.Text, ""), end),
		"fragments": frames(text(0, wstest.Text, "h\xc3"), text(wstest.Fin, wstest.Ping, "p"), text(0, 0, "\xa9llo"), text(0, 0, ""),
			text(wstest.Fin, 0, "!"), end),
		"long":        frames(text(wstest.Fin, wstest.Binary, strings.Repeat("x", 300)), text(wstest.Fin, wstest.Pong, ""), end),
		"wrong text":  frames(text(0, wstest.Text, "abc\xf4"), text(wstest.Fin, 0, "\x90abc")),
		"cut text":    frames(text(wstest.Fin, wstest.Text, "abc\xe2\x82")),
		"wrong order": frames(text(0, wstest.Text, "abc"), text(wstest.Fin, wstest.Text, "x")),
		"too large":   frames(text(0, wstest.Binary, strings.Repeat("x", 400)), text(wstest.Fin, 0, strings.Repeat("x", 400))),
		"wrong close": frames(text(wstest.Fin, wstest.Binary, "x"), text(wstest.Fin, wstest.CloseFrame, "x")),
		"long length": {0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 0},
		"no mask":     {0x82, 1, 'x'},
	}
}

// Whatever way a peer's bytes are cut into pieces, the Handler is told the same.
func TestCuts(t *testing.T) {
	for name, b := range dialogues() {
		run := func(pieces ...[]byte) ([]event, string) {
			h := &events{message: echoBack}
			raw, c := opened(New(Options{MaxMessage: 700}), h)
			raw.receive(c, pieces...)
			return h.list, string(raw.sent)
		}
		want, sent := run(b)
		if last := want[len(want)-1]; last.what != "close" {
			t.Errorf("%s: ends with %v", name, last)
		}
		for i := range b {
			if got, out := run(b[:i], b[i:]); !slices.Equal(got, want) || out != sent {
				t.Fatalf("%s, cut at %d: %v, want %v", name, i, got, want)
			}
		}
		if got, out := run(slices.Collect(slices.Chunk(b, 1))...); !slices.Equal(got, want) || out != sent {
			t.Errorf("%s, byte by byte: %v, want %v", name, got, want)
		}
	}
}

func echoBack(c *Conn, kind Kind, data []byte) { c.Send(kind, data) }

func TestDialogues(t *testing.T) {
	for name, want := range map[string][]event{
		"messages":    {{"message", Text, "héllo", 0}, {"message", Binary, "\xff", 0}, {"message", Text, "", 0}, {"close", 0, "bye", 4321}},
		"fragments":   {{"message", Text, "héllo!", 0}, {"close", 0, "bye", 4321}},
		"wrong text":  {{"close", 0, "", CodeInvalidPayload}},
		"cut text":    {{"close", 0, "", CodeInvalidPayload}},
		"wrong order": {{"close", 0, "message within another one", CodeProtocolError}},
		"too large":   {{"close", 0, "", CodeTooLarge}},
		"wrong close": {{"message", Binary, "x", 0}, {"close", 0, "close frame", CodeProtocolError}},
		"long length": {{"close", 0, "length of a frame", CodeProtocolError}},
		"no mask":     {{"close", 0, "frame without mask", CodeProtocolError}},
	} {
		h := &events{}
		raw, c := opened(New(Options{MaxMessage: 700}), h)
		raw.receive(c, dialogues()[name])
		if got := h.list[1:]; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if !raw.closed {
			t.Errorf("%s: the connection is open", name)
		}
	}
}

func TestUnmask(t *testing.T) {
	mask := [4]byte{1, 2, 3, 200}
	for n := range 100 {
		for at := range uint64(9) {
			b := bytes.Repeat([]byte{7}, n)
			unmask(b, mask, at)
			for i, c := range b {
				if c != 7^mask[(at+uint64(i))&3] {
					t.Fatalf("%d bytes at %d: byte %d", n, at, i)
				}
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, math.MaxInt} {
		b := appendHeader(nil, bitFin|byte(Binary), n)
		for cut := range b {
			if _, size, valid := parseHeader(b[:cut]); size != 0 || !valid {
				t.Errorf("%d of %d bytes of the header for %d: size %d", cut, len(b), n, size)
			}
		}
		h, size, valid := parseHeader(b)
		if size != len(b) || !valid || h.length != uint64(n) || !h.fin || h.opcode != 2 || h.masked {
			t.Errorf("%d: %+v, %d, %v", n, h, size, valid)
		}
	}
}

// FuzzText: a text in pieces is valid if it is valid as a whole, and is refused no later than that.
func FuzzText(f *testing.F) {
	f.Add([]byte("héllo€\U0001F600"), 2)
	f.Add([]byte("\xf4\x90\x80\x80"), 1)
	f.Add([]byte("\xed\xa0\x80"), 3)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		var check textCheck
		valid := true
		for piece := range slices.Chunk(text, min(max(size, 1), 64)) {
			if valid = check.add(piece); !valid {
				break
			}
		}
		if got := valid && check.end(); got != utf8.Valid(text) {
			t.Errorf("%q in pieces of %d: %v", text, size, got)
		}
	})
}

// FuzzFrames: whatever arrives, in whatever pieces, the Handler is told the same, and what it is told is sound.
func FuzzFrames(f *testing.F) {
	for _, b := range dialogues() {
		f.Add(b, uint8(3), false)
	}
	f.Add(frames(wstest.Frame{Bits: wstest.Fin | wstest.RSV1, Opcode: wstest.Text, Payload: []byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 7, 0}}), uint8(0), true)
	f.Add(frames(wstest.Frame{Bits: wstest.Fin | wstest.RSV1, Opcode: wstest.Text, Payload: []byte{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0}}), uint8(1), true)
	f.Fuzz(func(t *testing.T, b []byte, cut uint8, packed bool) {
		run := func(pieces ...[]byte) []event {
			h := &events{message: echoBack}
			e := New(Options{MaxMessage: 700, Compression: &Compression{Takeover: true, Min: 1}})
			raw, c := opened(e, h)
			if packed {
				c.compressed(e.deflate.o.agree(deflateParams{clientBitsAllowed: true}))
			}
			raw.receive(c, pieces...)
			c.Closed(raw, nil)
			return h.list
		}
		whole := run(b)
		at := min(int(cut), len(b))
		if pieces := run(b[:at], b[at:]); !slices.Equal(pieces, whole) {
			t.Errorf("cut at %d: %v, whole: %v", at, pieces, whole)
		}
		for i, e := range whole {
			if last := i == len(whole)-1; last != (e.what == "close") || len(e.data) > 700 || e.kind == Text && !utf8.ValidString(e.data) {
				t.Errorf("event %d: %v", i, e)
			}
		}
	})
}

func TestCloseFrames(t *testing.T) {
	long := strings.Repeat("é", 100)
	for _, tt := range []struct {
		code   int
		reason string
		want   string
	}{
		{1000, "", "\x88\x02\x03\xe8"},
		{4000, "why", "\x88\x05\x0f\xa0why"},
		{CodeNone, "dropped", "\x88\x00"},
		{CodeAbnormal, "", "\x88\x00"},
		{1000, "\xff", "\x88\x02\x03\xe8"},
		{1000, long, "\x88\x7c\x03\xe8" + long[:122]},
	} {
		if got := string(appendClose(nil, tt.code, tt.reason)); got != tt.want {
			t.Errorf("%d, %q: %q", tt.code, tt.reason, got)
		}
	}
}

func TestCountFrames(t *testing.T) {
	b := AppendFrame(AppendFrame(AppendFrame(nil, Text, []byte("x")), Binary, make([]byte, 70_000)), Text, nil)
	for cut, want := range map[int]uint64{0: 0, 2: 0, 3: 1, 100: 1, len(b) - 2: 2, len(b): 3} {
		if got := countFrames(b[:cut]); got != want {
			t.Errorf("%d bytes: %d frames, want %d", cut, got, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	message := frames(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.Text, Payload: []byte("hello, world")})
	raw, c := opened(New(Options{}), echoing{})
	input := make([]byte, len(message))
	if n := testing.AllocsPerRun(100, func() {
		copy(input, message)
		raw.unread, raw.sent = input, raw.sent[:0]
		c.Data(raw)
	}); n != 0 {
		t.Errorf("%v allocations for a message and its echo", n)
	}
	if fmt.Sprint(len(raw.sent)) != "14" {
		t.Errorf("%q was sent", raw.sent)
	}
}
