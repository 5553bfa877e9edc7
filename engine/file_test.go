package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
)

// scriptedFile is a file of a dialogue.
type scriptedFile struct {
	fd       int
	content  string
	fails    syscall.Errno // what reading it returns
	given    int           // calls of OutputFile
	released int

	asked     int   // calls of inMemory
	inMemory  int64 // how many bytes can be sent without waiting
	readError error // what a goroutine gets
}

func (f *scriptedFile) Fd() int  { return f.fd }
func (f *scriptedFile) Release() { f.released++ }

// firstFile is the number of the first scriptedFile. Lower ones are descriptors of the process.
const firstFile = 1000

// newFile returns a file with this content. The dialogue checks at its end that it was released as often as it was given.
func (d *dialogue) newFile(content string) *scriptedFile {
	if d.files == nil {
		d.files = make(map[int]*scriptedFile)
	}
	f := &scriptedFile{fd: firstFile + len(d.files), content: content, inMemory: 1 << 40}
	d.files[f.fd] = f
	return f
}

// sendFile takes a part of a scripted file, or of a file of the spool.
func (p *scriptedPeer) sendFile(fd, file int, offset, n int64) (int64, syscall.Errno) {
	if f := p.d.files[file]; f != nil {
		if f.released == f.given {
			p.d.t.Errorf("file %d is read after its release", file)
		}
		if f.fails != 0 {
			return 0, f.fails
		}
		rest := f.content[min(offset, int64(len(f.content))):]
		k, errno := p.write(fd, []byte(rest[:min(n, int64(len(rest)))]), nil)
		return int64(k), errno
	}
	b := make([]byte, n)
	k, err := unix.Pread(file, b, offset)
	if err != nil {
		p.d.t.Errorf("descriptor %d: %v", file, err)
	}
	k, errno := p.write(fd, b[:k], nil)
	return int64(k), errno
}

// outputsFile gives a range of a file to an exchange.
func outputsFile(x backend.Exchange, f *scriptedFile, offset, n int, last bool) {
	f.given++
	x.(backend.FileSender).OutputFile(f, int64(offset), int64(n), last)
}

// headFor is the head of a response with n bytes of body.
func headFor(n int) string { return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n) }

// givesFile gives a response whose body is a file.
func (h *scriptedHandler) givesFile(f *scriptedFile) {
	h.d.t.Helper()
	h.outputs(headFor(len(f.content)), false)
	outputsFile(h.x, f, 0, len(f.content), true)
}

// A file arrives whole, however fast the peer takes it. It is released then, and the next request is answered.
func TestFile(t *testing.T) {
	for _, size := range []int{1, 1000, 1 << 20, 3<<20 + 1} {
		for _, room := range []int{0, 1, 500, 100_000, anyRoom} {
			d := newDialogue(t, Limits{Overlap: -1})
			d.peer.says(get("/") + get("/next"))
			d.peer.room = room
			f := d.newFile(pattern(size))
			d.handler.givesFile(f)
			d.handler.ends(backend.EndKeep)
			if n := d.l.pool.InUse(); n > 2 {
				t.Errorf("%d buffers in use while a file is sent", n)
			}
			for range 5 {
				d.peer.takes(70_000)
			}
			if room == 0 && size > 400_000 && f.released != 0 {
				t.Error("the file is released before it is sent")
			}
			d.peer.takes(anyRoom)
			d.peer.hears(200, f.content)
			if f.released != 1 {
				t.Errorf("released %d times", f.released)
			}
			d.handler.started = d.handler.started[1:]
			d.handler.gets("GET /next")
			d.handler.answers("hello")
			d.peer.hears(200, "hello")
		}
	}
}

