package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// Of responses that wait, urgent ones are sent first, then in the order of the requests, and then by turns.
func TestH2Priorities(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{OutputBytes: 1 << 20}, &testBackend{})
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	p.get(1, "/big/64000") // uses up the window of the connection
	for n := 0; n < 64000; {
		n += len(until(p, func(f *http2.DataFrame) bool { return true }).Data())
	}
	p.get(3, "/big/48000", "priority", "u=5")
	p.get(5, "/big/48000", "priority", "i")
	p.get(7, "/big/48000", "priority", "i, u=3;x")
	p.get(9, "/big/48000", "priority", "u=3")
	p.get(11, "/big/48000", "priority", "u=1")
	p.get(13, "/big/48000", "priority", "u=7")
	update := append([]byte{0, 0, 0, 13}, "u=0"...)
	p.WriteRawFrame(16, 0, 0, update)
	for heads := 0; heads < 6; {
		f := p.next()
		if f, ok := f.(*http2.HeadersFrame); ok {
			p.decode(f)
			heads++
		}
	}
	p.WritePing(false, [8]byte{1})
	order, ended := []uint32{}, 0
	collect := func(f http2.Frame) {
		if f, ok := f.(*http2.DataFrame); ok {
			order = append(order, f.StreamID)
			if f.StreamEnded() {
				ended++
			}
		}
	}
	for {
		f := p.next()
		collect(f)
		if f, ok := f.(*http2.PingFrame); ok && f.IsAck() {
			break
		}
	}
	order = nil // what was left of the window
	p.WriteWindowUpdate(0, 1<<20)
	for ended < 6 {
		f := p.next()
		collect(f)
	}
	text := strings.Trim(fmt.Sprint(slices.Compact(order)), "[]")
	if text != "13 11 9 5 7 5 7 5 7 3" && text != "13 11 9 5 7 5 7 5 7 5 7 3" {
		t.Errorf("sent in the order %s", text)
	}
}

// The priority of a request may come before it, and goes before its field. How many are kept is bounded.
func TestH2PriorityBeforeRequest(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{OutputBytes: 1 << 20}, &testBackend{})
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	p.get(1, "/big/65535") // uses up the window of the connection
	for ended := false; !ended; {
		ended = until(p, func(f *http2.DataFrame) bool { return true }).StreamEnded()
	}
	update := func(id byte, value string) { p.WriteRawFrame(16, 0, 0, append([]byte{0, 0, 0, id}, value...)) }
	update(1, "u=0") // it is over
	update(7, "u=6")
	update(7, "u=0")
	update(5, "u=1")
	update(9, "u=7")
	for id := byte(11); id < 11+2*h2OrdersKept; id += 2 { // too many
		update(id, "u=2")
	}
	p.get(3, "/big/1000")
	p.get(7, "/big/1000", "priority", "u=7") // with it, 5 is over
	p.get(9, "/big/1000", "priority", "u=1")
	p.get(11, "/big/1000", "priority", "u=5")
	last := uint32(11 + 2*h2OrdersKept - 2)
	p.get(last, "/big/1000", "priority", "u=6")
	for range 5 {
		p.decode(until(p, func(f *http2.HeadersFrame) bool { return true }))
	}
	e.onEveryLoop(func(l *loop) error {
		if n := len(l.h2.conns.First().orders); n != 0 {
			t.Errorf("%d priorities are kept", n)
		}
		return nil
	})
	p.WriteWindowUpdate(0, 1<<20)
	var order []uint32
	for len(order) < 5 {
		if f := until(p, func(f *http2.DataFrame) bool { return true }); f.StreamEnded() {
			order = append(order, f.StreamID)
		}
	}
	if want := []uint32{7, 11, 3, last, 9}; !slices.Equal(order, want) {
		t.Errorf("sent in the order %d, want %d", order, want)
	}
}

func TestParseH2Order(t *testing.T) {
	for text, want := range map[string]h2Order{
		"": {3, false}, "u=0": {0, false}, "i": {3, true}, "u=7, i": {7, true}, "i=?0,u=1": {1, false}, "i=?1": {3, true},
		"u=8": {3, false}, "u=12": {3, false}, "u": {3, false}, "x, u=2;a=b": {2, false}, "u=2,u=4": {4, false}, ",,=": {3, false},
	} {
		if got := parseH2Order(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}
