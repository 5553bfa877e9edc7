package engine

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// fileTaker is a scripted handler that takes request bodies in files.
type fileTaker struct {
	*scriptedHandler
	file    backend.File // of the last request
	trailer string
}

func (f *fileTaker) StartFile(x backend.Exchange, head *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	if f.refuses != nil {
		return nil, f.refuses
	}
	f.file = body
	f.started = append(f.started, fmt.Sprintf("%s %s file", head.Bytes(head.Method), head.Bytes(head.Target)))
	f.x, f.body, f.complete = x, nil, true
	f.trailer = string(trailer)
	return f.scriptedHandler, nil
}

// gives returns the body and closes its file.
func (f *fileTaker) gives(t *testing.T) string {
	t.Helper()
	got, err := io.ReadAll(io.NewSectionReader(f.file, 0, 1<<40))
	if err != nil || int64(len(got)) != f.file.Size() {
		t.Errorf("%d bytes read of %d: %v", len(got), f.file.Size(), err)
	}
	f.file.Close()
	f.file = nil
	return string(got)
}

// newSpoolDialogue is newDialogue with a handler that takes files, and a spool of the given number of bytes; 0: the default.
func newSpoolDialogue(t *testing.T, lim Limits, bytes int64) (*dialogue, *fileTaker) {
	t.Helper()
	d := newDialogue(t, lim)
	d.e.spool = newSpooling(Spool{Dir: t.TempDir(), Bytes: bytes}, 20)
	taker := &fileTaker{scriptedHandler: d.handler}
	d.service = newService(taker, 0, lim)
	d.service.addrs = &addrs{}
	d.c.service = d.service
	return d, taker
}

// pattern is text whose every part is different, of at most 8 MiB.
func pattern(n int) string { return patternMax()[:n] }

var patternMax = sync.OnceValue(func() string {
	var b []byte
	for i := int64(0); len(b) < 8<<20; i++ {
		b = append(strconv.AppendInt(b, i, 10), ',')
	}
	return string(b)
})

// chunked returns a body in chunks of the given size.
func chunked(body string, size int) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

const expects = "Expect: 100-continue\r\n"

// However a body comes, the handler is called when all of it is there.
func TestSpooledBodies(t *testing.T) {
	const small, large = 60_000, 200_000
	length := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n", n) }
	const inChunks = "Transfer-Encoding: chunked\r\n"
	for _, c := range []struct {
		name, fields, sends string
		size                int
		file                bool
	}{
		{"small", length(small), pattern(small), small, false},
		{"small, expected", length(small) + expects, pattern(small), small, false},
		{"one byte more than is held in memory", length(65537), pattern(65537), 65537, true},
		{"large", length(large), pattern(large), large, true},
		{"large, expected", length(large) + expects, pattern(large), large, true},
		{"small, chunked", inChunks, chunked(pattern(small), 777), small, false},
		{"small, chunked, expected", inChunks + expects, chunked(pattern(small), 777), small, false},
		{"empty, chunked", inChunks, "0\r\n\r\n", 0, false},
		{"large, chunked", inChunks, chunked(pattern(large), 777), large, true},
		{"large, large chunks", inChunks, chunked(pattern(large), 150_000), large, true},
	} {
		for _, cut := range []int{1 << 20, 50_000, 1001, 1} {
			if cut == 1 && c.size > 0 {
				continue // it would take too long, and only the end matters
			}
			t.Run(fmt.Sprintf("%s, cut every %d", c.name, cut), func(t *testing.T) {
				d, taker := newSpoolDialogue(t, Limits{SpoolBody: true}, 0)
				d.peer.says("POST /a HTTP/1.1\r\nHost: h\r\n" + c.fields + "\r\n")
				if strings.Contains(c.fields, expects) {
					d.peer.hearsText("HTTP/1.1 100 Continue\r\n\r\n")
				}
				for sends := c.sends + get("/next"); len(sends) > 0; {
					n := min(cut, len(sends))
					if len(sends) > len(get("/next")) {
						d.handler.getsNothing()
						d.peer.hearsNothing()
					}
					d.peer.says(sends[:n])
					sends = sends[n:]
				}
				var got string
				if c.file {
					d.handler.gets("POST /a file")
					got = taker.gives(t)
				} else {
					if len(d.handler.started) != 1 || strings.HasSuffix(d.handler.started[0], " ...") {
						t.Fatalf("the handler got %.100q", d.handler.started)
					}
					got = string(d.handler.body)
					d.handler.started = nil
				}
				if got != pattern(c.size) {
					t.Errorf("the body has %d bytes, want %d, or other ones", len(got), c.size)
				}
				d.handler.answers("thanks")
				d.peer.hears(200, "thanks")
				d.handler.gets("GET /next")
				d.handler.answers("hello")
				d.peer.hears(200, "hello")
			})
		}
	}
}