// A head goes with the file after it. Other writes do not wait for anything.
func TestFileJoined(t *testing.T) {
	for _, room := range []int{0, 5, 60, 3000, anyRoom} {
		d := newDialogue(t, Limits{Overlap: -1})
		d.peer.says(get("/") + get("/next"))
		d.peer.room = room
		f := d.newFile(pattern(5000))
		f.given++
		head := headFor(7000)
		if n := d.handler.x.(backend.FileJoiner).OutputJoined([]byte(head), f, 0, 5000, false); n != len(head) {
			t.Fatalf("%d bytes of the head are taken", n)
		}
		if d.peer.joined != 1 {
			t.Errorf("room for %d: %d joined writes", room, d.peer.joined)
		}
		outputsFile(d.handler.x, f, 3000, 2000, true)
		d.handler.ends(backend.EndKeep)
		d.peer.takes(anyRoom)
		d.peer.hears(200, f.content+f.content[3000:])
		d.handler.started = d.handler.started[1:]
		d.handler.answers("hello")
		d.peer.hears(200, "hello")
		if d.peer.joined != 1 {
			t.Errorf("room for %d: %d joined writes at the end", room, d.peer.joined)
		}
	}
}

// A head that is not taken whole keeps the file with the backend.
func TestFileJoinedPipelined(t *testing.T) {
	for _, taken := range []bool{true, false} {
		d, h := newRuns(t, Limits{}, nil)
		d.peer.says(get("/") + get("/next"))
		f := d.newFile(pattern(5000))
		if !taken {
			h.all[1].x.Output(make([]byte, 10<<20), nil, false)
			d.peer.gone = true
		} else {
			f.given++
		}
		n := h.all[1].x.(backend.FileJoiner).OutputJoined([]byte(headFor(5000)), f, 0, 5000, true)
		if (n == len(headFor(5000))) != taken {
			t.Errorf("%d bytes are taken", n)
		}
		if !taken {
			continue
		}
		h.all[1].x.Done(backend.EndKeep)
		h.answers(0)
		d.peer.hears(200, "/")
		d.peer.hears(200, f.content)
		d.is(stateIdle)
	}
}

// Ranges and bytes alternate.
func TestFileParts(t *testing.T) {
	for _, room := range []int{0, 7, 3000, anyRoom} {
		d := newDialogue(t, Limits{})
		d.peer.says(get("/"))
		d.peer.room = room
		f, g := d.newFile(pattern(5000)), d.newFile(strings.Repeat("g", 2000))
		d.handler.outputs(headFor(14+1000+1500+4000), false)
		outputsFile(d.handler.x, f, 3000, 1000, false)
		d.handler.outputs("between", false)
		outputsFile(d.handler.x, g, 100, 1500, false)
		outputsFile(d.handler.x, f, 0, 4000, false)
		d.handler.outputs("the end", true)
		d.handler.ends(backend.EndKeep)
		for range 4 {
			d.peer.takes(1111)
		}
		d.peer.takes(anyRoom)
		d.peer.hears(200, f.content[3000:4000]+"between"+g.content[:1500]+f.content[:4000]+"the end")
		d.is(stateIdle)
	}
}

// A connection that is not kept ends after the file.
func TestFileHTTP10(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says("GET / HTTP/1.0\r\n\r\n")
	d.peer.room = 20_000
	d.handler.givesFile(d.newFile(pattern(100_000)))
	d.handler.ends(backend.EndKeep)
	d.is(stateWriting)
	d.peer.takes(anyRoom)
	d.peer.hears(200, pattern(100_000))
	d.peer.hearsEnd()
}

// A service gets a successor while its file is sent. The next request is the successor's.
func TestFileServiceChanges(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/"))
	d.peer.room = 20_000
	d.handler.givesFile(d.newFile(pattern(100_000)))
	d.handler.ends(backend.EndKeep)
	next := &scriptedHandler{d: d}
	d.succeed(newService(next, 0, Limits{}), d.service.addrs)
	d.peer.says(get("/next"))
	d.peer.takes(anyRoom)
	d.peer.hears(200, pattern(100_000))
	next.gets("GET /next")
	next.answers("hello")
	d.peer.hears(200, "hello")
}

