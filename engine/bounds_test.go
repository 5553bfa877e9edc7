package engine

import (
	"strings"
	"testing"
	"unsafe"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// This file tests what the documentation promises, so it has the numbers of the documentation, not the constants of the
// code.

// A request that arrives in one piece costs one read: a short read means that the socket is empty.
func TestOneReadPerRequest(t *testing.T) {
	d := newDialogue(t, Limits{})
	for range 100 {
		d.peer.says(post("/", "body"))
		d.handler.answers("hello")
		d.peer.hears(200, "hello")
	}
	if d.peer.reads != 100 {
		t.Errorf("%d reads for 100 requests", d.peer.reads)
	}
}

// However much a peer sends, its connection reads 16 times and then lets the others have their turn.
func TestReadsPerTurn(t *testing.T) {
	const perTurn = 16
	chunked := "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n"
	for _, c := range []struct {
		name, start, sends string
		state              connState
		window             int
	}{
		{"head", "", "GET / HTTP/1.1\r\nLong: " + strings.Repeat("x", 200), stateHead, 0},
		{"small body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n", strings.Repeat("x", 200), stateBody, 0},
		{"body", upload, strings.Repeat("x", 200), stateDispatched, 1000},
		{"chunked body", chunked, strings.Repeat("x", 200), stateDispatched, 1000},
		{"after the last response", "nonsense\r\n\r\n", strings.Repeat("x", 200), stateLingering, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.handler.window = c.window
			d.peer.says(c.start)
			// After the FIN a short read does not mean that the socket is empty.
			d.peer.unread = []byte(c.sends)
			d.peer.readMax = 1
			d.peer.reads = 0
			d.c.Ready(reactor.Readable | reactor.PeerClosed)
			for turn := 1; turn <= 12; turn++ {
				d.is(c.state)
				if want := perTurn * turn; d.peer.reads != want {
					t.Fatalf("%d reads in %d turns, want %d", d.peer.reads, turn, want)
				}
				if len(d.posted) != 1 {
					t.Fatalf("%d tasks posted, want one, to read on", len(d.posted))
				}
				d.turn()
			}
		})
	}
}

// A peer that keeps sending after its last response is reset once it has sent 16 MiB more.
func TestDrainBytes(t *testing.T) {
	const most, read = 16 << 20, 64 << 10
	d := newDialogue(t, Limits{})
	d.peer.says("nonsense\r\n\r\n")
	d.is(stateLingering)
	d.peer.endless = true
	d.peer.taken = 0
	d.c.Ready(reactor.Readable)
	for turns := 0; !d.peer.closed; turns++ {
		if turns > 1000 || d.peer.taken > 2*most {
			t.Fatalf("%d bytes were thrown away in %d turns, and the connection is still open", d.peer.taken, turns)
		}
		d.turn()
	}
	d.peer.wantsReset()
	if n := d.peer.taken; n <= most || n > most+read {
		t.Errorf("reset after %d bytes, want it with the first read above %d", n, most)
	}
}

// For a peer that takes nothing, the connection holds 128 KiB, and the last part of a response.
func TestOutputBytes(t *testing.T) {
	const most, part = 128 << 10, 50_000
	for _, c := range []struct {
		name string
		lim  Limits
		most int
	}{{"default", Limits{}, most}, {"chosen", Limits{OutputBytes: 1000}, 1000}, {"none", Limits{OutputBytes: -1}, 0}} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, c.lim)
			d.peer.says(get("/"))
			d.peer.room = 0
			taken := 0
			for range 10 {
				taken += d.handler.outputs(strings.Repeat("x", part), false)
			}
			if taken != c.most || d.c.output.Len() != c.most {
				t.Errorf("%d bytes taken, %d held, want %d", taken, d.c.output.Len(), c.most)
			}
			d.peer.takes(max(0, c.most/2-1))
			if d.handler.rooms != 0 && c.most > 0 {
				t.Error("the backend was told of room before half of the output was sent")
			}
			d.peer.takes(anyRoom)
			if d.handler.rooms != 1 {
				t.Errorf("the backend was told of room %d times", d.handler.rooms)
			}
			d.peer.room = 0
			if n := d.handler.outputs(strings.Repeat("x", 10*part), true); n != 10*part {
				t.Errorf("%d bytes of the last part taken, want all", n)
			}
			d.handler.ends(backend.EndKeep)
			d.is(stateWriting)
			d.peer.takes(anyRoom)
			d.is(stateIdle)
			if want := taken + 10*part; len(d.peer.got) != want {
				t.Errorf("the peer has %d bytes, want %d", len(d.peer.got), want)
			}
		})
	}
}