// What happens to a body that does not arrive, in memory or in a file. The handler is never called.
func TestSpooledBodyFails(t *testing.T) {
	lim := Limits{SpoolBody: true, BodyBytes: 150_000}
	const head = "POST / HTTP/1.1\r\nHost: h\r\n"
	const inChunks = head + "Transfer-Encoding: chunked\r\n\r\n"
	large := head + "Content-Length: 100000\r\n\r\n" + pattern(90_000)
	for _, c := range []struct {
		name, says string
		then       func(*dialogue)
		status     int // 0: no answer
	}{
		{"stalls", large, func(d *dialogue) { d.passes(60 * time.Second) }, 408},
		{"stalls after its head", head + "Content-Length: 100000\r\n\r\n", func(d *dialogue) { d.passes(60 * time.Second) }, 408},
		{"chunked, stalls", inChunks + "ffff\r\nsome", func(d *dialogue) { d.passes(60 * time.Second) }, 408},
		{"ends early", large, func(d *dialogue) { d.peer.finishes("") }, 400},
		{"chunked, ends early", inChunks + "5\r\nsome", func(d *dialogue) { d.peer.finishes("") }, 400},
		{"bad chunk", inChunks + chunked(pattern(100_000), 5000)[:80_000], func(d *dialogue) { d.peer.says(strings.Repeat("\r\n", 5000)) }, 400},
		{"too large", inChunks + chunked(pattern(140_000), 5000)[:130_000], func(d *dialogue) { d.peer.says(strings.Repeat("x", 5000) + "\r\nffff\r\n" + pattern(60_000)) }, 0},
		{"peer gone", large, func(d *dialogue) { d.peer.vanishes() }, 0},
		{"reset at the end", large, func(d *dialogue) { d.l.resetAll() }, 0},
		{"too late", large, func(d *dialogue) {
			for range 3600 / 50 {
				d.passes(50 * time.Second)
				d.peer.says("x")
			}
		}, 408},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, _ := newSpoolDialogue(t, lim, 0)
			d.peer.says(c.says)
			d.is(stateSpooling)
			c.then(d)
			if c.status != 0 {
				d.peer.hears(c.status, "")
			}
			d.handler.getsNothing()
			if d.c.spool != nil || d.e.Spool().Files != 0 {
				t.Error("something is left in the spool")
			}
		})
	}
	d, _ := newSpoolDialogue(t, lim, 0)
	d.peer.says(inChunks + chunked(pattern(150_001), 10_000))
	d.peer.hears(413, "")
	d.handler.getsNothing()
}

// A body that makes progress gets more time, however slow it is.
func TestSpooledBodyTrickles(t *testing.T) {
	d, taker := newSpoolDialogue(t, Limits{SpoolBody: true, BufferBody: -1}, 0)
	d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n")
	for i := range 50 {
		d.passes(59 * time.Second)
		d.handler.getsNothing()
		d.peer.says(string(rune('0' + i%10)))
	}
	d.handler.gets("POST / file")
	if got := taker.gives(t); got != strings.Repeat("0123456789", 5) {
		t.Errorf("got %q", got)
	}
	d.handler.answers("thanks")
	d.peer.hears(200, "thanks")
}

// A spool holds a bounded number of bytes. A body that was refused is taken when there is room.
func TestSpoolIsBounded(t *testing.T) {
	head := func(n int) string { return fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", n) }
	const inChunks = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct {
		name, says string
		held       int // bytes that others have in the spool
		status     int // 0: the handler gets it
	}{
		{"fits", head(100_000) + pattern(100_000), 0, 0},
		{"fits beside another", head(70_000) + pattern(70_000), 30_000, 0},
		{"announces too much", head(70_000), 30_001, 503},
		{"announces more than there is", head(100_001), 0, 507},
		{"small enough for memory", head(65_536) + pattern(65_536), 100_000, 0},
		{"chunked, beside another", inChunks + chunked(pattern(70_000), 5000), 30_001, 503},
		{"chunked, more than there is", inChunks + chunked(pattern(100_001), 5000), 0, 507},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, taker := newSpoolDialogue(t, Limits{SpoolBody: true}, 100_000)
			other, err := d.e.spool.Create()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.Append(make([]byte, c.held)); err != nil {
				t.Fatal(err)
			}
			d.peer.says(c.says)
			other.Close()
			if c.status == 0 {
				if taker.file != nil {
					taker.gives(t)
				}
				d.handler.answers("thanks")
				d.peer.hears(200, "thanks")
				return
			}
			d.handler.getsNothing()
			resp := d.peer.hears(c.status, "")
			if got := resp.Header.Get("Retry-After"); (got == "1") != (c.status == 503) || !resp.Close {
				t.Errorf("Retry-After %q, close %v", got, resp.Close)
			}
			if use := d.e.Spool(); use.Refused != 1 || use.Bytes != 0 || use.Files != 0 {
				t.Errorf("use %+v", use)
			}
			d.c.close()
			d.connects()
			d.peer.says(head(90_000) + pattern(90_000))
			d.handler.gets("POST / file")
			taker.gives(t)
		})
	}
}

