package handler

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// patience bounds every wait of a test.
const patience = time.Minute

// fakeLoop is a loop without a poller. It runs on the test's goroutine, turn by turn, when the test says so.
type fakeLoop struct {
	t      *testing.T
	now    int64
	turns  []backend.Turn
	timers []*fakeTimer
	inTurn bool

	mu     sync.Mutex
	posted []func()
	wake   chan struct{}
}

func newFakeLoop(t *testing.T) *fakeLoop {
	return &fakeLoop{t: t, now: 1e15, wake: make(chan struct{}, 1)}
}

func (l *fakeLoop) Index() int                       { return 0 }
func (l *fakeLoop) Count() int                       { return 1 }
func (l *fakeLoop) Now() int64                       { return l.now }
func (l *fakeLoop) Clock() int64                     { return l.now }
func (l *fakeLoop) Watch(fd int, ready func()) error { l.t.Error("Watch called"); return nil }
func (l *fakeLoop) Unwatch(fd int) error             { l.t.Error("Unwatch called"); return nil }
func (l *fakeLoop) OnTurn(t backend.Turn)            { l.turns = append(l.turns, t) }

func (l *fakeLoop) OffTurn(t backend.Turn) {
	l.turns = slices.DeleteFunc(slices.Clone(l.turns), func(u backend.Turn) bool { return u == t })
}