// Other connections get their turn while a file is sent.
func TestFileBytesPerTurn(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/"))
	f := d.newFile(pattern(5 << 20))
	d.handler.givesFile(f)
	d.handler.x.Done(backend.EndKeep)
	for turn := 1; turn < 5; turn++ {
		if n := len(d.peer.got) - len(headFor(5<<20)); n != turn<<20 {
			t.Fatalf("%d bytes sent in %d turns", n, turn)
		}
		if len(d.posted) != 1 {
			t.Fatalf("%d tasks are posted", len(d.posted))
		}
		d.turn()
	}
	d.settle()
	d.peer.hears(200, f.content)
}

// Whatever ends a connection, the file is released once, and what was sent of it is logged.
func TestFileBreaksOff(t *testing.T) {
	const sent = 30_000
	for how, c := range map[string]struct {
		end   func(*dialogue)
		reset bool
	}{
		"peer gone":     {func(d *dialogue) { d.peer.vanishes() }, false},
		"write failed":  {func(d *dialogue) { d.peer.gone = true; d.peer.takes(0) }, false},
		"reset":         {func(d *dialogue) { d.l.resetAll() }, true},
		"stalls":        {func(d *dialogue) { d.passes(60 * time.Second) }, true},
		"shorter":       {func(d *dialogue) { d.files[1000].content = "short"; d.peer.takes(10) }, true},
		"cannot read":   {func(d *dialogue) { d.files[1000].fails = syscall.EIO; d.peer.takes(10) }, true},
		"takes forever": {func(d *dialogue) { takesForever(d) }, true},
	} {
		for _, done := range []bool{true, false} {
			t.Run(fmt.Sprint(how, " done ", done), func(t *testing.T) {
				var lines loggedLines
				d := newLoggedDialogue(t, Limits{}, lines.log)
				d.peer.says(get("/"))
				d.peer.room = len(headFor(100_000)) + sent
				f := d.newFile(pattern(100_000))
				d.handler.givesFile(f)
				if done {
					d.handler.ends(backend.EndKeep)
				}
				c.end(d)
				d.is(stateClosed)
				if f.released != 1 || d.peer.willReset != c.reset {
					t.Errorf("released %d times, reset: %v", f.released, d.peer.willReset)
				}
				if (d.handler.cancelled == 0) != done {
					t.Errorf("the handler was cancelled %d times", d.handler.cancelled)
				}
				d.peer.wantsPrefix(headFor(100_000) + pattern(100_000))
				lines.want(t, fmt.Sprintf("GET / 200 %d false", len(d.peer.got)-len(headFor(100_000))))
			})
		}
	}
}

// takesForever lets the response timeout end while the peer takes the file byte by byte.
func takesForever(d *dialogue) {
	for range 80 {
		if d.c.state != stateClosed {
			d.peer.takes(1)
			d.passes(50 * time.Second)
		}
	}
}

// wantsPrefix checks that what the peer has got is the start of text.
func (p *scriptedPeer) wantsPrefix(text string) {
	p.d.t.Helper()
	if !strings.HasPrefix(text, string(p.got)) {
		p.d.t.Errorf("%d wrong bytes", len(p.got))
	}
}

// A peer that takes a little of a file now and then is not stalled.
func TestFileSlowReaderLives(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/"))
	d.peer.room, d.peer.unacknowledged = 10, 1_000_000
	d.handler.givesFile(d.newFile(pattern(100_000)))
	d.handler.ends(backend.EndKeep)
	for range 20 {
		d.passes(59 * time.Second)
		d.peer.unacknowledged--
		d.passes(time.Second)
		d.is(stateWriting)
	}
	d.actsAfter(60*time.Second, stateWriting, d.peer.wasReset)
}

// After the end of a connection, a range is released at once.
func TestFileTooLate(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/"))
	d.peer.gone = true
	d.handler.outputs(headFor(10), false)
	f := d.newFile("0123456789")
	outputsFile(d.handler.x, f, 0, 10, true)
	if f.released != 1 {
		t.Errorf("released %d times", f.released)
	}
	d.settle()
	d.is(stateClosed)
}

