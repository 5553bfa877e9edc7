package pool

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/handler/logging"
	"moonbridge/handler/shm"
	"moonbridge/handler/websocket"
)

// postLoop is a loop that runs what is posted when the test wants it.
type postLoop struct {
	backend.Loop
	posts chan func()
}

func newPostLoop() *postLoop                                       { return &postLoop{posts: make(chan func(), 1000)} }
func (l *postLoop) Index() int                                     { return 0 }
func (l *postLoop) Now() int64                                     { return 0 }
func (l *postLoop) Clock() int64                                   { return 0 }
func (l *postLoop) Post(fn func())                                 { l.posts <- fn }
func (l *postLoop) After(d time.Duration, fn func()) backend.Timer { return postTimer{} }
func (l *postLoop) run() {
	for len(l.posts) > 0 {
		(<-l.posts)()
	}
}

type postTimer struct{}

func (postTimer) Stop() bool { return true }

// sinkConn is the connection of a WebSocket whose peer takes everything. It is the exchange of its handshake, too.
type sinkConn struct {
	backend.Conn
	backend.Exchange
	loop   *postLoop
	sent   []byte
	closed bool
	full   bool
}

func (c *sinkConn) Unread() []byte { return nil }
func (c *sinkConn) Held() int      { return 0 }
func (c *sinkConn) Full() bool     { return c.closed || c.full }
func (c *sinkConn) Ended() bool    { return false }
func (c *sinkConn) Write(p []byte) { c.Writev(p, nil) }
func (c *sinkConn) Writev(a, b []byte) {
	if !c.closed {
		c.sent = append(append(c.sent, a...), b...)
	}
}
func (c *sinkConn) SetDeadline(time.Duration)             {}
func (c *sinkConn) Close()                                { c.closed = true }
func (c *sinkConn) Reset()                                { c.closed = true }
func (c *sinkConn) Loop() backend.Loop                    { return c.loop }
func (c *sinkConn) Addrs() (local, remote netip.AddrPort) { return }
func (c *sinkConn) Upgrade(_ []byte, p backend.Protocol, _ backend.Bounds) error {
	p.Open(c)
	return nil
}

func (c *sinkConn) Hijack([]byte) (net.Conn, error) { return nil, net.ErrClosed }

// socketOn is a WebSocket of a script on a loop that stands still.
func socketOn(t testing.TB, s *WebSockets, l *postLoop, flags uint32) (*socketConn, *sinkConn) {
	t.Helper()
	return socketOnHub(t, s, l, channel.New(channel.Options{}), flags)
}

func socketOnHub(t testing.TB, s *WebSockets, l *postLoop, hub *channel.Hub, flags uint32) (*socketConn, *sinkConn) {
	t.Helper()
	raw := &sinkConn{loop: l}
	shake, refusal := websocket.NewHandshake([]byte("dGhlIHNhbXBsZSBub25jZQ=="), nil)
	if refusal != nil {
		t.Fatal(refusal)
	}
	c := &socketConn{l: s.loopOf(l, hub), handler: "h", flags: flags}
	if err := c.accept(raw, &shake, &shm.WSAccept{}); err != nil {
		t.Fatal(err)
	}
	return c, raw
}

// A client whose messages were still there when it came, but are not when it is their turn, comes back: its open handler was told that it
// misses nothing.
func TestWebSocketLosesLate(t *testing.T) {
	for _, c := range []struct {
		name   string
		flags  uint32
		misses bool
		closed bool
	}{
		{"the open handler knows nothing of it", shm.WSOpens, false, true},
		{"the open handler was told", shm.WSOpens, true, false},
		{"no open handler", 0, false, false},
	} {
		s, l := NewWebSockets(), newPostLoop()
		one, raw := socketOn(t, s, l, c.flags)
		one.misses = c.misses
		one.Lost()
		if closed := string(raw.sent) == "\x88\x02\x03\xf5"; closed != c.closed {
			t.Errorf("%s: closed with 1013: %v", c.name, closed)
		}
	}
}

