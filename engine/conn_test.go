package engine

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// A connection that the poller refuses leaves nothing behind.
func TestRefusedByPoller(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.c.close()
	d.l.sys.add = func(int, reactor.Handler) error { return syscall.ENOSPC }
	d.connects()
	if n, m := d.wheel.Len(), d.l.conns.Len(); n != 0 || m != 0 || d.e.Conns() != 0 {
		t.Errorf("left: %d timers, %d connections, %d counted", n, m, d.e.Conns())
	}
}

func TestDialogue(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.is(stateIdle)
	d.peer.says("GET /one HT")
	d.is(stateHead)
	d.handler.getsNothing()
	d.peer.says("TP/1.1\r\nHost: h\r\n\r\n")
	d.is(stateDispatched)
	d.handler.gets("GET /one")
	d.handler.answers("first")
	d.peer.hearsText("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
	d.is(stateIdle)

	d.peer.says("POST /two HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nhalf")
	d.is(stateBody)
	d.handler.getsNothing()
	d.peer.says("half")
	d.handler.gets(`POST /two "halfhalf"`)
	d.peer.room = 20
	d.handler.answers("second")
	d.is(stateWriting)
	d.peer.hearsText("HTTP/1.1 200 OK\r\nCon")
	d.peer.takes(anyRoom)
	d.peer.hearsText("tent-Length: 6\r\n\r\nsecond")
	d.is(stateIdle)

	d.peer.says("GET /three HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	d.handler.gets("GET /three")
	d.handler.answers("third")
	d.peer.hears(200, "third")
	d.peer.hearsEnd()
	d.peer.says("too late")
	d.peer.finishes("")
	d.peer.wantsClosed()
}

// Pipelined requests are answered one after the other, and the backend does not get the next one within the call that ends the
// exchange before it.
func TestPipelinedDialogue(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/one") + post("/two", "body") + "GET /thr")
	d.handler.gets("GET /one")
	d.handler.outputs(response("first"), true)
	d.handler.x.Done(backend.EndKeep)
	d.handler.getsNothing()
	d.settle()
	d.handler.gets(`POST /two "body"`)
	d.peer.hears(200, "first")
	d.peer.hearsNothing()
	d.handler.answers("second")
	d.peer.hears(200, "second")
	d.is(stateHead)
	d.peer.says("ee HTTP/1.1\r\nHost: h\r\n\r\n")
	d.handler.gets("GET /three")
	d.handler.answers("third")
	d.peer.hears(200, "third")
}

// A body of known length is read straight into the window, and no byte of what follows it.
func TestBodyDialogue(t *testing.T) {
	d := newDialogue(t, Limits{BufferBody: -1})
	d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n01")
	d.handler.gets(`POST / "01" ...`)
	d.peer.says("2345")
	if len(d.handler.body) != 2 {
		t.Errorf("the handler got %q without room for it", d.handler.body)
	}
	d.handler.hasRoom(3)
	d.handler.hasRoom(0)
	d.handler.hasRoom(3)
	d.peer.says("6789" + get("/next"))
	d.handler.hasRoom(100)
	if string(d.handler.body) != "0123456789" || !d.handler.complete {
		t.Errorf("body %q, complete: %v", d.handler.body, d.handler.complete)
	}
	d.handler.getsNothing()
	d.handler.answers("thanks")
	d.peer.hears(200, "thanks")
	d.handler.gets("GET /next")
}

func TestChunkedDialogue(t *testing.T) {
	d := newDialogue(t, Limits{BodyBytes: 10})
	d.handler.window = 100
	d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	d.handler.gets("POST / ...")
	d.peer.says("2\r\nde\r\n0\r\n\r\n" + get("/next"))
	if string(d.handler.body) != "abcde" || !d.handler.complete {
		t.Errorf("body %q, complete: %v", d.handler.body, d.handler.complete)
	}
	d.handler.answers("thanks")
	d.peer.hears(200, "thanks")
	d.handler.gets("GET /next")
	d.handler.answers("next")
	d.peer.hears(200, "next")

	for _, c := range []struct{ says, aborts string }{{"b\r\n01234567890\r\n0\r\n\r\n", "too large"}, {"zz\r\n", "incomplete"}} {
		d := newDialogue(t, Limits{BodyBytes: 10})
		d.handler.window = 100
		d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
		d.peer.says(c.says + get("/next"))
		if d.handler.aborts != c.aborts {
			t.Errorf("%q: abort %q, want %q", c.says, d.handler.aborts, c.aborts)
		}
		d.handler.answers("no thanks")
		d.peer.hears(200, "no thanks")
		d.peer.hearsEnd() // what follows may be no request
	}
}

func TestContinueDialogue(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	t.Run("wanted", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.handler.window = 100
		d.peer.says(head)
		d.handler.gets("POST / ...")
		d.peer.hearsNothing()
		d.handler.x.BodyWanted()
		d.handler.x.BodyWanted()
		d.peer.hearsText("HTTP/1.1 100 Continue\r\n\r\n")
		d.peer.says("body")
		d.handler.answers("thanks")
		d.peer.hears(200, "thanks")
		d.is(stateIdle)
	})
	t.Run("not wanted", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says(head)
		d.handler.answers("no thanks")
		d.handler.x.BodyWanted()
		d.peer.hears(200, "no thanks")
		d.peer.hearsEnd()
	})
	t.Run("not waited for", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.handler.window = 100
		d.peer.says(head + "body")
		d.handler.x.BodyWanted()
		d.handler.answers("thanks")
		d.peer.hears(200, "thanks")
		d.is(stateIdle)
	})
}

