package engine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
	"moonbridge/httpparse"
	"moonbridge/reactor"
	"moonbridge/timers"
)

// dialogue is a connection without a socket, between a peer and a handler that do what the test says, on a loop whose clock
// stands still until the test moves it. Each verb of the peer and the handler is a turn, followed by all further turns that the
// connection asks for.
type dialogue struct {
	t       *testing.T
	e       *Engine
	l       *loop
	service *service
	c       *conn
	peer    *scriptedPeer
	handler *scriptedHandler

	duplicateErr error
	handed       reactor.Handler // what has the descriptor in place of c

	files map[int]*scriptedFile // by their descriptors
	reads []func()              // of files, to be run by goroutines

	now    time.Duration // since the loop started
	wheel  *timers.Wheel
	sets   int      // calls of setTimer
	posted []func() // for the next turn
	over   bool     // the loop has ended

	spoolInMemory int64 // how many bytes of files of the spool can be read without waiting; negative: all
}

// startedAt is when the loop of every dialogue started, on the wall clock.
var startedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeFD is the descriptor of a dialogue's connection. A system call that does not go through the loop's system would fail.
const fakeFD = -7

// succeed makes s the successor of what serves the connection.
func (d *dialogue) succeed(s *service, a *addrs) {
	s.addrs = a
	d.service.next = &succession{s}
}

func newDialogue(t *testing.T, lim Limits) *dialogue {
	t.Helper()
	return newLoggedDialogue(t, lim, nil)
}

// newLoggedDialogue is newDialogue with an access log.
func newLoggedDialogue(t *testing.T, lim Limits, log func(*Access)) *dialogue {
	t.Helper()
	e := &Engine{log: slog.New(slog.DiscardHandler), connsMax: 10, accessLog: log, observed: log != nil, idPrefix: "prefix"}
	e.spool = newSpooling(Spool{Dir: t.TempDir()}, 20)
	e.tally = logging.NewTally(e.log)
	d := &dialogue{t: t, e: e, wheel: timers.NewWheel(0), spoolInMemory: -1}
	d.peer = &scriptedPeer{d: d, room: anyRoom}
	d.handler = &scriptedHandler{d: d}
	d.l = makeLoop(e, 0, d.system())
	d.service = newService(d.handler, 0, lim)
	d.service.addrs = &addrs{}
	d.connects()
	t.Cleanup(func() {
		d.c.close()
		if n := d.l.pool.InUse(); n != 0 {
			t.Errorf("%d buffers are not given back", n)
		}
		if use := e.Spool(); use.Bytes != 0 || use.Files != 0 {
			t.Errorf("left in the spool: %+v", use)
		}
		for _, f := range d.files {
			if f.released != f.given {
				t.Errorf("file %d was given %d times and released %d times", f.fd, f.given, f.released)
			}
		}
		if d.wheel.Len() != 0 || d.l.conns.Len() != 0 || e.conns.Load() != 0 {
			t.Errorf("left: %d timers, %d connections, %d counted", d.wheel.Len(), d.l.conns.Len(), e.conns.Load())
		}
	})
	return d
}

// connects makes a new connection, after the last one has ended.
func (d *dialogue) connects() {
	*d.peer = scriptedPeer{d: d, room: anyRoom}
	d.l.accept(d.service, fakeFD, netip.AddrPort{}, 0)
}

// post is that of the system.
func (d *dialogue) post(fn func()) bool {
	if !d.over {
		d.posted = append(d.posted, fn)
	}
	return !d.over
}

func (d *dialogue) system() system {
	p := d.peer
	return system{
		read:           p.read,
		write:          func(fd int, b []byte) (int, syscall.Errno) { return p.write(fd, b, nil) },
		writev:         p.write,
		writeMore:      func(fd int, b []byte) (int, syscall.Errno) { p.joined++; return p.write(fd, b, nil) },
		sendFile:       p.sendFile,
		inMemory:       d.inMemory,
		readAll:        d.readAll,
		readFile:       d.readFile,
		startRead:      func(mount uint64, fn func()) { d.reads = append(d.reads, fn) },
		unacknowledged: func(fd int) int64 { p.check(fd); return p.unacknowledged },
		breakAfter:     func(fd int, ms uint64) { p.check(fd); p.breakMS = ms },

		shutdownWrite: func(fd int) error { p.check(fd); p.sawFIN = true; return nil },
		resetOnClose:  func(fd int) error { p.check(fd); p.willReset = true; return nil },
		add:           func(fd int, h reactor.Handler) error { p.check(fd); d.c = h.(*conn); return nil },
		close:         func(fd int) { p.check(fd); p.closed = true },
		duplicate:     p.duplicate,
		leave:         func(fd int) error { p.check(fd); p.left = true; return nil },
		hand:          func(fd int, h reactor.Handler) { p.check(fd); d.handed = h },
		post:          d.post,
		soon:          func(fn func()) { d.posted = append(d.posted, fn) },
		setTimer:      func(t *timers.Timer, at uint64) { d.sets++; d.wheel.Set(t, at) },
		cancelTimer:   d.wheel.Cancel,
		nowMS:         func() uint64 { return uint64(d.now / time.Millisecond) },
		wallClock:     func() time.Time { return startedAt.Add(d.now) },
	}
}