// What was not done within the time is not done later either: nobody is told then.
func TestWebSocketSendTooLate(t *testing.T) {
	s, l := NewWebSockets(), newPostLoop()
	s.patience = time.Millisecond
	c, raw := socketOn(t, s, l, 0)
	data := []byte("hello")
	if open, err := s.Send(c.id, websocket.Text, data); open || err != nil {
		t.Errorf("a loop that does not react: %v, %v", open, err)
	}
	copy(data, "other")
	l.run()
	if len(raw.sent) > 0 {
		t.Errorf("%q was sent after all", raw.sent)
	}
	s.patience = time.Minute
	sent := make(chan bool)
	go func() {
		open, _ := s.Send(c.id, websocket.Text, []byte("hello"))
		sent <- open
	}()
	(<-l.posts)()
	if !<-sent || string(raw.sent) != "\x81\x05hello" {
		t.Errorf("%q was sent", raw.sent)
	}
}

// Events without room wait in their order, of each pool by itself. What is kept is bounded, and Quiet waits for all of them.
func TestWebSocketEventsWait(t *testing.T) {
	s, l := NewWebSockets(), newPostLoop()
	s.budget = websocket.NewBudget(2500)
	a, rawA := socketOn(t, s, l, 0)
	b, _ := socketOn(t, s, l, 0)
	c, rawC := socketOn(t, s, l, 0)
	b.pool = 1
	for _, one := range []*socketConn{a, b, c} { // there is no host, so nothing has room
		one.Message(one.conn, websocket.Binary, make([]byte, 1000))
	}
	if n := s.waiting.Load(); n != 2 || len(a.l.waiting) != 2 || s.budget.Used() != 2000 {
		t.Errorf("%d events wait, for %d pools, with %d bytes", n, len(a.l.waiting), s.budget.Used())
	}
	if string(rawC.sent) != "\x88\x02\x03\xf5" || len(rawA.sent) > 0 {
		t.Errorf("a message that cannot be kept: %q, another one: %q", rawC.sent, rawA.sent)
	}
	ctx, cancel := context.WithTimeout(context.Background(), retryEvery)
	defer cancel()
	s.Quiet(ctx)
	if ctx.Err() == nil {
		t.Error("quiet although events wait")
	}
}

func TestWaiting(t *testing.T) {
	var w waiting
	next := 0
	for n := range 5000 {
		w.add(&socketConn{pool: n})
		if n%3 > 0 {
			if got := w.list[w.next].pool; got != next {
				t.Fatalf("%d instead of %d", got, next)
			}
			w.leave()
			next++
		}
	}
	for ; !w.empty(); next++ {
		if got := w.list[w.next].pool; got != next {
			t.Fatalf("%d instead of %d", got, next)
		}
		w.leave()
	}
	if next != 5000 || w.list != nil {
		t.Errorf("%d have left, %d are kept", next, len(w.list))
	}
}

func appendVerb(b []byte, kind uint32, data string) []byte {
	b = binary.NativeEndian.AppendUint32(b, kind)
	return append(binary.NativeEndian.AppendUint32(b, uint32(len(data))), data...)
}