// Where no file can be created, bodies that need one are refused, and all others are served.
func TestSpoolUnusable(t *testing.T) {
	for name, spoil := range map[string]func(e *Engine){
		"no directory":   func(e *Engine) { os.Remove(e.spool.Dir()) },
		"no descriptors": func(e *Engine) { e.spool.filesMax = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := newSpoolDialogue(t, Limits{SpoolBody: true, SpoolOutput: 1 << 20}, 0)
			spoil(d.e)
			d.peer.says(post("/", pattern(70_000)))
			d.peer.hears(503, "")
			d.c.close()
			d.connects()
			d.peer.says(post("/", "small"))
			d.handler.gets(`POST / "small"`)
			d.peer.room = 0
			if n := d.handler.outputs(pattern(200_000), false); n != 128<<10 {
				t.Errorf("%d bytes taken, want what memory holds", n)
			}
			if use := d.e.Spool(); use.Refused != 1 || use.Waited != 1 {
				t.Errorf("use %+v", use)
			}
			if err := d.e.CheckSpool(); (err != nil) != (name == "no directory") {
				t.Errorf("CheckSpool: %v", err)
			}
		})
	}
}

// A backend that refuses a request leaves none of it in the spool.
func TestSpooledRefused(t *testing.T) {
	d, taker := newSpoolDialogue(t, Limits{SpoolBody: true}, 0)
	d.handler.refuses = backend.ErrQueueFull
	d.peer.says(post("/", pattern(100_000)))
	if resp := d.peer.hears(503, ""); resp.Close {
		t.Error("the connection ends, though its body is complete")
	}
	d.handler.refuses = nil
	d.peer.says(post("/", pattern(100_000)))
	d.handler.gets("POST / file")
	taker.gives(t)
}

// A backend that takes no files gets bodies as they arrive.
func TestSpoolBodyWithoutFiles(t *testing.T) {
	d := newDialogue(t, Limits{SpoolBody: true})
	d.peer.says(upload)
	d.handler.gets("POST /up ...")
}

// The service changes while a body arrives. Its successor gets the request, if it takes files.
func TestSpooledServiceChanges(t *testing.T) {
	t.Run("takes files", func(t *testing.T) {
		d, _ := newSpoolDialogue(t, Limits{SpoolBody: true}, 0)
		d.peer.says(post("/", pattern(100_000))[:50_000])
		second := &fileTaker{scriptedHandler: &scriptedHandler{d: d}}
		d.succeed(newService(second, 0, Limits{}), &addrs{})
		d.peer.says(post("/", pattern(100_000))[50_000:])
		d.handler.getsNothing()
		second.scriptedHandler.gets("POST / file")
		if second.gives(t) != pattern(100_000) {
			t.Error("another body")
		}
	})
	t.Run("takes none", func(t *testing.T) {
		d, _ := newSpoolDialogue(t, Limits{SpoolBody: true}, 0)
		d.peer.says(post("/", pattern(100_000))[:50_000])
		d.succeed(newService(&scriptedHandler{d: d}, 0, Limits{}), &addrs{})
		d.peer.says(post("/", pattern(100_000))[50_000:])
		if resp := d.peer.hears(503, ""); resp.Close {
			t.Error("the connection ends")
		}
	})
	t.Run("smaller limit", func(t *testing.T) {
		d, _ := newSpoolDialogue(t, Limits{SpoolBody: true}, 0)
		d.peer.says(post("/", pattern(100_000))[:50_000])
		d.succeed(newService(&fileTaker{scriptedHandler: d.handler}, 0, Limits{HeadBytes: 10}), &addrs{})
		d.peer.says(post("/", pattern(100_000))[50_000:])
		d.peer.hears(431, "")
	})
}

// The access log has one line for a request with a spooled body, with its own time.
func TestSpooledAccess(t *testing.T) {
	var got []string
	d := newLoggedDialogue(t, Limits{SpoolBody: true}, func(a *Access) {
		got = append(got, fmt.Sprintf("%s %s %d %d %v %v", a.Method, a.Target, a.Status, a.Bytes, a.Complete, a.Total))
	})
	taker := &fileTaker{scriptedHandler: d.handler}
	d.service = newService(taker, 0, Limits{SpoolBody: true, SpoolOutput: 1 << 20})
	d.service.addrs = &addrs{}
	d.c.service = d.service
	d.peer.says(post("/a", pattern(100_000))[:50_000])
	d.passes(5 * time.Second)
	d.peer.says(post("/a", pattern(100_000))[50_000:])
	taker.gives(t)
	d.handler.answers("thanks")

	d.peer.says(get("/b"))
	d.peer.room = len(response(pattern(300_000))) - 300_000 + 1000
	d.handler.answers(pattern(300_000))
	d.peer.vanishes()
	want := []string{"POST /a 200 6 true 5s", "GET /b 200 1000 false 0s"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}