// When a connection ends, its buffers go back to the loop's pool, and its exchange is cancelled.
func TestClosedConnectionHoldsNothing(t *testing.T) {
	for _, c := range []struct {
		name      string
		holds     func(*dialogue)
		buffers   int
		cancelled int
	}{
		{"part of a head", func(d *dialogue) { d.peer.says("GET / HT") }, 1, 0},
		{"part of a body", func(d *dialogue) { d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf") }, 1, 0},
		{"output", func(d *dialogue) {
			d.peer.says(get("/"))
			d.peer.room = 10
			d.handler.outputs(response("hello"), false)
		}, 1, 1},
		{"output of an exchange that is over", func(d *dialogue) {
			d.peer.says(get("/"))
			d.peer.room = 10
			d.handler.answers("hello")
		}, 1, 0},
		{"output and the next request", func(d *dialogue) {
			d.peer.says(get("/") + post("/next", ""))
			d.peer.room = 10
			d.handler.outputs(response("hello"), false)
		}, 2, 1},
		{"output of pipelined requests", func(d *dialogue) {
			d.peer.says(get("/"))
			first := d.handler.x
			d.peer.says(get("/next"))
			d.handler.outputs(response("hello"), true)
			d.handler.x = first
			d.peer.room = 10
			d.handler.outputs(response("hello"), false)
			d.settle()
		}, 2, 2},
	} {
		for how, end := range map[string]func(*dialogue){
			"peer gone":    func(d *dialogue) { d.peer.vanishes() },
			"write failed": func(d *dialogue) { d.peer.gone = true; d.peer.takes(0) },
			"reset":        func(d *dialogue) { d.l.resetAll() },
		} {
			t.Run(c.name+", "+how, func(t *testing.T) {
				d := newDialogue(t, Limits{})
				c.holds(d)
				if n := d.l.pool.InUse(); n != c.buffers {
					t.Fatalf("%d buffers in use before the end, want %d", n, c.buffers)
				}
				if how == "write failed" && d.c.output.Len() == 0 {
					d.c.reset()
				} else {
					end(d)
				}
				d.is(stateClosed)
				if n := d.l.pool.InUse(); n != 0 {
					t.Errorf("%d buffers in use after the end", n)
				}
				if d.handler.cancelled != c.cancelled {
					t.Errorf("cancelled %d times, want %d", d.handler.cancelled, c.cancelled)
				}
				if d.wheel.Len() != 0 {
					t.Error("the timer is still armed")
				}
			})
		}
	}
}

// A connection without a request holds no buffer, and the conn itself fits into a size class of Go's allocator.
func TestIdleConnectionIsSmall(t *testing.T) {
	const most = 384 // the next class is 416
	if n := unsafe.Sizeof(conn{}); unsafe.Sizeof(uintptr(0)) == 8 && n > most {
		t.Errorf("a conn takes %d bytes, want at most %d", n, most)
	}
	d := newDialogue(t, Limits{})
	d.peer.says(post("/", strings.Repeat("x", 100_000)))
	d.handler.window = 1 << 20
	d.handler.hasRoom(1 << 20)
	d.handler.answers(strings.Repeat("y", 100_000))
	d.is(stateIdle)
	if n := d.l.pool.InUse(); n != 0 {
		t.Errorf("an idle connection holds %d buffers", n)
	}
}

// The documented defaults, except those of the timeouts, which TestTimeouts checks.
func TestDefaultsAreDocumented(t *testing.T) {
	lim := Limits{}.resolve()
	for _, c := range []struct {
		name      string
		got, want int64
	}{
		{"HeadBytes", int64(lim.head.HeadBytes), 1 << 20},
		{"BodyBytes", lim.body.Bytes, 64 << 20},
		{"BufferBody", lim.body.Await, 64 << 10},
		{"OutputBytes", int64(lim.outputBytes), 128 << 10},
	} {
		if c.got != c.want {
			t.Errorf("the default of %s is %d, want %d", c.name, c.got, c.want)
		}
	}
	none := Limits{HeadBytes: -1, BodyBytes: -1, BufferBody: -1, OutputBytes: -1}.resolve()
	if none.head.HeadBytes != 1<<30 || none.body.Bytes < 1<<60 || none.body.Await != 0 || none.outputBytes != 0 {
		t.Errorf("none: %+v", none)
	}
	if n := (Limits{HeadBytes: 1 << 40}).resolve().head.HeadBytes; n != 1<<30 {
		t.Errorf("HeadBytes of 1 TiB is %d", n)
	}
}

// Requests of exactly the limit, and one byte above it.
func TestLimitsAreExact(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: h\r\nX: "
	for _, c := range []struct {
		name, says string
		status     int // 0: the handler gets it
		state      connState
	}{
		{"head", head + strings.Repeat("x", 1<<20-len(head)-4) + "\r\n\r\n", 0, stateDispatched},
		{"head and one", head + strings.Repeat("x", 1<<20-len(head)-3) + "\r\n\r\n", 431, stateLingering},
		{"body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 67108864\r\n\r\n", 0, stateDispatched},
		{"body and one", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 67108865\r\n\r\n", 413, stateLingering},
		{"body that is awaited", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n", 0, stateBody},
		{"body that is awaited and one", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n", 0, stateDispatched},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, Limits{})
			d.peer.says(c.says)
			d.is(c.state)
			if c.status != 0 {
				d.peer.hears(c.status, "")
				d.handler.getsNothing()
			}
		})
	}
}

// Of the files that a process may open, 256 are reserved, but never more than half.
func TestConnsMax(t *testing.T) {
	for _, c := range []struct {
		asked       int
		files, want int64
	}{
		{0, 1024, 768}, {0, 65536, 65280}, {0, 512, 256}, {0, 300, 150}, {0, 1 << 30, 1<<30 - 256},
		{100, 1024, 100}, {10_000, 1024, 768}, {-1, 1024, 768},
	} {
		if got := connsMax(c.asked, c.files); got != c.want {
			t.Errorf("%d asked for, %d files: %d connections, want %d", c.asked, c.files, got, c.want)
		}
	}
}