// serverFrames takes the frames of a server apart, and says what is wrong with them.
func serverFrames(b []byte) (wrong string) {
	for closed := false; len(b) > 0; {
		if len(b) < 2 || closed {
			return "bytes after the end"
		}
		n, size := int(b[1]), 2
		switch n {
		case 126:
			n, size = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, size = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		payload := b[size : size+n]
		switch b[0] {
		case 0x81:
			if !utf8.Valid(payload) {
				return "text that is not valid"
			}
		case 0x82:
		case 0x88:
			closed = true
			if n == 1 || n > 125 || n > 1 && !websocket.ValidCode(int(binary.BigEndian.Uint16(payload))) || n > 1 && !utf8.Valid(payload[2:]) {
				return "close frame"
			}
		default:
			return "first byte of a frame"
		}
		b = b[size+n:]
	}
	return ""
}

// FuzzWebSocketVerbs: whatever a worker outputs, in whatever pieces, its client gets sound frames, and the same ones.
func FuzzWebSocketVerbs(f *testing.F) {
	f.Add(appendVerb(appendVerb(nil, shm.WSSendText, "héllo"), shm.WSSendBinary, "\xff"), uint16(9), false)
	f.Add(appendVerb(appendVerb(nil, shm.WSSubscribe, "room\x00"), shm.WSUnsubscribe, "room\x00other\x00"), uint16(3), true)
	f.Add(appendVerb(appendVerb(nil, shm.WSState, "new"), shm.WSEnd, "\xa0\x0f\x00\x00bye"), uint16(20), true)
	f.Add(appendVerb(appendVerb(nil, shm.WSEnd, "\xed\x03\x00\x00\xff"), shm.WSUnknown, ""), uint16(0), false)
	f.Add(appendVerb(nil, shm.WSState, strings.Repeat("s", shm.WSStateMax+1)), uint16(100), false)
	f.Add(appendVerb(nil, shm.WSSubscribe, strings.Repeat("x\x00", 65)), uint16(1), false)
	f.Add(appendVerb(appendVerb(nil, shm.WSDone, "00000"), shm.WSUnknown, ""), uint16(15), false)
	f.Fuzz(func(t *testing.T, verbs []byte, cut uint16, strict bool) {
		flags := uint32(0)
		if strict {
			flags = shm.WSStrict
		}
		run := func(pieces ...[]byte) ([]byte, []byte) {
			s, l := NewWebSockets(), newPostLoop()
			c, raw := socketOn(t, s, l, flags)
			c.conn.Hold()
			c.event.Event = shm.WSMessage
			for _, p := range pieces {
				p = bytes.Clone(p)
				if n := c.Output(p, nil, false); n != len(p) {
					t.Fatalf("%d of %d bytes taken", n, len(p))
				}
				for i := range p {
					p[i] ^= 0xff // it was a view
				}
			}
			c.Done(backend.EndKeep)
			c.conn.Closed(raw, nil)
			l.run()
			if len(c.state) > shm.WSStateMax || !c.verbs.Whole() || len(c.l.conns) > 0 || s.Conns() != 0 {
				t.Errorf("afterwards: %d bytes of state, %d connections", len(c.state), s.Conns())
			}
			return raw.sent, c.state
		}
		sent, state := run(verbs)
		at := min(int(cut), len(verbs))
		if again, stateAgain := run(verbs[:at], verbs[at:]); !slices.Equal(sent, again) || !slices.Equal(state, stateAgain) {
			t.Errorf("cut at %d: %q, whole: %q", at, again, sent)
		}
		if wrong := serverFrames(sent); wrong != "" {
			t.Errorf("%s: %q", wrong, sent)
		}
	})
}

// A hostile worker names no channel, while there is no room for subscribers.
func TestWebSocketSubscribesNothing(t *testing.T) {
	s, l := NewWebSockets(), newPostLoop()
	hub := channel.New(channel.Options{Subscribers: 1})
	first, _ := socketOnHub(t, s, l, hub, 0)
	first.Output(appendVerb(nil, shm.WSSubscribe, "room\x00"), nil, false)
	second, raw := socketOnHub(t, s, l, hub, 0)
	second.Output(appendVerb(appendVerb(nil, shm.WSSubscribe, ""), shm.WSUnsubscribe, ""), nil, false)
	if hub.Stats().Subscribers != 1 || second.broken || len(raw.sent) > 0 {
		t.Errorf("%+v, broken: %v, sent %q", hub.Stats(), second.broken, raw.sent)
	}
}

// What a client can bring about with each message is logged at a bounded rate.
func TestWebSocketComplaints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		h := &Host{cfg: Config{Stdout: new(logging.Queue), Logger: slog.New(slog.NewTextHandler(&log, nil))}}
		if err := h.complete(); err != nil {
			t.Fatal(err)
		}
		s, l := NewWebSockets(), newPostLoop()
		s.Use(h)
		c, _ := socketOn(t, s, l, 0)
		for range 1000 {
			c.Output(appendVerb(appendVerb(nil, shm.WSSendText, "\xff"), shm.WSSubscribe, "*\x00"), nil, false)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		text := log.String()
		for _, line := range []string{"text of a WebSocket is not sent", "a WebSocket does not get a channel"} {
			if n := strings.Count(text, line); n != 2 {
				t.Errorf("%d lines: %s", n, line)
			}
		}
		if n := strings.Count(text, "count=999 total=1000"); n != 2 {
			t.Errorf("%d lines have the count: %.500s", n, text)
		}
	})
}

// upgrading is an exchange that looks when the response is sent.
type upgrading struct {
	sinkConn
	sent func() error
}

func (u *upgrading) Upgrade(head []byte, p backend.Protocol, b backend.Bounds) error {
	if err := u.sent(); err != nil {
		return err
	}
	return u.sinkConn.Upgrade(head, p, b)
}

