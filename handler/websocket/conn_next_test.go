package websocket

import (
	"bytes"
	"compress/flate"
	"slices"
	"strings"
	"testing"

	"moonbridge/handler/websocket/wstest"
)

// taker is a Handler that takes all that it can get, and notes how much came in each call.
type taker struct {
	events
	most  int
	calls []int
}

func (e *taker) Message(c *Conn, kind Kind, data []byte) {
	e.events.Message(c, kind, data)
	n := 1
	for ; ; n++ {
		kind, data, ok := c.Next(e.most)
		if !ok {
			break
		}
		e.events.Message(c, kind, data)
	}
	e.calls = append(e.calls, n)
	c.Hold()
	if c.More() {
		e.list = append(e.list, event{what: "more after Hold"})
	}
}

func textFrame(s string) []byte {
	return frames(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.Text, Payload: []byte(s)})
}

// deflated is a text that is compressed.
func deflated(s string) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed)
	w.Write([]byte(s))
	w.Flush()
	return frames(wstest.Frame{Bits: wstest.Fin | wstest.RSV1, Opcode: wstest.Text, Payload: bytes.TrimSuffix(b.Bytes(), []byte(syncMarker))})
}

// Next takes whole messages that have arrived, and leaves everything else to its turn.
func TestNext(t *testing.T) {
	ping := frames(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.Ping, Payload: []byte("p")})
	first, second := frames(wstest.Frame{Opcode: wstest.Text, Payload: []byte("fr")}), frames(wstest.Frame{Bits: wstest.Fin, Payload: []byte("ag")})
	for _, tt := range []struct {
		name     string
		in       [][]byte
		messages string // all of them
		calls    []int
		code     int // of the end; 0: none
	}{
		{"one", [][]byte{textFrame("a")}, "a ", []int{1}, 0},
		{"several", [][]byte{textFrame("a"), binaryFrame("b"), textFrame("")}, "a b  ", []int{3}, 0},
		{"a part of the last one", [][]byte{textFrame("a"), textFrame("b"), textFrame("c")[:6]}, "a b ", []int{2}, 0},
		{"a ping", [][]byte{textFrame("a"), ping, textFrame("b"), textFrame("c")}, "a b c ", []int{1, 2}, 0},
		{"fragments", [][]byte{textFrame("a"), first, second, textFrame("b"), textFrame("c")}, "a frag b c ", []int{1, 3}, 0},
		{"one that is large", [][]byte{textFrame("a"), textFrame(strings.Repeat("x", 51)), textFrame("b")}, "a " + strings.Repeat("x", 51) + " b ", []int{1, 2}, 0},
		{"a close frame", [][]byte{textFrame("a"), textFrame("b"), closing(1000)}, "a b ", []int{2}, 1000},
		{"a text that is not valid", [][]byte{textFrame("a"), textFrame("b"), textFrame("c\xff"), textFrame("d")}, "a b ", []int{2}, CodeInvalidPayload},
		{"a broken frame", [][]byte{textFrame("a"), textFrame("b"), second}, "a b ", []int{2}, CodeProtocolError},
		{"no mask", [][]byte{textFrame("a"), []byte("\x81\x01b")}, "a ", []int{1}, CodeProtocolError},
		{"a length that is not in its shortest form", [][]byte{textFrame("a"), []byte("\x81\xfe\x00\x01mask!")}, "a ", []int{1}, CodeProtocolError},
		{"one that is too large", [][]byte{textFrame("a"), textFrame(strings.Repeat("x", 101))}, "a ", []int{1}, CodeTooLarge},
	} {
		h := &taker{most: 50}
		raw, c := opened(New(Options{MaxMessage: 100}), h)
		raw.receive(c, slices.Concat(tt.in...))
		for range tt.calls {
			c.Release()
			raw.loop.turn()
		}
		if got := h.messages(); got != tt.messages || !slices.Equal(h.calls, tt.calls) {
			t.Errorf("%s: %q in calls of %v, want %q in %v", tt.name, got, h.calls, tt.messages, tt.calls)
		}
		if last := h.list[len(h.list)-1]; last.code != tt.code {
			t.Errorf("%s: at the end %v, want code %d", tt.name, last, tt.code)
		}
	}
}

// Compressed messages come too, unless they refer to earlier ones, and one that is broken fails in its turn.
func TestNextCompressed(t *testing.T) {
	long := strings.Repeat("long ", 30)
	for _, takeover := range []bool{false, true} {
		h := &taker{most: 100}
		raw, c := opened(New(Options{Compression: &Compression{Takeover: takeover}}), h)
		c.packed = true
		if takeover {
			c.in.window = &window{bits: windowBitsMax}
		}
		broken := frames(wstest.Frame{Bits: wstest.Fin | wstest.RSV1, Opcode: wstest.Text, Payload: []byte("\xff\xff\xff")})
		raw.receive(c, slices.Concat(deflated("a"), deflated("b"), textFrame("c"), deflated(long), deflated("d"), broken))
		for range 10 {
			c.Release()
			raw.loop.turn()
		}
		want, last := []int{3, 2}, h.list[len(h.list)-1]
		if takeover {
			want = []int{1, 2, 1, 1}
		}
		if got := h.messages(); got != "a b c "+long+" d " || !slices.Equal(h.calls, want) || last.code != CodeInvalidPayload {
			t.Errorf("takeover %v: %.40q in calls of %v; at the end %v", takeover, got, h.calls, last)
		}
	}
}

// With a rate, messages come one by one; and outside of Message there is none.
func TestNextNone(t *testing.T) {
	h := &taker{most: 50}
	raw, c := opened(New(Options{Rate: 1000, Burst: 10}), h)
	raw.receive(c, textFrame("a"), textFrame("b"))
	if _, _, ok := c.Next(50); ok || !slices.Equal(h.calls, []int{1}) || c.More() {
		t.Errorf("messages came in calls of %v, and outside: %v", h.calls, ok)
	}
}

// What is sent between Cork and Uncork is one write, in its order, with a close frame at its end.
func TestCork(t *testing.T) {
	raw, c := opened(New(Options{}), &events{})
	c.Cork()
	c.Send(Text, []byte("a"))
	c.SendFrames(AppendFrame(nil, Text, []byte("b")))
	c.Close(1000, "")
	if raw.writes != 0 {
		t.Errorf("%d writes before Uncork", raw.writes)
	}
	c.Uncork()
	if raw.writes != 1 || string(raw.sent) != "\x81\x01a\x81\x01b\x88\x02\x03\xe8" {
		t.Errorf("%d writes: %q", raw.writes, raw.sent)
	}
	raw, c = opened(New(Options{}), &events{})
	c.Cork()
	large := strings.Repeat("x", corkMax+1)
	c.Send(Text, []byte("a"))
	c.Send(Text, []byte(large))
	c.Send(Text, []byte("b"))
	c.Uncork()
	c.Send(Text, []byte("c"))
	if want := "\x81\x01a\x81\x7e\x40\x01" + large + "\x81\x01b\x81\x01c"; raw.writes != 4 || string(raw.sent) != want {
		t.Errorf("%d writes, %d bytes", raw.writes, len(raw.sent))
	}
}