func (l *fakeLoop) Post(fn func()) {
	l.mu.Lock()
	l.posted = append(l.posted, fn)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

type fakeTimer struct {
	at   int64
	fn   func()
	dead bool
}

func (ft *fakeTimer) Stop() bool {
	was := !ft.dead
	ft.dead = true
	return was
}

func (l *fakeLoop) After(d time.Duration, fn func()) backend.Timer {
	ft := &fakeTimer{at: l.now + int64(d), fn: fn}
	l.timers = append(l.timers, ft)
	return ft
}

// advance moves the clock and fires timers.
func (l *fakeLoop) advance(d time.Duration) {
	l.now += int64(d)
	l.turn(func() {
		for _, ft := range l.timers {
			if !ft.dead && ft.at <= l.now {
				ft.dead = true
				ft.fn()
			}
		}
	})
}

// turn runs one turn, or more if a Turn asks for them: first events, then posted functions.
func (l *fakeLoop) turn(events func()) {
	for again := true; again; {
		l.inTurn = true
		for _, t := range l.turns {
			t.BeginTurn()
		}
		if events != nil {
			events()
			events = nil
		}
		l.mu.Lock()
		posted := l.posted
		l.posted = nil
		l.mu.Unlock()
		for _, fn := range posted {
			fn()
		}
		again = false
		for _, t := range l.turns {
			again = t.EndTurn() || again
		}
		l.inTurn = false
	}
}

// until runs turns until done, waiting for posts in between.
func (l *fakeLoop) until(what string, done func() bool) {
	l.t.Helper()
	limit := time.After(patience)
	for {
		l.turn(nil)
		if done() {
			return
		}
		select {
		case <-l.wake:
		case <-limit:
			l.t.Fatalf("timeout: %s", what)
		}
	}
}

// fakeConn is a connection with one exchange, in place of the engine's. It checks that the backend keeps the contract.
type fakeConn struct {
	t       *testing.T
	l       *fakeLoop
	running backend.Running

	takes  int             // how many bytes Output takes in total; negative: any number
	out    []byte          // bytes taken so far
	hook   func(*fakeConn) // called within Output
	offers int             // calls of Output
	ranges int             // calls of OutputFile

	started   bool
	over      bool
	done      bool
	cancelled bool
	complete  bool
	left      bool
	lastSeen  bool // all bytes that were offered with last were taken
	end       backend.End
	failed    int
	retry     time.Duration
	room      int // calls of BodyRoom
	wanted    int // calls of BodyWanted
}

func (c *fakeConn) check(call string) {
	c.t.Helper()
	if !c.l.inTurn {
		c.t.Errorf("%s outside of a turn", call)
	}
	if !c.started {
		c.t.Errorf("%s before Start has returned", call)
	}
	if c.over {
		c.t.Errorf("%s after the end", call)
	}
}

func (c *fakeConn) Output(a, b []byte, last bool) int {
	c.check("Output")
	c.offers++
	if c.lastSeen {
		c.t.Error("Output after last")
	}
	n := len(a) + len(b)
	if n == 0 {
		c.t.Error("Output of nothing")
	}
	if c.takes >= 0 {
		n = min(n, c.takes)
		c.takes -= n
	}
	c.out = append(c.out, a[:min(n, len(a))]...)
	c.out = append(c.out, b[:max(n-len(a), 0)]...)
	c.lastSeen = last && n == len(a)+len(b)
	if c.hook != nil {
		c.hook(c)
	}
	return n
}

// OutputFile takes a range of a file, and releases the file at once or with the test.
func (c *fakeConn) OutputFile(f backend.SentFile, offset, n int64, last bool) {
	c.check("OutputFile")
	if c.lastSeen {
		c.t.Error("OutputFile after last")
	}
	p := make([]byte, n)
	if k, err := syscall.Pread(f.Fd(), p, offset); int64(k) != n || err != nil || n == 0 {
		c.t.Errorf("read %d bytes of %d, %v", k, n, err)
	}
	c.out = append(c.out, p...)
	c.lastSeen = last
	c.ranges++
	f.Release()
	if c.hook != nil {
		c.hook(c)
	}
}

func (c *fakeConn) Done(end backend.End) {
	c.check("Done")
	c.over, c.done, c.end = true, true, end
}

func (c *fakeConn) Complete(running backend.Running, end backend.End) {
	c.check("Complete")
	if running != c.running {
		c.t.Error("Complete for another exchange")
	}
	c.over, c.complete, c.end = true, true, end
}

func (c *fakeConn) Left(running backend.Running) {
	if !c.complete || c.left || c.cancelled || running != c.running {
		c.t.Errorf("Left: complete %v, left %v, cancelled %v", c.complete, c.left, c.cancelled)
	}
	c.left = true
}

func (c *fakeConn) Failed(status int, retryAfter time.Duration) {
	c.check("Failed")
	c.over, c.failed, c.retry = true, status, retryAfter
}

func (c *fakeConn) BodyRoom()   { c.check("BodyRoom"); c.room++ }
func (c *fakeConn) BodyWanted() { c.check("BodyWanted"); c.wanted++ }
func (c *fakeConn) Addrs() (local, remote netip.AddrPort) {
	return netip.MustParseAddrPort("192.0.2.9:80"), netip.MustParseAddrPort("192.0.2.1:1234")
}

// cancel simulates the loss of the connection.
func (c *fakeConn) cancel() {
	c.over, c.cancelled = true, true
	c.running.Cancel()
}

// take lets the connection take n more bytes.
func (c *fakeConn) take(n int) {
	c.l.turn(func() {
		c.takes = n
		c.running.OutputRoom()
	})
}

// sendSome writes as many bytes as there is room for, and returns their number.
func (c *fakeConn) sendSome(p []byte) int {
	a, b := c.running.BodyRoom()
	if len(a) == 0 && len(b) > 0 {
		c.t.Error("BodyRoom: first slice empty, second not")
	}
	n := copy(a, p)
	n += copy(b, p[n:])
	if n > 0 {
		c.running.BodyCommit(n)
	}
	return n
}

// send sends a part of the request body, waiting for room.
func (c *fakeConn) send(p []byte) {
	c.t.Helper()
	for len(p) > 0 && !c.over {
		seen := c.room
		var n int
		c.l.turn(func() { n = c.sendSome(p) })
		p = p[n:]
		if n == 0 {
			c.l.until("room for the body", func() bool { return c.room > seen || c.over })
		}
	}
}

// fakeBackend is a backend attached to a fake loop.
type fakeBackend struct {
	*fakeLoop
	lb backend.LoopBackend
}

func attach(t *testing.T, b backend.Backend) *fakeBackend {
	t.Helper()
	l := newFakeLoop(t)
	lb, err := b.Attach(l)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeBackend{l, lb}
}

// parse parses a head in which LF stands for CR LF.
func parse(t testing.TB, head string) *httpparse.Head {
	t.Helper()
	raw := []byte(strings.ReplaceAll(head, "\n", "\r\n"))
	var p httpparse.Parser
	h := new(httpparse.Head)
	n, err := p.Parse(h, raw, nil)
	if err != nil || n != len(raw) {
		t.Fatalf("parse %q: took %d of %d bytes: %v", raw, n, len(raw), err)
	}
	return h
}

// tryStart starts an exchange in a turn of its own. The views that the backend gets are overwritten afterwards.
func (b *fakeBackend) tryStart(takes int, head, body string, more bool) (*fakeConn, error) {
	b.t.Helper()
	c := &fakeConn{t: b.t, l: b.fakeLoop, takes: takes}
	var err error
	b.turn(func() { err = b.startIn(c, head, body, more) })
	return c, err
}

// startIn starts an exchange within a turn.
func (b *fakeBackend) startIn(c *fakeConn, head, body string, more bool) error {
	h := parse(b.t, head)
	view := []byte(body)
	running, err := b.lb.Start(c, h, 3, view, more)
	for i := range h.Raw {
		h.Raw[i] = '!'
	}
	for i := range view {
		view[i] = '!'
	}
	clear(h.Fields)
	c.running = running
	c.started = true
	return err
}

func (b *fakeBackend) start(takes int, head, body string, more bool) *fakeConn {
	b.t.Helper()
	c, err := b.tryStart(takes, head, body, more)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// exchange runs a whole exchange with a connection that takes everything.
func (b *fakeBackend) exchange(head, body string) *fakeConn {
	b.t.Helper()
	c := b.start(-1, head, body, false)
	b.until("the end of the exchange", func() bool { return c.over })
	return c
}

// text returns the bytes taken by the connection, with the date replaced and LF for CR LF.
func (c *fakeConn) text() string {
	s := strings.ReplaceAll(string(c.out), "\r\n", "\n")
	if i := strings.Index(s, "Date: "); i >= 0 {
		if j := strings.Index(s[i:], " GMT\n"); j == httpwrite.DateLen-len(" GMT")+len("Date: ") {
			s = s[:i] + "Date: D" + s[i+j+len(" GMT"):]
		}
	}
	return s
}

// response parses the bytes taken by the connection.
func (c *fakeConn) response(method string) (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.out)), &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("%v in %q", err, c.out)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		c.t.Fatalf("%v in %q", err, c.out)
	}
	return res, body.String()
}

// outcome returns in a word how the exchange ended.
func (c *fakeConn) outcome() string {
	switch {
	case c.cancelled:
		return "cancelled"
	case c.failed != 0:
		return fmt.Sprintf("failed %d", c.failed)
	case !c.done && !c.complete: // the loop may see that the response is complete before the handler has returned
		return "open"
	case c.end == backend.EndClose:
		return "close"
	case c.end == backend.EndReset:
		return "reset"
	}
	return "keep"
}

// logLines collects log lines.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logLines) WithGroup(string) slog.Handler            { return l }

func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// expect checks the number of lines, and looks for all words in the first line.
func (l *logLines) expect(t *testing.T, n int, words ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) != n {
		t.Errorf("%d log lines, want %d: %q", len(l.lines), n, l.lines)
		return
	}
	for _, word := range words {
		if !slices.ContainsFunc(l.lines, func(s string) bool { return strings.Contains(s, word) }) {
			t.Errorf("no %q in %q", word, l.lines)
		}
	}
}