// A client that has the response is subscribed. One that does not get it is not.
func TestWebSocketSubscribedBeforeTheResponse(t *testing.T) {
	s, l, hub := NewWebSockets(), newPostLoop(), channel.New(channel.Options{})
	shake, refusal := websocket.NewHandshake([]byte("dGhlIHNhbXBsZSBub25jZQ=="), nil)
	if refusal != nil {
		t.Fatal(refusal)
	}
	for _, want := range []error{nil, net.ErrClosed} {
		before, c := hub.Count("room"), &socketConn{l: s.loopOf(l, hub), handler: "h"}
		x := &upgrading{sinkConn{loop: l}, func() error {
			if n := hub.Count("room"); n != before+1 {
				t.Errorf("%d subscribers when the response is sent, want %d", n, before+1)
			}
			return want
		}}
		if err := c.accept(x, &shake, &shm.WSAccept{Names: []string{"room"}}); err != want {
			t.Errorf("accepted: %v, want %v", err, want)
		}
	}
	if n := hub.Count("room"); n != 1 {
		t.Errorf("%d subscribers in the end", n)
	}
}

// batchOn is a connection with three messages in one event, as if a worker had them.
func batchOn(t testing.TB, s *WebSockets, l *postLoop, flags uint32) (*socketConn, *sinkConn) {
	c, raw := socketOn(t, s, l, flags)
	c.conn.Hold()
	c.batch = c.l.takeBatch()
	for _, m := range []string{"one", "two", "three"} {
		c.batch.buffer = shm.AppendWSRecord(c.batch.buffer, shm.WSMessage, uint32(websocket.Text), []byte(m))
	}
	c.event = shm.WSEventBody{Event: shm.WSMessages, Count: 3}
	return c, raw
}

// After the end of an event of several messages, those that were not begun are given to a worker again, and no others.
func TestWebSocketBatchRest(t *testing.T) {
	done := appendVerb(nil, shm.WSDone, "")
	for _, tt := range []struct {
		name   string
		flags  uint32
		verbs  []byte
		end    func(c *socketConn)
		rest   string // that waits for a worker
		closes bool
	}{
		{"all", 0, bytes.Repeat(done, 3), func(c *socketConn) { c.Done(backend.EndKeep) }, "", false},
		{"the worker stops", 0, done, func(c *socketConn) { c.Done(backend.EndKeep) }, "two three ", false},
		{"an error", 0, done, func(c *socketConn) { c.Done(backend.EndReset) }, "three ", false},
		{"an error, strict", shm.WSStrict, done, func(c *socketConn) { c.Done(backend.EndReset) }, "", true},
		{"dead at once", 0, nil, func(c *socketConn) { c.Failed(502, 0) }, "two three ", false},
		{"dead in the last one", 0, bytes.Repeat(done, 2), func(c *socketConn) { c.Failed(502, 0) }, "", false},
		{"dead after the last one", shm.WSStrict, bytes.Repeat(done, 3), func(c *socketConn) { c.Failed(502, 0) }, "", false},
		{"dead within a verb", 0, append(bytes.Clone(done), 1, 0), func(c *socketConn) { c.Failed(502, 0) }, "three ", false},
		{"closed", 0, append(appendVerb(nil, shm.WSEnd, "\xe8\x03\x00\x00"), done...), func(c *socketConn) { c.Done(backend.EndKeep) }, "", true},
		{"a hostile worker: no message", 0, nil, func(c *socketConn) { c.Done(backend.EndKeep) }, "two three ", false},
		{"a hostile worker: more than there are", 0, bytes.Repeat(done, 4), func(c *socketConn) { c.Done(backend.EndKeep) }, "", false},
	} {
		s, l := NewWebSockets(), newPostLoop()
		c, raw := batchOn(t, s, l, tt.flags)
		c.Output(tt.verbs, nil, true)
		tt.end(c)
		rest := ""
		for p := c.data; len(p) > 0; p = shm.SkipWSRecords(p, 1) {
			rest += string(shm.WSRecordData(p, 0)) + " "
		}
		if closed := bytes.HasPrefix(raw.sent, []byte{0x88}); rest != tt.rest || closed != tt.closes || int(c.event.Count) != strings.Count(rest, " ") {
			t.Errorf("%s: %q waits, %d messages; sent %q", tt.name, rest, c.event.Count, raw.sent)
		}
		if kept := len(c.l.batches); (kept == 0) != (tt.rest != "") || s.budget.Used() != int64(len(c.data)) {
			t.Errorf("%s: %d batches are not in use, %d bytes wait", tt.name, kept, s.budget.Used())
		}
		c.conn.Closed(raw, nil)
		l.run()
	}
}