// A backend that gives more ranges than a connection may hold has its connection reset.
func TestFileRangesMax(t *testing.T) {
	for _, follower := range []bool{false, true} {
		for _, ranges := range []int{backend.FileRangesMax, backend.FileRangesMax + 1} {
			d, h := newRuns(t, Limits{}, nil)
			d.peer.says(get("/a") + get("/b"))
			x := h.all[0].x
			if follower {
				x = h.all[1].x
			}
			d.peer.room = 0
			f := d.newFile("0123456789")
			x.Output([]byte(headFor(ranges)), nil, false)
			for i := range ranges {
				outputsFile(x, f, i%10, 1, i == ranges-1)
			}
			if follower {
				h.answers(0)
			}
			x.Done(backend.EndKeep)
			d.settle()
			if tooMany := ranges > backend.FileRangesMax; tooMany != d.peer.wasReset() {
				t.Errorf("%d ranges, follower: %v, reset: %v", ranges, follower, d.peer.wasReset())
			}
		}
	}
}

// Responses with files keep their order among those of pipelined requests, whenever they are given.
func TestFilePipelined(t *testing.T) {
	for order := range 6 {
		for _, room := range []int{0, 1000, anyRoom} {
			var lines loggedLines
			d, h := newRuns(t, Limits{}, lines.log)
			d.peer.says(get("/a") + get("/b") + get("/c"))
			h.started("/a", "/b", "/c")
			d.peer.room = room
			files := []*scriptedFile{d.newFile(pattern(50_000)), nil, d.newFile(pattern(70_000))}
			for _, i := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}[order] {
				if files[i] == nil {
					h.answers(i)
					continue
				}
				h.all[i].x.Output([]byte(headFor(len(files[i].content)+3)), nil, false)
				outputsFile(h.all[i].x, files[i], 0, len(files[i].content), false)
				h.all[i].x.Output([]byte("end"), nil, true)
				h.all[i].x.Done(backend.EndKeep)
				d.settle()
			}
			d.peer.takes(20_000)
			d.peer.takes(anyRoom)
			d.is(stateIdle)
			d.peer.hears(200, pattern(50_000)+"end")
			d.peer.hears(200, "/b")
			d.peer.hears(200, pattern(70_000)+"end")
			lines.want(t, "GET /a 200 50003 true", "GET /b 200 2 true", "GET /c 200 70003 true")
		}
	}
}

// A follower's file is released although its turn never comes.
func TestFileFollowerCancelled(t *testing.T) {
	for how, end := range map[string]func(*dialogue, *runs){
		"peer gone": func(d *dialogue, h *runs) { d.peer.vanishes() },
		"reset":     func(d *dialogue, h *runs) { d.l.resetAll() },
		"first closes": func(d *dialogue, h *runs) {
			h.all[0].outputs(response("a"))
			h.all[0].x.Done(backend.EndClose)
			d.settle()
		},
		"first resets": func(d *dialogue, h *runs) { h.all[0].x.Done(backend.EndReset); d.settle() },
	} {
		for _, done := range []bool{true, false} {
			t.Run(fmt.Sprint(how, " done ", done), func(t *testing.T) {
				d, h := newRuns(t, Limits{}, nil)
				d.peer.says(get("/a") + get("/b"))
				f := d.newFile(pattern(10_000))
				x := h.all[1].x
				x.Output([]byte(headFor(10_003)), nil, false)
				outputsFile(x, f, 0, 10_000, false)
				x.Output([]byte("end"), nil, true)
				if done {
					x.Done(backend.EndKeep)
				}
				end(d, h)
				if f.released != 1 || strings.Contains(string(d.peer.got), "\r\n\r\n"+pattern(20)) {
					t.Errorf("released %d times, sent %q", f.released, d.peer.got[:min(len(d.peer.got), 100)])
				}
			})
		}
	}
}