// turn runs the tasks that were posted so far.
func (d *dialogue) turn() {
	tasks := d.posted
	d.posted = nil
	for _, fn := range tasks {
		fn()
	}
}

// settle makes turns until the connection asks for no more.
func (d *dialogue) settle() {
	d.t.Helper()
	for turns := 0; len(d.posted) > 0; turns++ {
		if turns == 10_000 {
			d.t.Fatal("the connection still asks for turns after 10,000")
		}
		d.turn()
	}
}

// passes lets time pass. Every timer fires in its millisecond.
func (d *dialogue) passes(span time.Duration) {
	d.t.Helper()
	end := d.now + span
	for {
		next, ok := d.wheel.Next()
		at := time.Duration(min(next, 1<<40)) * time.Millisecond
		if !ok || at > end {
			break
		}
		d.now = max(d.now, at)
		d.wheel.Advance(uint64(d.now / time.Millisecond))
		d.settle()
	}
	d.now = end
	d.wheel.Advance(uint64(d.now / time.Millisecond))
	d.settle()
}

// is checks the state of the connection.
func (d *dialogue) is(want connState) {
	d.t.Helper()
	if d.c.state != want {
		d.t.Fatalf("the connection is in state %v, want %v", d.c.state, want)
	}
}

// actsAfter lets span pass, and checks that the connection stays in state and acted reports false until the last millisecond, in
// which acted becomes true.
func (d *dialogue) actsAfter(span time.Duration, state connState, acted func() bool) {
	d.t.Helper()
	d.passes(span - time.Millisecond)
	if acted() || d.c.state != state {
		d.t.Fatalf("state %v after %v and earlier than %v, want %v", d.c.state, span-time.Millisecond, span, state)
	}
	d.passes(time.Millisecond)
	if !acted() {
		d.t.Fatalf("nothing happened after %v, in state %v", span, d.c.state)
	}
}

// anyRoom is the room of a peer that takes everything.
const anyRoom = 1 << 30

// scriptedPeer is the socket of a dialogue's connection and the peer at its other end.
type scriptedPeer struct {
	d *dialogue

	unread   []byte // sent and not yet read by the connection
	readMax  int    // bytes that one read returns at most; 0: any number
	endless  bool   // every read is filled to the last byte
	finished bool   // it has sent its FIN
	gone     bool   // calls on the socket fail
	failed   bool   // a write has
	room     int    // bytes that it still takes

	unacknowledged int64  // bytes that it has not acknowledged
	breakMS        uint64 // its connection is to break after so many milliseconds without an acknowledgement

	got       []byte // written by the connection, not yet heard
	sawFIN    bool
	willReset bool // a close now would be a reset
	closed    bool
	left      bool     // the descriptor is closed at the end of the turn, and its duplicate goes on
	detached  net.Conn // its connection has left the loop; nil: it has not

	reads  int // calls
	writes int // calls
	joined int // of them, those that others follow
	taken  int // bytes that were read from it
}

func (p *scriptedPeer) check(fd int) {
	p.d.t.Helper()
	if fd != fakeFD || p.closed {
		p.d.t.Errorf("call with descriptor %d, closed: %v", fd, p.closed)
	}
}

func (p *scriptedPeer) read(fd int, b []byte) (int, syscall.Errno) {
	p.check(fd)
	p.reads++
	if p.gone {
		return 0, syscall.ECONNRESET
	}
	n := len(b)
	if !p.endless {
		if p.readMax > 0 {
			b = b[:min(len(b), p.readMax)]
		}
		n = copy(b, p.unread)
		p.unread = p.unread[n:]
		if n == 0 && !p.finished {
			return 0, syscall.EAGAIN
		}
	}
	p.taken += n
	return n, 0
}