// The messages that are left of an event wait while the client does not take the answers to those before.
func TestWebSocketBatchPauses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		then  func(c *socketConn, raw *sinkConn)
		count uint32 // of the event that follows
	}{
		{"the client takes them", func(c *socketConn, raw *sinkConn) {
			raw.full = false
			c.conn.Room(raw)
		}, 2},
		{"the client goes", func(c *socketConn, raw *sinkConn) { c.conn.Closed(raw, nil) }, 0},
		{"the engine drains", func(c *socketConn, raw *sinkConn) {
			c.conn.Drain(raw)
			if !bytes.HasPrefix(raw.sent, []byte{0x88}) {
				t.Errorf("sent %q", raw.sent)
			}
			c.conn.Closed(raw, nil)
		}, 0},
	} {
		s, l := NewWebSockets(), newPostLoop()
		c, raw := batchOn(t, s, l, 0)
		raw.full = true
		c.Output(appendVerb(nil, shm.WSDone, ""), nil, true)
		c.Done(backend.EndKeep)
		l.run()
		if c.event.Event != 0 || s.waiting.Load() != 0 {
			t.Errorf("%s: an event begins although the client takes nothing", tt.name)
		}
		tt.then(c, raw)
		l.run()
		if c.event.Count != tt.count || (len(c.l.batches) == 0) != (tt.count > 0) {
			t.Errorf("%s: an event of %d messages, want %d; %d batches are not in use", tt.name, c.event.Count, tt.count, len(c.l.batches))
		}
	}
}

// When the engine drains, the message that a worker is at can be answered. Those after it are not begun.
func TestWebSocketBatchDrains(t *testing.T) {
	s, l := NewWebSockets(), newPostLoop()
	c, raw := batchOn(t, s, l, 0)
	c.conn.Drain(raw)
	c.Output(append(appendVerb(nil, shm.WSSendText, "answer"), appendVerb(nil, shm.WSDone, "")...), nil, true)
	c.Done(backend.EndKeep)
	l.run()
	if c.event.Event != 0 || string(raw.sent) != "\x81\x06answer\x88\x02\x03\xe9" || len(c.l.batches) != 1 {
		t.Errorf("event %d, sent %q, %d batches are not in use", c.event.Event, raw.sent, len(c.l.batches))
	}
}

// An event that has one message has no end of a message.
func TestWebSocketDoneOfOne(t *testing.T) {
	s, l := NewWebSockets(), newPostLoop()
	c, raw := socketOn(t, s, l, shm.WSStrict)
	c.conn.Hold()
	c.event.Event = shm.WSMessage
	c.Output(appendVerb(nil, shm.WSDone, ""), nil, true)
	c.Done(backend.EndKeep)
	if string(raw.sent) != "\x88\x02\x03\xf3" {
		t.Errorf("%q", raw.sent)
	}
}

// FuzzWebSocketBatch: whatever a worker outputs, messages are lost only by what it says, and no batch is lost or used twice.
func FuzzWebSocketBatch(f *testing.F) {
	f.Add(append(appendVerb(appendVerb(nil, shm.WSDone, ""), shm.WSSendText, "x"), 9, 0, 0, 0, 0, 0, 0, 0), false, false)
	f.Add(appendVerb(nil, shm.WSState, "s"), true, true)
	f.Fuzz(func(t *testing.T, verbs []byte, strict, dies bool) {
		s, l := NewWebSockets(), newPostLoop()
		flags := uint32(0)
		if strict {
			flags = shm.WSStrict
		}
		c, raw := batchOn(t, s, l, flags)
		for range 10 {
			if c.event.Event == 0 {
				break
			}
			before := c.event.Count
			c.Output(bytes.Clone(verbs), nil, true)
			c.l.waiting, c.data = nil, nil
			if dies {
				c.Failed(502, 0)
			} else {
				c.Done(backend.EndKeep)
			}
			if c.event.Event != 0 && c.event.Count >= before {
				t.Fatalf("%d messages, and then %d", before, c.event.Count)
			}
		}
		if c.event.Event != 0 || c.batch != nil || len(c.l.batches) != 1 {
			t.Errorf("at the end: event %d, %d batches", c.event.Event, len(c.l.batches))
		}
		c.conn.Closed(raw, nil)
		l.run()
		if wrong := serverFrames(raw.sent); wrong != "" {
			t.Errorf("%s: %q", wrong, raw.sent)
		}
	})
}