// What the peer's FIN leads to depends on what it leaves unfinished.
func TestFINDialogue(t *testing.T) {
	for _, c := range []struct {
		name, says string
		status     int // of the engine's answer
		aborts     string
	}{
		{"idle", "", 0, ""},
		{"head", "GET / HT", 400, ""},
		{"small body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf", 400, ""},
		{"large body", upload + "half", 0, "incomplete"},
		{"complete", get("/"), 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.handler.window = 100
			d.peer.finishes(c.says)
			if c.status != 0 {
				d.peer.hears(c.status, "")
			} else if d.c.state == stateDispatched {
				if d.handler.aborts != c.aborts {
					t.Errorf("abort %q, want %q", d.handler.aborts, c.aborts)
				}
				d.handler.answers("all the same")
				d.peer.hears(200, "all the same")
			}
			d.peer.wantsClosed() // there is nothing to linger for
		})
	}
}

// The loss of the peer is noticed in every state, and its exchange is cancelled once.
func TestPeerVanishes(t *testing.T) {
	for _, c := range []struct {
		state     connState
		begin     func(*dialogue)
		cancelled int
	}{
		{stateIdle, func(*dialogue) {}, 0},
		{stateHead, func(d *dialogue) { d.peer.says("GET") }, 0},
		{stateBody, func(d *dialogue) { d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf") }, 0},
		{stateDispatched, func(d *dialogue) { d.peer.says(get("/")) }, 1},
		{stateWriting, func(d *dialogue) { d.peer.says(get("/")); d.peer.room = 0; d.handler.answers("hello") }, 0},
		{stateLingering, func(d *dialogue) { d.peer.says("nonsense\r\n\r\n") }, 0},
	} {
		for name, how := range map[string]func(d *dialogue){
			"hangup":      func(d *dialogue) { d.peer.vanishes() },
			"read fails":  func(d *dialogue) { d.peer.gone = true; d.peer.readable() },
			"write fails": func(d *dialogue) { d.peer.gone = true; d.peer.takes(0) },
		} {
			t.Run(c.state.String()+", "+name, func(t *testing.T) {
				d := newDialogue(t, Limits{})
				c.begin(d)
				d.is(c.state)
				how(d)
				if d.c.state != stateClosed {
					// In this state it does not read or write, so it cannot know yet.
					reads := c.state.receiving() || c.state == stateLingering
					if name == "hangup" || name == "read fails" && reads || name == "write fails" && c.state == stateWriting {
						t.Fatalf("still in state %v", d.c.state)
					}
					d.peer.vanishes()
				}
				d.is(stateClosed)
				if d.handler.cancelled != c.cancelled {
					t.Errorf("cancelled %d times, want %d", d.handler.cancelled, c.cancelled)
				}
				// Calls that come too late have no effect.
				d.c.Ready(reactor.Readable | reactor.Writable | reactor.PeerClosed)
				d.c.Expired(nil)
				d.c.Done(backend.EndKeep)
				d.c.Failed(500, 0)
				d.c.BodyRoom()
				d.c.BodyWanted()
				d.c.resume()
				d.settle()
			})
		}
	}
}

// If a write fails within a call of the backend, the backend is told later, by a cancellation.
func TestWriteFailsInOutput(t *testing.T) {
	t.Run("the backend goes on", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.peer.gone = true
		for range 3 {
			if n := d.handler.outputs("some", false); n != 4 {
				t.Errorf("%d bytes taken, want all: they are lost", n)
			}
		}
		if d.handler.cancelled != 0 {
			t.Error("cancelled within the backend's call")
		}
		d.settle()
		if d.handler.cancelled != 1 {
			t.Errorf("cancelled %d times", d.handler.cancelled)
		}
		d.peer.wantsClosed()
	})
	t.Run("the backend ends", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.peer.gone = true
		d.handler.answers("lost")
		d.is(stateClosed)
		if d.handler.cancelled != 0 {
			t.Error("an exchange that had ended was cancelled")
		}
	})
	t.Run("the engine answers, after 100 Continue", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		d.peer.gone = true
		d.handler.x.BodyWanted()
		d.handler.fails(500)
		d.is(stateClosed)
	})
	t.Run("the engine answers", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.peer.gone = true
		d.handler.fails(500)
		d.is(stateClosed)
	})
}

