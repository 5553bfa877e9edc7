package engine

import (
	"fmt"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// The backend is told once for each exchange that the peer has finished sending, whenever that becomes known.
func TestPeerEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		play func(d *dialogue)
		want int
	}{
		{"during the exchange", func(d *dialogue) { d.peer.says(get("/")); d.peer.finishes("") }, 1},
		{"with the request", func(d *dialogue) { d.peer.finishes(get("/")) }, 1},
		{"with more of the next request", func(d *dialogue) { d.peer.says(get("/")); d.peer.finishes("GET /") }, 1},
		{"behind the rest of a body", func(d *dialogue) {
			d.handler.window = 100
			d.peer.says(upload + "half")
			d.peer.finishes("rest")
		}, 1},
		{"in a small body", func(d *dialogue) { d.peer.finishes("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf") }, 0},
		{"and further edges", func(d *dialogue) { d.peer.finishes(get("/")); d.peer.readable(); d.peer.takes(anyRoom) }, 1},
		{"before any request", func(d *dialogue) { d.peer.finishes("") }, 0},
		{"never", func(d *dialogue) { d.peer.says(get("/")) }, 0},
		{"reset", func(d *dialogue) { d.peer.says(get("/")); d.peer.vanishes() }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, Limits{})
			c.play(d)
			if d.handler.peerEnds != c.want {
				t.Errorf("the backend was told %d times, want %d", d.handler.peerEnds, c.want)
			}
		})
	}
}

// A peer that still reads is answered.
func TestPeerEndIsAnswered(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/"))
	d.peer.finishes("")
	d.handler.answers("here")
	d.peer.hears(200, "here")
	d.peer.wantsClosed()
}

// A FIN after pipelined requests counts for each of them when its turn comes.
func TestPeerEndOfPipeline(t *testing.T) {
	d := newDialogue(t, Limits{Overlap: -1})
	d.peer.finishes(get("/one") + get("/two") + get("/three"))
	for i, path := range []string{"/one", "/two", "/three"} {
		d.handler.gets("GET " + path)
		if d.handler.peerEnds != i+1 {
			t.Fatalf("the backend was told %d times, want %d", d.handler.peerEnds, i+1)
		}
		d.handler.answers(path)
		d.peer.hears(200, path)
	}
	d.peer.wantsClosed()
}

func TestPeerEndWait(t *testing.T) {
	d := newDialogue(t, Limits{PeerEnd: PeerEndWait})
	d.peer.finishes(get("/"))
	if d.handler.peerEnds != 0 {
		t.Error("the backend was told")
	}
	d.handler.answers("here")
	d.peer.hears(200, "here")
	d.peer.wantsClosed()
}

// A peer that has gone is no peer that waits, even if that is known together with its request.
func TestPeerEndWaitAndGone(t *testing.T) {
	d := newDialogue(t, Limits{PeerEnd: PeerEndWait})
	d.peer.unread, d.peer.finished = []byte(get("/")), true
	d.peer.event(reactor.Readable | reactor.Writable | reactor.PeerClosed | reactor.Hangup)
	d.handler.gets("GET /")
	if d.handler.peerEnds != 1 {
		t.Errorf("the backend was told %d times", d.handler.peerEnds)
	}
	d.peer.gone = true
	d.handler.answers("here")
	if !d.peer.closed {
		t.Error("the connection is open")
	}
}

// So do requests that are taken later, and a stream that an exchange becomes.
func TestPeerEndWaitAndGoneWithMany(t *testing.T) {
	const requests = readsPerTurn + 5
	d, h := newRuns(t, Limits{PeerEnd: PeerEndWait, Overlap: 100}, nil)
	for i := range requests {
		d.peer.unread = append(d.peer.unread, get(fmt.Sprintf("/%02d", i))...)
	}
	d.peer.readMax, d.peer.finished = len(get("/00")), true
	d.peer.event(reactor.Readable | reactor.Writable | reactor.PeerClosed | reactor.Hangup)
	if len(h.all) != requests {
		t.Fatalf("%d requests, want %d", len(h.all), requests)
	}
	for _, i := range []int{0, 3} {
		h.all[i].peerEnds--
		backend.BeginStream(h.all[i].x, h.all[i])
		d.settle()
	}
	for i, r := range h.all {
		if want := 1; r.peerEnds != want {
			t.Errorf("exchange %d was told %d times, want %d", i, r.peerEnds, want)
		}
	}
}

// When a backend gives up an exchange because its peer has gone, the connection is closed, and the log says so.
func TestClientGone(t *testing.T) {
	giveUp := func(d *dialogue) { d.handler.x.Failed(backend.StatusClientGone, 0) }
	for _, c := range []struct {
		name string
		play func(d *dialogue)
	}{
		{"later", func(d *dialogue) { d.peer.says(get("/path")); d.peer.finishes(""); giveUp(d) }},
		{"when it is told", func(d *dialogue) {
			d.handler.onPeerEnd = func() { giveUp(d) }
			d.peer.says(get("/path"))
			d.peer.finishes("")
		}},
		{"when it is told, after Start", func(d *dialogue) {
			d.handler.onPeerEnd = func() { giveUp(d) }
			d.peer.finishes(get("/path"))
		}},
		{"although the next request is there", func(d *dialogue) { d.peer.finishes(get("/path") + get("/next")); giveUp(d) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines accessLines
			d := newLoggedDialogue(t, Limits{Overlap: -1}, lines.log)
			c.play(d)
			d.settle()
			d.peer.hearsText("")
			d.peer.wantsClosed()
			lines.want(t, "GET /path 499 0 false")
			if d.handler.cancelled != 0 {
				t.Error("cancelled after its end")
			}
		})
	}
}

// A response that has begun cannot be taken back.
func TestClientGoneLate(t *testing.T) {
	var lines accessLines
	d := newLoggedDialogue(t, Limits{}, lines.log)
	d.peer.says(get("/"))
	d.handler.outputs("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", false)
	d.handler.fails(backend.StatusClientGone)
	d.peer.wantsReset()
	lines.want(t, "GET / 200 4 false")
}