// duplicate returns a pipe, of which the test has the other end.
func (p *scriptedPeer) duplicate(fd int) (net.Conn, error) {
	p.check(fd)
	if p.d.duplicateErr != nil {
		return nil, p.d.duplicateErr
	}
	theirs, ours := net.Pipe()
	p.detached = theirs
	p.d.t.Cleanup(func() { theirs.Close() })
	return pipeConn{ours}, nil
}

// pipeConn has the methods of a socket that are not called in a dialogue.
type pipeConn struct{ net.Conn }

func (pipeConn) CloseWrite() error { return errors.ErrUnsupported }

func (p *scriptedPeer) write(fd int, a, b []byte) (int, syscall.Errno) {
	p.check(fd)
	p.writes++
	if p.sawFIN || p.failed {
		p.d.t.Errorf("write after the FIN (%v) or after an error (%v)", p.sawFIN, p.failed)
	}
	if p.gone {
		p.failed = true
		return 0, syscall.EPIPE
	}
	if p.room == 0 {
		return 0, syscall.EAGAIN
	}
	n := min(len(a)+len(b), p.room)
	if p.room != anyRoom {
		p.room -= n
	}
	p.got = append(p.got, a[:min(n, len(a))]...)
	p.got = append(p.got, b[:max(0, n-len(a))]...)
	return n, 0
}

// event reports readiness to the connection, and makes all turns that follow from it.
func (p *scriptedPeer) event(got reactor.Readiness) {
	p.d.t.Helper()
	p.d.c.Ready(got)
	p.d.settle()
}

func (p *scriptedPeer) says(text string) {
	p.d.t.Helper()
	p.unread = append(p.unread, text...)
	p.event(reactor.Readable)
}

// finishes sends the FIN, after a last text.
func (p *scriptedPeer) finishes(text string) {
	p.d.t.Helper()
	p.unread = append(p.unread, text...)
	p.finished = true
	p.event(reactor.Readable | reactor.PeerClosed)
}

// readable makes the connection read again.
func (p *scriptedPeer) readable() {
	p.d.t.Helper()
	p.event(reactor.Readable)
}

// takes makes room for n more bytes.
func (p *scriptedPeer) takes(n int) {
	p.d.t.Helper()
	p.room = n
	p.event(reactor.Writable)
}

// vanishes resets the connection.
func (p *scriptedPeer) vanishes() {
	p.d.t.Helper()
	p.gone = true
	p.event(reactor.Readable | reactor.Writable | reactor.Hangup)
}

// hears reads one response.
func (p *scriptedPeer) hears(status int, body string) *http.Response {
	p.d.t.Helper()
	r := bufio.NewReader(bytes.NewReader(p.got))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		p.d.t.Fatalf("%v in %q", err, p.got)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !strings.Contains(string(got), body) {
		p.d.t.Fatalf("heard %d %q, %v; want %d %q", resp.StatusCode, got, err, status, body)
	}
	p.got, _ = io.ReadAll(r)
	return resp
}

// hearsText reads everything that the connection has written, and compares it.
func (p *scriptedPeer) hearsText(want string) {
	p.d.t.Helper()
	if string(p.got) != want {
		p.d.t.Fatalf("heard %q, want %q", p.got, want)
	}
	p.got = nil
}

func (p *scriptedPeer) hearsNothing() {
	p.d.t.Helper()
	p.hearsText("")
	if p.sawFIN || p.closed {
		p.d.t.Fatalf("FIN: %v, closed: %v; want an open connection", p.sawFIN, p.closed)
	}
}

// hearsEnd checks that the connection has sent its FIN and waits for the peer's.
func (p *scriptedPeer) hearsEnd() {
	p.d.t.Helper()
	p.hearsText("")
	if !p.sawFIN || p.closed {
		p.d.t.Fatalf("FIN: %v, closed: %v; want a FIN", p.sawFIN, p.closed)
	}
	p.d.is(stateLingering)
}

// wantsClosed checks that the connection was closed, without a reset.
func (p *scriptedPeer) wantsClosed() {
	p.d.t.Helper()
	if !p.closed || p.willReset {
		p.d.t.Fatalf("closed: %v, reset: %v; want it closed without a reset", p.closed, p.willReset)
	}
}