func TestFailedDialogue(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/"))
	d.handler.fails(502)
	d.peer.hears(502, "")
	d.is(stateIdle)
	d.peer.says(get("/"))
	d.handler.x.Failed(503, 1001*time.Millisecond)
	if resp := d.peer.hears(503, ""); resp.Header.Get("Retry-After") != "2" || resp.Close {
		t.Errorf("header %v", resp.Header)
	}
	d.peer.says(get("/"))
	d.handler.outputs("HTTP/1.1 200 OK\r\n", false)
	d.handler.fails(502)
	d.peer.wantsReset() // half a response is no response
}

// A client of HTTP/1.0 takes a response that does not say keep-alive for the last one, and waits for its end.
func TestFailedOverHTTP10(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	d.handler.fails(502)
	if resp := d.peer.hears(502, ""); !resp.Close {
		t.Errorf("the connection goes on, and the client is not told: %v", resp.Header)
	}
}

// If the backend is overloaded, the peer keeps its connection.
func TestRefusedByBackend(t *testing.T) {
	for _, c := range []struct {
		err    error
		says   string
		status int
		keeps  bool
	}{
		{backend.ErrQueueFull, get("/"), 503, true},
		{backend.ErrNoWorker, post("/", "body"), 503, true},
		{backend.ErrStopped, get("/"), 503, true},
		{backend.ErrQueueFull, upload, 503, false}, // its body would come
		{backend.ErrHeadTooLarge, get("/"), 431, false},
		{backend.ErrBodyTooLarge, post("/", "body"), 413, false},
		{errors.New("some other"), get("/"), 500, false},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.handler.refuses = c.err
			d.peer.says(c.says)
			resp := d.peer.hears(c.status, "")
			if got := resp.Header.Get("Retry-After"); (got == "1") != (c.status == 503) {
				t.Errorf("Retry-After %q with status %d", got, c.status)
			}
			if !c.keeps {
				d.peer.hearsEnd()
				return
			}
			d.handler.refuses = nil
			d.peer.says(get("/again"))
			d.handler.gets("GET /again")
		})
	}
}

// A handler can ask for the end of the connection.
func TestEnds(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/"))
	d.handler.outputs(response("bye"), true)
	d.handler.ends(backend.EndClose)
	d.peer.hears(200, "bye")
	d.peer.hearsEnd()

	d = newDialogue(t, Limits{})
	d.peer.says(get("/"))
	d.peer.room = 0
	d.handler.outputs(response("never heard"), true)
	d.handler.ends(backend.EndReset)
	d.peer.wantsReset()
	if d.handler.cancelled != 0 {
		t.Error("an exchange that had ended was cancelled")
	}
}

// The next request on a connection goes to the successor of its service. When a service ends, so do its connections.
func TestServiceChanges(t *testing.T) {
	d := newDialogue(t, Limits{Overlap: -1})
	second := &scriptedHandler{d: d}
	d.peer.says(get("/one") + get("/two"))
	d.handler.gets("GET /one")
	d.succeed(&service{backend: second, limits: Limits{IdleTimeout: time.Hour}.resolve()}, &addrs{})
	d.handler.answers("first")
	d.peer.hears(200, "first")
	second.gets("GET /two")
	second.answers("second")
	d.peer.hears(200, "second")
	d.passes(30 * time.Minute) // its limits count too
	d.is(stateIdle)

	d.peer.says(get("/three"))
	second.gets("GET /three")
	d.l.endService(d.service.latest())
	second.answers("third")
	d.peer.hears(200, "third")
	d.is(stateIdle)
	d.peer.says(get("/four"))
	second.gets("GET /four")
	second.answers("fourth")
	d.peer.hears(200, "fourth")
	d.peer.hearsEnd()
}

