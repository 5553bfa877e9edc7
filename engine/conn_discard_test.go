package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// uploadOf is the head of a request with a body of n bytes.
func uploadOf(n int) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", n)
}

const discardMax = backend.BodyDiscardMax

// A handler answers before the end of the body. The rest is thrown away if it is small, and the next request is served. Otherwise the
// connection ends: the rest would be taken for a request.
func TestAnswerBeforeBody(t *testing.T) {
	const seen = 90_000 // bytes that arrive before the response
	for _, c := range []struct {
		missing int
		keeps   bool
	}{{1, true}, {discardMax, true}, {discardMax + 1, false}, {10 << 20, false}} {
		t.Run(fmt.Sprint(c.missing), func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.handler.window = seen
			d.peer.says(uploadOf(seen + c.missing))
			d.handler.gets("POST / ...")
			d.peer.says(strings.Repeat("x", seen))
			d.handler.answers("I know enough")
			d.peer.hears(200, "")
			if !c.keeps {
				d.peer.hearsEnd()
				return
			}
			d.is(stateDiscarding)
			d.peer.says(strings.Repeat("x", c.missing-1))
			d.is(stateDiscarding)
			d.peer.says("x" + get("/next"))
			d.handler.gets("GET /next")
			d.handler.answers("next")
			d.peer.hears(200, "next")
			d.is(stateIdle)
		})
	}
}

// The length of a chunked body is not known: it is thrown away up to the bound.
func TestAnswerBeforeChunkedBody(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 100_000, strings.Repeat("x", 100_000))
	for _, c := range []struct {
		name, rest string
		keeps      bool
	}{
		{"small", chunk + chunk + "0\r\nA: b\r\n\r\n", true},
		{"larger than a body of known length may be", strings.Repeat(chunk, 2*discardMax/100_000) + "0\r\n\r\n", true},
		{"large", strings.Repeat(chunk, chunkedDiscardMax/100_000+1), false},
		{"malformed", "zz\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.peer.says(head)
			d.handler.gets("POST / ...")
			d.handler.answers("I know enough")
			d.peer.hears(200, "")
			d.peer.says(c.rest)
			if !c.keeps {
				d.peer.hearsEnd()
				return
			}
			d.is(stateIdle)
			d.peer.says(get("/next"))
			d.handler.gets("GET /next")
		})
	}
}

// A peer that reads its response only after it has sent its body: the body is read while the response waits.
func TestDiscardWhileWriting(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.room = 10
	d.peer.says(uploadOf(100_000))
	d.handler.gets("POST / ...")
	d.handler.answers("I know enough")
	d.is(stateWriting)
	d.peer.says(strings.Repeat("x", 100_000) + get("/next"))
	d.is(stateWriting)
	if n := len(d.peer.unread); n > len(get("/next")) {
		t.Errorf("%d bytes are not read", n)
	}
	d.peer.takes(anyRoom)
	d.peer.hears(200, "I know enough")
	d.handler.gets("GET /next")
}

// What ends a connection that throws a body away.
func TestDiscardEnds(t *testing.T) {
	begin := func(t *testing.T) *dialogue {
		d := newDialogue(t, Limits{StallTimeout: 10 * time.Second, ResponseTimeout: 15 * time.Second})
		d.peer.says(uploadOf(100_000))
		d.handler.answers("I know enough")
		d.peer.hears(200, "")
		d.is(stateDiscarding)
		return d
	}
	t.Run("FIN", func(t *testing.T) {
		d := begin(t)
		d.peer.finishes("xx")
		d.peer.wantsClosed()
	})
	t.Run("stall", func(t *testing.T) {
		d := begin(t)
		d.actsAfter(10*time.Second, stateDiscarding, func() bool { return d.c.state == stateLingering })
	})
	t.Run("too slow", func(t *testing.T) {
		d := begin(t)
		d.passes(8 * time.Second)
		d.peer.says("x")
		d.actsAfter(7*time.Second, stateDiscarding, func() bool { return d.c.state == stateLingering })
	})
	t.Run("expecting", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		d.handler.answers("I know enough")
		d.peer.hears(200, "")
		d.peer.hearsEnd() // what the peer sends next may be its body or a request
	})
}
