package engine

import (
	"bytes"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"

	"golang.org/x/net/http2"
)

// Stats count connections, requests of all kinds, and what connections hold.
func TestStats(t *testing.T) {
	e, addr := start(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64})
	raw := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream { return &calls{t: t} }), backend.Bounds{})
	p := dial(t, addr)
	p.say(get("/hello") + get("/hello") + get("/hello")) // pipelined
	for range 3 {
		p.hears(200)
	}
	p.say(post("/echo", "body"))
	p.hears(200)
	r := dial(t, raw.Addr())
	r.say("not discarded")
	var got LoopStats
	eventually(t, "both connections are there", func() bool {
		got = e.Stats()[0]
		return got.Conns == 1 && got.Idle == 1 && got.Raw == 1 && got.Buffers == 1
	})
	want := LoopStats{Conns: 1, Idle: 1, Raw: 1, Accepted: 2, Requests: 4, Buffers: 1}
	want.BytesRead = uint64(len(get("/hello")+get("/hello")+get("/hello")+post("/echo", "body")) + len("not discarded"))
	want.BytesWritten = got.BytesWritten // see TestSendFile and TestSpliceThroughPipe
	if got != want || got.BytesWritten == 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
	onLoop(t, e.Loop(0), func() {
		if e.Stats() != nil {
			t.Error("figures on a loop")
		}
	})
	onLoop(t, e.Loop(0), e.loops[0].raw.conns.First().Reset)
	p.Close()
}

// Functions that were posted are counted until they are called, while the loop is busy with another one.
func TestStatsPosts(t *testing.T) {
	e := startEngine(t, Options{Loops: 2})
	started, goOn := make(chan struct{}), make(chan struct{})
	l := e.Loop(1)
	l.Post(func() { close(started); <-goOn })
	<-started
	for range 3 {
		l.Post(func() {})
	}
	got := make(chan []LoopStats, 1)
	go func() { got <- e.Stats() }()
	eventually(t, "Stats has asked", func() bool { return e.loops[1].r.Posted() == 4 })
	close(goOn)
	if s := <-got; s[0].Posts != 0 || s[1].Posts != 3 {
		t.Errorf("%d and %d", s[0].Posts, s[1].Posts)
	}
	if s := e.Stats(); s[0].Posts != 0 || s[1].Posts != 0 {
		t.Errorf("afterwards: %d and %d", s[0].Posts, s[1].Posts)
	}
}

// Handshakes are counted by version, whether they were resumed, and why they failed; connections with HTTP/2 with what was reset.
func TestStatsOfTLS(t *testing.T) {
	config := serverConfig()
	config.NextProtos = []string{"h2", "http/1.1"}
	e, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: config})
	sessions := tls.NewLRUClientSessionCache(1)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13, tls.VersionTLS13, tls.VersionTLS13} {
		o := clientConfig()
		o.MinVersion, o.MaxVersion = version, version
		if version == tls.VersionTLS13 {
			o.ClientSessionCache = sessions
		}
		c, err := tls.Dial("tcp", addr, o)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(waitMost))
		io.WriteString(c, get("/hello"))
		if _, err := c.Read(make([]byte, 100)); err != nil { // what follows has a session then
			t.Fatal(err)
		}
		c.Close()
	}
	dial(t, addr).say("not TLS")
	o := clientConfig()
	o.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", addr, o)
	if err != nil {
		t.Fatal(err)
	}
	p := greetH2(t, c)
	p.get(1, "/hello")
	p.wants(1, "200", "*")
	p.get(3, "/slow")
	p.WriteWindowUpdate(3, 0)
	p.hearsRST(3, http2.ErrCodeProtocol)
	p.WriteRSTStream(1, http2.ErrCodeCancel)
	p.get(5, "/hello")
	p.wants(5, "200", "*")
	eventually(t, "all is counted", func() bool {
		return e.Stats()[0].HTTP2.Streams == 0 && e.HandshakeFailures()[causeHandshakeNotTLS] == 1
	})
	got := e.Stats()[0]
	if got.TLS12 != (HandshakeStats{Full: 1}) || got.TLS13 != (HandshakeStats{Full: 2, Resumed: 2}) || got.Handshakes != 5 {
		t.Errorf("%+v %+v %d", got.TLS12, got.TLS13, got.Handshakes)
	}
	want := HTTP2Stats{Conns: 1, Accepted: 1, Requests: 3, ResetsReceived: 1, ResetsSent: 1}
	if got.HTTP2 != want {
		t.Errorf("%+v, want %+v", got.HTTP2, want)
	}
	p.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 2})
	p.hearsGoAway(http2.ErrCodeProtocol)
	if n := e.HTTP2Ends()[causeH2Setting]; n != 1 {
		t.Errorf("%d ended", n)
	}
}

// A turn that takes too long is reported once, with the place.
func TestStalled(t *testing.T) {
	type report struct {
		loop  int
		turn  time.Duration
		stack string
	}
	reports := make(chan report, 10)
	e := startEngine(t, Options{Loops: 2, StallAfter: 20 * time.Millisecond, Stalled: func(loop int, turn time.Duration, stack []byte) {
		reports <- report{loop, turn, string(stack)}
	}})
	var seen report
	onLoop(t, e.Loop(1), func() {
		// On a busy machine other turns take as long, of this loop too.
		for seen.loop != 1 || !strings.Contains(seen.stack, "blocksTheLoop") {
			seen = blocksTheLoop(t, reports)
		}
	})
	if seen.turn < 20*time.Millisecond {
		t.Errorf("reported after %v", seen.turn)
	}
	longest := e.Stats()[1].LongestTurn
	if longest < seen.turn {
		t.Errorf("the longest turn took %v, a turn of %v was reported", longest, seen.turn)
	}
	for range 100 {
		onLoop(t, e.Loop(1), func() {})
	}
}

// blocksTheLoop waits until it is noticed.
func blocksTheLoop[R any](t *testing.T, reports <-chan R) R { return waitFor(t, reports, "report") }

// With Options.Check a view that is kept too long shows bytes that were never there.
func TestCheck(t *testing.T) {
	for _, check := range []bool{false, true} {
		kept := make(chan []byte, 1)
		e := startEngine(t, Options{Loops: 1, Check: check})
		ln := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream {
			return &calls{t: t, data: func(c backend.Conn) {
				if view := c.Unread(); len(view) > 0 {
					c.Discard(len(view))
					kept <- view
				}
				if c.Ended() {
					c.Close()
				}
			}}
		}), backend.Bounds{})
		p := dial(t, ln.Addr())
		p.say("secret")
		view := waitFor(t, kept, "view")
		var now []byte
		onLoop(t, e.Loop(0), func() { now = bytes.Clone(view) })
		if stale := string(now) != "secret"; stale != check {
			t.Errorf("with Check %v, a view that was kept is %q", check, now)
		}
		p.CloseWrite()
		p.hearsEnd()
	}
}