// What comes after a file that the peer takes slowly waits in the spool, as other output does, so that it holds no backend.
func TestFileThenSpool(t *testing.T) {
	const size = 2 << 20
	d, h := newRuns(t, Limits{SpoolOutput: 1 << 30}, nil)
	d.peer.says(get("/a") + get("/b") + get("/c"))
	d.peer.room = 0
	f := d.newFile(pattern(500_000))
	h.all[0].x.Output([]byte(headFor(len(f.content))), nil, false)
	outputsFile(h.all[0].x, f, 0, len(f.content), true)
	h.all[0].x.Done(backend.EndKeep)
	text := response(pattern(size))
	for rest := text; len(rest) > 0; {
		n := min(60_000, len(rest))
		if taken := h.all[1].x.Output([]byte(rest[:n]), nil, n == len(rest)); taken != n {
			t.Fatalf("%d bytes taken of %d", taken, n)
		}
		rest = rest[n:]
	}
	h.all[1].x.Done(backend.EndKeep)
	if d.e.Spool().Files != 1 {
		t.Error("nothing is in the spool")
	}
	h.answers(2)
	d.peer.takes(1_500_000)
	d.peer.takes(anyRoom)
	d.is(stateIdle)
	d.peer.hears(200, f.content)
	d.peer.hears(200, pattern(size))
	d.peer.hears(200, "/c")
}

// Without a spool, a backend waits for room after a file, and is told when there is some.
func TestFileThenBackpressure(t *testing.T) {
	d := newDialogue(t, Limits{OutputBytes: 10_000, SpoolOutput: -1})
	d.peer.says(get("/"))
	d.peer.room = 0
	f := d.newFile(pattern(30_000))
	outputsFile(d.handler.x, f, 0, 30_000, false)
	if n := d.handler.outputs(pattern(50_000), false); n != 10_000 {
		t.Fatalf("%d bytes taken, want 10,000", n)
	}
	d.peer.takes(30_000)
	if d.handler.rooms != 0 {
		t.Error("told of room before there was any")
	}
	d.peer.takes(6000)
	if d.handler.rooms != 1 {
		t.Errorf("told of room %d times", d.handler.rooms)
	}
	d.peer.takes(anyRoom)
	d.peer.hearsText(pattern(30_000) + pattern(10_000))
}

// Random responses of pipelined requests, in random order, with a random peer: all bytes arrive in order.
func TestFileModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 150 {
		d, h := newRuns(t, Limits{OutputBytes: 1 + r.Int64N(100_000), SpoolOutput: r.Int64N(3) - 1 + r.Int64N(2)<<20}, nil)
		h.passive = true
		n := 1 + r.IntN(6)
		d.peer.says(strings.Repeat(get("/"), n))
		d.peer.room = r.IntN(100_000)
		want := make([]string, n)
		plans := make([][]func(*run) bool, n)
		for i := range n {
			text := fmt.Sprintf("HTTP/1.1 200 OK\r\nNumber: %d\r\n\r\n", i)
			want[i] = text
			plans[i] = append(plans[i], outputsAll(text))
			for range r.IntN(5) {
				length := 1 + r.IntN(60_000)
				text := pattern(length)
				want[i] += text
				if r.IntN(2) == 0 {
					f := d.newFile("start" + text + "end")
					plans[i] = append(plans[i], func(x *run) bool { outputsFile(x.x, f, 5, length, false); return true })
				} else {
					plans[i] = append(plans[i], outputsAll(text))
				}
			}
		}
		for step, left := 0, n; left > 0; step++ {
			if step == 100_000 {
				t.Fatalf("seed %d: no end", seed)
			}
			if i := r.IntN(len(h.all)); len(plans[i]) > 0 && plans[i][0](h.all[i]) {
				if plans[i] = plans[i][1:]; len(plans[i]) == 0 {
					h.all[i].x.Done(backend.EndKeep)
					left--
				}
			}
			if r.IntN(3) == 0 {
				d.settle()
			}
			if r.IntN(4) == 0 {
				d.peer.takes(r.IntN(200_000))
			}
		}
		d.peer.takes(anyRoom)
		d.is(stateIdle)
		d.peer.hearsText(strings.Join(want, ""))
	}
}

// outputsAll offers text until it is taken in full; then it returns true.
func outputsAll(text string) func(*run) bool {
	return func(r *run) bool {
		n := r.x.Output([]byte(text), nil, false)
		text = text[n:]
		return text == ""
	}
}
