package engine

import (
	"strings"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// The backend gets the trailer section before the end of the body, in whatever pieces it arrives.
func TestTrailerDialogue(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, section := range []string{"A: 1\r\nB: 2\r\n\r\n", "A: " + strings.Repeat("x", 8000) + "\r\n\r\n", "\r\n"} {
		want := section
		if section == "\r\n" {
			want = "" // BodyTrailer is not called
		}
		for _, size := range []int{1, 2, 3, 5, 1000, 100_000} {
			d := newDialogue(t, Limits{})
			d.handler.window = 100
			d.peer.says(head)
			for rest := "1\r\nx\r\n0\r\n" + section; rest != ""; {
				n := min(size, len(rest))
				d.peer.says(rest[:n])
				rest = rest[n:]
			}
			if h := d.handler; !h.complete || string(h.body) != "x" || h.trailer != want {
				t.Errorf("pieces of %d: complete %v, body %q, trailer %q, want %q", size, h.complete, h.body, h.trailer, want)
			}
			d.handler.answers("thanks")
			d.peer.hears(200, "thanks")
			d.is(stateIdle)
			if d.c.exchange.extras != nil {
				t.Error("the trailer section is kept after the exchange")
			}
		}
	}
}

// A trailer section that is malformed or too large is a bad body; the backend does not get it.
func TestBadTrailer(t *testing.T) {
	for _, section := range []string{"A: 1\r\nB 2\r\n\r\n", "A: " + strings.Repeat("x", 8192) + "\r\n\r\n"} {
		d := newDialogue(t, Limits{})
		d.handler.window = 100
		d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + section)
		if h := d.handler; h.complete || h.aborts == "" || h.trailer != "" {
			t.Errorf("complete %v, aborts %q, trailer %q", h.complete, h.aborts, h.trailer)
		}
	}
}

// The byte that makes a trailer section malformed may be the first of a read.
func TestBadTrailerInPieces(t *testing.T) {
	for _, spooled := range []bool{false, true} {
		d := newDialogue(t, Limits{SpoolBody: spooled})
		d.handler.window = 100
		d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
		for _, piece := range []string{"1\r\nx\r\n0\r\n", "A: 1\r\n", " "} {
			d.peer.says(piece)
		}
		if h := d.handler; h.complete || h.trailer != "" {
			t.Errorf("complete %v, trailer %q", h.complete, h.trailer)
		}
	}
}

// untrailered is a Running without BodyTrailer.
type untrailered struct{ backend.Running }

type untrailering struct{ *scriptedHandler }

func (h untrailering) Start(x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	running, err := h.scriptedHandler.Start(x, head, listener, body, more)
	return untrailered{running}, err
}

func TestTrailerIsDropped(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.handler.window = 100
	d.c.service.backend = untrailering{d.handler}
	d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\n\r\n")
	if !d.handler.complete || d.c.exchange.extras != nil {
		t.Errorf("complete %v, extras %v", d.handler.complete, d.c.exchange.extras)
	}
	d.handler.answers("thanks")
	d.peer.hears(200, "thanks")
}