// Old clients send an empty line after a request with a body (RFC 9112 §2.2). It is no request, so there is none that could be incomplete.
func TestEmptyLineAfterRequest(t *testing.T) {
	begin := func(t *testing.T) *dialogue {
		d := newDialogue(t, Limits{})
		d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx\r\n")
		d.handler.answers("hello")
		d.peer.hears(200, "hello")
		return d
	}
	t.Run("nothing", func(t *testing.T) {
		d := begin(t)
		d.passes(65 * time.Second)
		d.peer.hearsEnd()
	})
	t.Run("end", func(t *testing.T) {
		d := begin(t)
		d.peer.finishes("")
		d.peer.hearsText("")
		d.peer.wantsClosed()
	})
	t.Run("request", func(t *testing.T) {
		d := begin(t)
		d.peer.says(get("/next"))
		d.handler.answers("next")
		d.peer.hears(200, "next")
	})
	t.Run("part of a request", func(t *testing.T) {
		d := begin(t)
		d.peer.finishes("\r\nG")
		d.peer.hears(400, "")
	})
	t.Run("last request", func(t *testing.T) {
		d := begin(t)
		d.e.stopping.Store(true)
		d.l.drain(true)
		d.actsAfter(time.Second, stateIdle, func() bool { return d.peer.sawFIN })
		d.peer.hearsEnd()
	})
	t.Run("last request after a response that has begun", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx\r\n")
		d.e.stopping.Store(true)
		d.l.drain(true)
		d.handler.answers("hello")
		d.peer.hears(200, "hello")
		d.actsAfter(time.Second, stateIdle, func() bool { return d.peer.sawFIN })
	})
	t.Run("empty line instead of the last request", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.e.stopping.Store(true)
		d.l.drain(true)
		d.peer.says("\r\n")
		d.actsAfter(time.Second, stateIdle, func() bool { return d.peer.sawFIN })
	})
	t.Run("idle timeout", func(t *testing.T) {
		d := begin(t)
		d.passes(30 * time.Second)
		d.peer.says("\r\n")
		d.actsAfter(35*time.Second, stateIdle, func() bool { return d.peer.sawFIN })
	})
	t.Run("too many", func(t *testing.T) {
		d := begin(t)
		d.peer.says("\r\n\r\n")
		d.is(stateIdle)
		d.peer.says("\r\n\r\n")
		d.peer.hears(400, "")
		d.peer.hearsEnd()
	})
	t.Run("time for a head", func(t *testing.T) {
		d := begin(t)
		d.passes(time.Minute)
		d.peer.says("G")
		d.actsAfter(2*time.Minute, stateHead, func() bool { return d.peer.sawFIN })
		d.peer.hears(408, "")
	})
}

// At shutdown, idle connections end at once, unless a request has arrived that no event has reported yet.
func TestDrainDialogue(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.e.stopping.Store(true)
		d.l.drain(false)
		d.peer.hearsEnd()
	})
	t.Run("request not noticed yet", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.unread = []byte(get("/"))
		d.e.stopping.Store(true)
		d.l.drain(false)
		d.handler.gets("GET /")
		d.handler.answers("last")
		d.peer.hears(200, "last")
		d.peer.hearsEnd()
	})
	t.Run("head not complete", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says("GET / HT")
		d.e.stopping.Store(true)
		d.l.drain(false)
		d.peer.says("TP/1.1\r\nHost: h\r\n\r\n")
		d.handler.answers("last")
		d.peer.hears(200, "last")
		d.peer.hearsEnd()
	})
	t.Run("empty line", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says("\r\n")
		d.e.stopping.Store(true)
		d.l.drain(false)
		d.peer.hearsEnd()
	})
	t.Run("refused by the backend", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.handler.refuses = backend.ErrStopped
		d.peer.unread = []byte(get("/"))
		d.e.stopping.Store(true)
		d.l.drain(false)
		if resp := d.peer.hears(503, ""); !resp.Close {
			t.Error("the response does not say that the connection ends")
		}
		d.peer.hearsEnd()
	})
	t.Run("failed", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.e.stopping.Store(true)
		d.l.drain(false)
		d.handler.fails(502)
		if resp := d.peer.hears(502, ""); !resp.Close {
			t.Error("the response does not say that the connection ends")
		}
		d.peer.hearsEnd()
	})
	t.Run("what is left is reset", func(t *testing.T) {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.e.stopping.Store(true)
		d.l.drain(false)
		d.is(stateDispatched)
		d.l.resetAll()
		d.peer.wantsReset()
	})
}

// After a body that was read to its last byte, the socket still counts as readable. If the exchange ends during a shutdown and
// there is nothing to read, the connection waits only as long as for a last request.
func TestDrainAfterBody(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.handler.window = 200_000
	d.peer.says(upload)
	d.peer.says(strings.Repeat("x", 100_000))
	if !d.handler.complete || !d.c.socket.readable {
		t.Fatal("the body was not read to the last byte")
	}
	d.e.stopping.Store(true)
	d.l.drain(false)
	d.handler.answers("thanks")
	d.peer.hears(200, "thanks")
	d.actsAfter(time.Second, stateIdle, func() bool { return d.peer.sawFIN })
}
