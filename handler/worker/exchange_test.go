package worker

import (
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

// request is what a test wants done.
type request struct {
	head     string // request line and field lines, with \n as line end; "GET /" stands for a minimal one
	body     string
	loop     int
	listener uint16
	interval string // the name of a timer: no HTTP
	main     bool   // interval is the name of a main listener
	expect   bool   // Expect: 100-continue is open, and the body comes when it is wanted
	file     bool   // the body is in a file
	cut      uint32 // flags to set instead of END when body is used up
	close    bool   // the server does not want to keep the connection

	published int64 // InCell.Published

	logged        bool // a raw connection: the server has an access log
	raw           int  // a raw connection: the descriptor to hand over, -1 to hand over none
	local, remote shm.Address
}

// exchange is one in progress.
type exchange struct {
	w       *worker
	r       request
	loop    int
	cell    int
	in      *shm.InCell
	out     *shm.OutCell
	inWin   []byte
	outWin  []byte
	rest    []byte // of head block and body, not yet in the window
	inHead  uint64
	taken   uint64
	got     []byte // the response so far
	hold    bool   // take no output
	wanted  bool
	flags   uint32
	pending bool // OutPending was seen
	handed  bool // the socket or the file was handed over
	file    *os.File
}

// headBlock builds what an in-window begins with.
func (w *worker) headBlock(r *request) []byte {
	w.t.Helper()
	h := shm.HeadBlock{Kind: shm.KindHTTP, Listener: r.listener, Local: r.local, Remote: r.remote}
	switch {
	case r.raw != 0:
		h.Kind, h.Logged = shm.KindSocket, r.logged
	case r.head == "":
		h.Kind, h.Name = shm.KindInterval, r.interval
		if r.main {
			h.Kind = shm.KindMain
		}
	default:
		h.Request, h.Expect = w.parse(r), r.expect
		h.Request.Persistent = h.Request.Persistent && !r.close
		if r.file {
			h.File = int64(len(r.body))
		}
	}
	b := make([]byte, h.Size())
	h.Put(b)
	return b
}

func (w *worker) parse(r *request) *httpparse.Head {
	text := r.head
	if !strings.Contains(text, "HTTP/1.") {
		text += " HTTP/1.1"
	}
	if !strings.Contains(text, "HTTP/1.0") && !strings.Contains(text, "Host:") {
		text += "\nHost: x"
	}
	if r.body != "" && !strings.Contains(text, "Transfer-Encoding") && !strings.Contains(text, "Content-Length") {
		text += "\nTransfer-Encoding: chunked"
	}
	text = strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n"
	var p httpparse.Parser
	var head httpparse.Head
	lim := httpparse.Limits{HeadBytes: 4 << 20, Fields: 100000, TargetBytes: 4 << 20}
	if n, err := p.Parse(&head, []byte(text), &lim); err != nil || n != len(text) {
		w.t.Fatalf("request %.200q: %d, %v", text, n, err)
	}
	return &head
}

// start publishes an exchange and rings the worker.
func (w *worker) start(r request) *exchange {
	w.t.Helper()
	e := &exchange{w: w, r: r, loop: r.loop, cell: w.cell}
	w.cell = (w.cell + 1) % int(w.mem.Header().Cells)
	e.in, e.inWin = w.mem.InCell(e.loop, e.cell)
	e.out, e.outWin = w.mem.OutCell(e.loop, e.cell)
	q := w.queues[e.loop]
	if q.Full() {
		w.t.Fatal("queue is full")
	}
	e.out.InTail.Store(0)
	e.out.OutHead.Store(0)
	e.out.OutStart.Store(0)
	e.out.Result.Store(0)
	e.out.Flags.Store(0)
	e.in.OutTail.Store(0)
	e.in.InHead.Store(0)
	e.in.Flags.Store(0)
	e.in.Published.Store(r.published)
	e.in.Gen.Store(q.Next())
	e.rest = w.headBlock(&r)
	if r.file {
		e.file = w.bodyFile(r.body)
		e.wanted = true
	} else if !r.expect {
		e.rest = append(e.rest, r.body...)
		e.wanted = true
	}
	e.feed()
	q.Push(e.cell)
	w.ring()
	return e
}

// bodyFile returns an unnamed file with this content.
func (w *worker) bodyFile(content string) *os.File {
	w.t.Helper()
	f, err := os.CreateTemp(w.t.TempDir(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { f.Close() })
	os.Remove(f.Name())
	if _, err := f.WriteString(content); err != nil {
		w.t.Fatal(err)
	}
	return f
}

// feed puts into the in-window what there is room for.
func (e *exchange) feed() {
	if !e.wanted && e.out.Flags.Load()&shm.OutBodyWanted != 0 {
		e.wanted = true
		e.rest = append(e.rest, e.r.body...)
	}
	if !e.handed && e.r.raw > 0 && e.out.Flags.Load()&shm.OutDescriptorWanted != 0 {
		e.handed = true
		e.w.hand(e.r.raw)
	}
	if !e.handed && e.file != nil && e.out.Flags.Load()&shm.OutDescriptorWanted != 0 {
		e.handed = true
		e.w.hand(int(e.file.Fd()))
	}
	room := uint64(len(e.inWin)) - (e.inHead - e.out.InTail.Load())
	n := min(room, uint64(len(e.rest)))
	shm.RingPut(e.inWin, e.inHead, e.rest[:n])
	e.rest = e.rest[n:]
	e.inHead += n
	e.in.InHead.Store(e.inHead)
	flags := e.flags
	switch {
	case len(e.rest) > 0:
		flags |= shm.InWantRoom
	case !e.wanted:
	case e.r.cut != 0:
		flags |= e.r.cut
	default:
		flags |= shm.InEnd
	}
	if e.in.Flags.Swap(flags) != flags || n > 0 {
		e.w.ring()
	}
}

// take takes what output there is.
func (e *exchange) take() {
	head := e.out.OutHead.Load()
	if head < e.taken || head-e.taken > uint64(len(e.outWin)) {
		e.w.t.Fatalf("out_head %d after %d bytes taken", head, e.taken)
	}
	if head == e.taken || e.hold {
		return
	}
	start := uint64(e.out.OutStart.Load())
	a, b := shm.Ring(e.outWin, start+e.taken, head-e.taken)
	e.got = append(append(e.got, a...), b...)
	e.taken = head
	e.in.OutTail.Store(head)
	e.w.ring()
}

// until plays the loop until the condition holds. It sleeps as the server does, so that a worker that does not ring has
// the test fail.
func (e *exchange) until(what string, cond func() bool) {
	t := e.w.t
	t.Helper()
	loop := e.w.mem.OutLoop(e.loop)
	deadline := time.Now().Add(patience)
	for {
		for i := range e.w.mem.Ready(e.loop) {
			e.w.mem.Ready(e.loop)[i].Swap(0)
		}
		done := e.out.Result.Load()&shm.ResultDone != 0
		e.pending = e.pending || e.out.Flags.Load()&shm.OutPending != 0
		e.take()
		e.feed()
		if cond() {
			return
		}
		if done {
			t.Fatalf("exchange is over while waiting for %s; response:\n%s\nstderr:\n%s", what, e.got, e.w.stderr)
		}
		loop.Asleep.Store(1)
		if e.w.mem.Ready(e.loop)[0].Load() != 0 {
			loop.Asleep.Store(0)
			continue
		}
		p := []unix.PollFd{{Fd: int32(e.w.bells[e.loop].Reader()), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int(time.Until(deadline).Milliseconds()))
		if err != unix.EINTR && n <= 0 {
			t.Fatalf("timeout waiting for %s; response:\n%s\nstderr:\n%s", what, e.got, e.w.stderr)
		}
		e.w.bells[e.loop].Drain()
		loop.Asleep.Store(0)
	}
}

// response is what came of an exchange.
type response struct {
	text   string // with the Date field's value replaced by X
	result uint32
	failed bool // the result has ResultFailed, which is not in result
}

var dateField = regexp.MustCompile(`Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

// finish plays the exchange to its end.
func (e *exchange) finish() response {
	e.w.t.Helper()
	done := func() bool { return e.out.Result.Load()&shm.ResultDone != 0 }
	e.until("the end", done)
	e.take()
	if head := e.out.OutHead.Load(); !e.hold && head != e.taken {
		e.w.t.Errorf("%d bytes were published after the result", head-e.taken)
	}
	e.w.queues[e.loop].Settle()
	e.out.Owner.Store(shm.Owner(e.in.Gen.Load(), shm.WhoFree))
	result := shm.ResultOf(e.out.Result.Load(), e.in.Gen.Load())
	return response{dateField.ReplaceAllString(string(e.got), "Date: X\r\n"), result &^ shm.ResultFailed, result&shm.ResultFailed != 0}
}

// do is start and finish.
func (w *worker) do(r request) response {
	w.t.Helper()
	return w.start(r).finish()
}

func (w *worker) get(path string) response {
	w.t.Helper()
	return w.do(request{head: "GET " + path})
}

// body is what follows the head; chunks are joined.
func (r response) body() string {
	head, body, _ := strings.Cut(r.text, "\r\n\r\n")
	if !strings.Contains(head, "Transfer-Encoding: chunked") {
		return body
	}
	var c httpparse.Chunked
	var b []byte
	in := []byte(body)
	for len(in) > 0 {
		data, n, done, err := c.Next(in)
		if err != nil {
			return "bad chunk: " + err.Error()
		}
		b = append(b, data...)
		in = in[n:]
		if done {
			if len(in) > 0 {
				return "bytes after the last chunk"
			}
			return string(b)
		}
	}
	return "chunks without end"
}

// check compares a response's bytes: want is written with \n as line end in the head.
func (w *worker) check(got response, want string, result uint32) {
	w.t.Helper()
	head, body, _ := strings.Cut(want, "\n\n")
	want = strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
	if want == "\r\n\r\n" {
		want = ""
	}
	if got.text != want || got.result != shm.ResultDone|result {
		w.t.Errorf("result %#x; want %#x\n got %q\nwant %q\nstderr: %s", got.result, shm.ResultDone|result, got.text,
			want, w.stderr)
	}
}