func (p *scriptedPeer) wasReset() bool { return p.closed && p.willReset }

func (p *scriptedPeer) wantsReset() {
	p.d.t.Helper()
	if !p.wasReset() {
		p.d.t.Fatalf("closed: %v, reset: %v; want a reset", p.closed, p.willReset)
	}
}

// scriptedHandler is the backend of a dialogue.
type scriptedHandler struct {
	d       *dialogue
	refuses error
	window  int    // free bytes for a body
	room    []byte // as BodyRoom returned it

	x         backend.Exchange
	started   []string // requests not yet taken by gets: method, target, "body" if there is one, "..." if more is to come
	body      []byte
	complete  bool   // the body
	trailer   string // of the body
	aborts    string // of the body: "incomplete" or "too large" for each
	rooms     int    // calls of OutputRoom
	peerEnds  int    // of all exchanges
	onPeerEnd func() // called then
	cancelled int
	queue     time.Duration
	ran       time.Duration
}

func (h *scriptedHandler) Start(x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	if h.refuses != nil {
		return nil, h.refuses
	}
	what := fmt.Sprintf("%s %s", head.Bytes(head.Method), head.Bytes(head.Target))
	if len(body) > 0 {
		what += fmt.Sprintf(" %q", body)
	}
	if more {
		what += " ..."
	}
	h.started = append(h.started, what)
	h.x, h.body, h.complete, h.aborts, h.trailer = x, bytes.Clone(body), !more, "", ""
	return h, nil
}

func (h *scriptedHandler) BodyRoom() (a, b []byte) {
	if cap(h.room) < h.window {
		h.room = make([]byte, h.window)
	}
	h.room = h.room[:h.window]
	return h.room[:(h.window+1)/2], h.room[(h.window+1)/2:]
}
func (h *scriptedHandler) BodyCommit(n int) {
	h.window -= n
	h.body = append(h.body, h.room[:n]...)
}
func (h *scriptedHandler) BodyEnd() { h.complete = true }
func (h *scriptedHandler) BodyTrailer(section []byte) {
	if h.complete {
		h.d.t.Error("a trailer section after the end of the body")
	}
	h.trailer += string(section)
}
func (h *scriptedHandler) BodyAbort(tooLarge bool) {
	if tooLarge {
		h.aborts += "too large"
	} else {
		h.aborts += "incomplete"
	}
}
func (h *scriptedHandler) OutputRoom()                           { h.rooms++ }
func (h *scriptedHandler) Cancel()                               { h.cancelled++ }
func (h *scriptedHandler) Times() (queue, service time.Duration) { return h.queue, h.ran }

func (h *scriptedHandler) PeerEnd() {
	h.peerEnds++
	if h.onPeerEnd != nil {
		h.onPeerEnd()
	}
}

// gets checks that exactly this request has arrived.
func (h *scriptedHandler) gets(want string) {
	h.d.t.Helper()
	if len(h.started) != 1 || h.started[0] != want {
		h.d.t.Fatalf("the handler got %q, want %q", h.started, want)
	}
	h.started = nil
}

func (h *scriptedHandler) getsNothing() {
	h.d.t.Helper()
	if len(h.started) != 0 {
		h.d.t.Fatalf("the handler got %q, want nothing", h.started)
	}
}

// hasRoom reports that the window has n free bytes.
func (h *scriptedHandler) hasRoom(n int) {
	h.d.t.Helper()
	h.window = n
	h.x.BodyRoom()
	h.d.settle()
}

// outputs offers bytes, and returns how many were taken.
func (h *scriptedHandler) outputs(text string, last bool) int {
	h.d.t.Helper()
	half := len(text) / 2
	n := h.x.Output([]byte(text[:half]), []byte(text[half:]), last)
	return n
}

// response is a response with this body.
func response(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// answers gives a whole response, all of which has to be taken.
func (h *scriptedHandler) answers(body string) {
	h.d.t.Helper()
	if text := response(body); h.outputs(text, true) != len(text) {
		h.d.t.Fatal("the last output was not taken whole")
	}
	h.ends(backend.EndKeep)
}

func (h *scriptedHandler) ends(end backend.End) {
	h.d.t.Helper()
	h.x.Done(end)
	h.d.settle()
}

func (h *scriptedHandler) fails(status int) {
	h.d.t.Helper()
	h.x.Failed(status, 0)
	h.d.settle()
}
