package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"

	"golang.org/x/net/http2"
)

// tunnel reads what comes on a stream, up to its end or n bytes, and gives the server room for as much.
func (p *h2Peer) tunnel(id uint32, n int) (got []byte, ended bool) {
	p.t.Helper()
	for len(got) < n || n < 0 {
		f := until(p, func(f *http2.DataFrame) bool { return true })
		if k := len(f.Data()); k > 0 {
			p.WriteWindowUpdate(0, uint32(k))
			p.WriteWindowUpdate(f.StreamID, uint32(k))
		}
		if f.StreamID != id {
			continue
		}
		got = append(got, f.Data()...)
		if f.StreamEnded() {
			return got, true
		}
	}
	return got, false
}

// What the peer sends on a tunnel comes back, whatever its size and its pieces, early or not, and its end too. A second request in it is none.
func TestH2Tunnel(t *testing.T) {
	closed := make(chan error, 10)
	b := &tunnelBackend{t: t, protocol: echo(t, func(_ backend.Conn, err error) { closed <- err })}
	e, addr := startH2(t, Options{Loops: 1, Check: true}, Limits{}, b)
	p := dialH2(t, addr)
	p.connect(1, "/up")
	p.WriteData(1, false, []byte("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"))
	p.WriteData(1, true, []byte("early"))
	until(p, func(f *http2.HeadersFrame) bool { return f.StreamID == 1 })
	if got, ended := p.tunnel(1, -1); string(got) != "GET /hello HTTP/1.1\r\nHost: h\r\n\r\nearly" || !ended {
		t.Errorf("%q, ended %v", got, ended)
	}
	if err := waitFor(t, closed, "end"); err != nil {
		t.Error(err)
	}
	if n := b.count(&b.started); n != 0 {
		t.Errorf("%d requests beside the tunnel", n)
	}
	id := uint32(3)
	for _, piece := range []int{1, 1000, 16_000} {
		p.opens(id, "/up")
		want := noise(100 * piece)
		for i := 0; i < len(want); i += piece {
			p.WriteDataPadded(id, false, want[i:i+piece], make([]byte, i%3))
			if got, _ := p.tunnel(id, piece); !bytes.Equal(got, want[i:i+piece]) {
				t.Fatalf("pieces of %d: wrong at %d", piece, i)
			}
		}
		p.WriteData(id, true, nil)
		if got, ended := p.tunnel(id, -1); len(got) > 0 || !ended {
			t.Errorf("%d bytes at the end, ended %v", len(got), ended)
		}
		if err := waitFor(t, closed, "end"); err != nil {
			t.Error(err)
		}
		id += 2
	}
	p.lives(id)
	eventually(t, "the tunnels are gone", func() bool { return tunnelsOf(e) == 0 })
}

// A request that is refused takes nothing of what follows it for another one.
func TestH2TunnelNoSecondRequest(t *testing.T) {
	b := &tunnelBackend{t: t}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	for i, path := range []string{"/fail/404", "/hello", "/slow"} {
		id := uint32(2*i + 1)
		p.connect(id, path)
		p.WriteData(id, id == 1, []byte("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"))
	}
	eventually(t, "all have begun", func() bool { return b.count(&b.started) == 3 })
	b.release()
	p.answers(1, 3, 5)
	p.lives(7)
	if n := b.count(&b.started); n != 4 {
		t.Errorf("%d requests", n)
	}
}

// RST_STREAM is the reset of a tunnel, in both directions (RFC 8441 §5), and frames that are not data break it (RFC 9113 §8.5).
func TestH2TunnelResets(t *testing.T) {
	closed := make(chan error, 10)
	b := &tunnelBackend{t: t, protocol: opener(func(c backend.Conn) backend.Stream {
		return &calls{t: t, closed: func(_ backend.Conn, err error) { closed <- err }, data: func(c backend.Conn) {
			if len(c.Unread()) > 0 {
				c.Reset()
			}
		}}
	})}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.opens(1, "/up")
	p.WriteRSTStream(1, http2.ErrCodeCancel)
	if err := waitFor(t, closed, "end"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset by the peer: %v", err)
	}
	p.opens(3, "/up")
	p.WriteData(3, false, []byte("x"))
	p.hearsRST(3, http2.ErrCodeCancel)
	if err := waitFor(t, closed, "end"); err != nil {
		t.Errorf("reset by the server: %v", err)
	}
	p.opens(5, "/up")
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, EndStream: true, EndHeaders: true, BlockFragment: p.block("a", "b")})
	p.hearsRST(5, http2.ErrCodeProtocol)
	if err := waitFor(t, closed, "end"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("HEADERS: %v", err)
	}
	p.opens(7, "/up")
	p.Close()
	if err := waitFor(t, closed, "end"); err == nil {
		t.Error("the connection has ended, and the tunnel does not say so")
	}
	eventually(t, "the tunnels are gone", func() bool { return tunnelsOf(e) == 0 && e.Conns() == 0 })
}

// Tunnels are told of the end, and the connection ends with the last one. At the end of Shutdown they are reset.
func TestH2TunnelDrains(t *testing.T) {
	b := &tunnelBackend{t: t, protocol: opener(func(c backend.Conn) backend.Stream {
		return &drainCalls{calls{t: t, drain: func(c backend.Conn) { c.Write([]byte("bye")); c.Close() }}}
	})}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.opens(1, "/up")
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context()) }()
	for got := ""; got != "bye"; {
		if f, ok := p.next().(*http2.DataFrame); ok {
			got += string(f.Data())
		}
	}
	p.WriteData(1, true, nil)
	p.WritePing(true, [8]byte([]byte(h2DrainPing)))
	p.hearsGoAway(http2.ErrCodeNo)
	if err := waitFor(t, drained, "end of Drain"); err != nil {
		t.Error(err)
	}
	closed := make(chan error, 1)
	stays := &tunnelBackend{t: t, protocol: echo(t, func(_ backend.Conn, err error) { closed <- err })}
	e, addr = startH2(t, Options{Loops: 1}, Limits{}, stays)
	p = dialH2(t, addr)
	p.opens(1, "/up")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e.Shutdown(ctx)
	if err := waitFor(t, closed, "end"); err != ErrStopped {
		t.Errorf("%v", err)
	}
}

// Tunnels are no exchanges: as many may be open as streams, whatever the backend wants to have in progress.
func TestH2TunnelsOverlap(t *testing.T) {
	b := &tunnelBackend{t: t, protocol: echo(t, nil), most: 2}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	id := uint32(1)
	for range h2StreamsMax - 1 {
		p.opens(id, "/up")
		id += 2
	}
	p.lives(id)
	p.opens(id+2, "/up")
	p.connect(id+4, "/up")
	p.hearsRST(id+4, http2.ErrCodeRefusedStream)
	p.WriteData(1, false, []byte("hello"))
	if got, _ := p.tunnel(1, 5); string(got) != "hello" {
		t.Errorf("%q", got)
	}
}

// flooding is a Protocol that sends as much as it may, and takes nothing.
func flooding(t testing.TB) backend.Protocol {
	return opener(func(c backend.Conn) backend.Stream {
		piece := make([]byte, 10_000)
		write := func(c backend.Conn) {
			for !c.Full() {
				c.Write(piece)
			}
		}
		write(c)
		return &calls{t: t, room: write}
	})
}

// A tunnel whose peer takes nothing holds back neither other tunnels nor responses, and tunnels that nobody reads from leave room for the
// bodies of others.
func TestH2TunnelSlow(t *testing.T) {
	var echoes atomic.Bool
	b := &tunnelBackend{t: t, testBackend: testBackend{window: 3000}, protocol: opener(func(c backend.Conn) backend.Stream {
		if echoes.Load() {
			return echo(t, nil).Open(c)
		}
		c.Pause()
		return flooding(t).Open(c)
	})}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.WriteWindowUpdate(0, 1<<24) // of the connection: the streams have their own
	id := uint32(1)
	for p.window > 0 {
		p.opens(id, "/up")
		for range h2StreamWindow / h2FrameBytesMax {
			p.WriteData(id, false, make([]byte, h2FrameBytesMax))
		}
		p.window -= h2StreamWindow
		id += 2
	}
	echoes.Store(true)
	p.opens(id, "/up")
	for p.window == 0 {
		p.next()
	}
	p.WriteData(id, false, []byte("hello"))
	p.window -= 5
	if got, _ := p.tunnel(id, 5); string(got) != "hello" {
		t.Errorf("%q", got)
	}
	p.echoes(id+2, 300_000, 16<<10, false)
	for i := uint32(1); i < id; i += 2 {
		p.WriteRSTStream(i, http2.ErrCodeCancel)
	}
	p.echoes(id+4, 3_000_000, 16<<10, true) // the windows are as before
}

// A tunnel that always has something to send takes turns with responses, whichever is the older one.
func TestH2TunnelTurns(t *testing.T) {
	b := &tunnelBackend{t: t, protocol: flooding(t)}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	p.WriteWindowUpdate(0, 1<<30)
	p.get(1, "/big/16000000")
	p.connect(3, "/up")
	p.get(5, "/big/16000000")
	sent := make(map[uint32]int)
	for ended := 0; ended < 2; {
		f := until(p, func(f *http2.DataFrame) bool { return true })
		sent[f.StreamID] += len(f.Data())
		if f.StreamEnded() {
			ended++
		}
	}
	if sent[1] != 16_000_000 || sent[5] != 16_000_000 || sent[3] < 8_000_000 || sent[3] > 64_000_000 {
		t.Errorf("%v", sent)
	}
}

// What a peer leaves in all its tunnels together is bounded.
func TestH2TunnelsHeld(t *testing.T) {
	b := &tunnelBackend{t: t, protocol: flooding(t), bounds: backend.Bounds{Output: 1 << 20}}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for i := range 20 {
		p.connect(uint32(2*i+1), "/up")
	}
	resets := 0
	for resets < 13 { // each has a little more than 1 MiB
		if f, ok := p.next().(*http2.RSTStreamFrame); ok && f.ErrCode == http2.ErrCodeEnhanceYourCalm {
			resets++
		}
	}
	held := 0
	e.onEveryLoop(func(l *loop) error {
		for _, c := range l.h2.twin.raw.all() {
			held += c.Held()
		}
		return nil
	})
	if held > h2TunnelsHeldMax || tunnelsOf(e) < 6 {
		t.Errorf("%d bytes in %d tunnels", held, tunnelsOf(e))
	}
	if n := e.Refusals()[logging.Event{Level: slog.LevelInfo, Message: h2TunnelsEnded, Cause: causeH2Tunnels}]; n != uint64(resets) {
		t.Errorf("%d counted, %d resets", n, resets)
	}
	p.get(101, "/hello")
	p.WriteWindowUpdate(101, 5)
	p.wants(101, "200", "hello")
}

// What the peer of a tunnel has acknowledged is told as on a connection of its own.
func TestH2TunnelProgress(t *testing.T) {
	made := make(chan backend.Conn, 1)
	b := &tunnelBackend{t: t, protocol: opener(func(c backend.Conn) backend.Stream {
		made <- c
		return &calls{t: t}
	})}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
	p.opens(1, "/up")
	c := <-made
	onLoop(t, e.Loop(0), func() { c.Write(make([]byte, 5000)) })
	progress := func() (taken, left int64) {
		onLoop(t, e.Loop(0), func() { taken, left = c.(backend.Progress).Progress() })
		return taken, left
	}
	eventually(t, "the window is acknowledged", func() bool { taken, left := progress(); return taken == 1000 && left == 4000 })
	p.WriteWindowUpdate(1, 10_000)
	eventually(t, "everything is acknowledged", func() bool { taken, left := progress(); return taken == 5000 && left == 0 })
}

// Goroutines may have a tunnel, as a connection. They may write the 101 response to it themselves, as libraries do.
func TestH2Hijack(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, themselves := range []bool{false, true} {
			b := &tunnelBackend{t: t}
			text := make(chan string, 1)
			b.hijacked = func(c net.Conn) {
				defer c.Close()
				if themselves {
					io.WriteString(c, <-text)
				}
				fmt.Fprintf(c, "%v ", c.RemoteAddr())
				io.Copy(c, c)
			}
			if themselves {
				b.head = func(accept string) string { text <- switchingTo(accept); return "" }
			}
			var e *Engine
			var p *h2Peer
			if secure {
				config := serverConfig()
				client := clientConfig()
				config.NextProtos, client.NextProtos = []string{"h2"}, []string{"h2"}
				en, addr := startTLS(t, Options{Loops: 1}, Limits{}, b, &TLS{Config: config})
				e, p = en, greetH2(t, dialTLS(t, addr, client).stream)
			} else {
				en, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
				e, p = en, dialH2(t, addr)
			}
			p.opens(1, "/hijack")
			p.WriteData(1, false, []byte("hello"))
			p.WriteData(1, true, nil)
			if got, ended := p.tunnel(1, -1); string(got) != p.LocalAddr().String()+" hello" || !ended {
				t.Errorf("TLS %v, 101 by themselves %v: %q, ended %v", secure, themselves, got, ended)
			}
			p.lives(3)
			p.Close()
			eventually(t, "all is gone", func() bool { return tunnelsOf(e) == 0 && e.Conns() == 0 })
		}
	}
}

// A handler that takes a stream over may answer with something other than a tunnel; one that goes away resets the stream.
func TestH2HijackAnswers(t *testing.T) {
	b := &tunnelBackend{t: t, head: func(string) string { return "" }}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	for i, c := range [][2]string{
		{"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad", "400 bad 0"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", "501  0"},
		{"", "  8"},
	} {
		id := uint32(4*i + 1)
		onLoop(t, e.Loop(0), func() {
			b.hijacked = func(conn net.Conn) {
				io.WriteString(conn, c[0])
				conn.Close()
			}
		})
		p.connect(id, "/hijack")
		a := p.answer(id)
		if got := fmt.Sprintf("%s %s %d", a.status(), a.body, uint32(a.reset)); got != c[1] {
			t.Errorf("%q: %s, want %s", c[0], got, c[1])
		}
		p.lives(id + 2)
	}
	p.Close()
	eventually(t, "all is gone", func() bool { return tunnelsOf(e) == 0 && e.Conns() == 0 })
}

// A tunnel may send on another one while it is its turn to send. That takes nothing of its share.
func TestH2TunnelSendsOnAnother(t *testing.T) {
	var conns []backend.Conn
	b := &tunnelBackend{t: t, bounds: backend.Bounds{Output: 10_000}, protocol: opener(func(c backend.Conn) backend.Stream {
		conns = append(conns, c)
		return &calls{t: t, room: func(c backend.Conn) {
			conns[1].Write(make([]byte, 20_000))
			c.Write(make([]byte, 1000))
		}}
	})}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.WriteWindowUpdate(0, 1<<20)
	for id := uint32(1); id <= 5; id += 2 {
		p.opens(id, "/up")
	}
	onLoop(t, e.Loop(0), func() {
		conns[2].Write(make([]byte, 100)) // it waits, so that shares are small
		conns[0].Write(make([]byte, 12_000))
	})
	p.WriteWindowUpdate(3, 1<<20)
	p.WriteWindowUpdate(1, 1<<20)
	sent := make(map[uint32]int)
	for sent[1]+sent[3] < 33_000 {
		f := until(p, func(f *http2.DataFrame) bool { return true })
		sent[f.StreamID] += len(f.Data())
	}
	if sent[1] != 13_000 || sent[3] != 20_000 || sent[5] != 0 {
		t.Errorf("%v", sent)
	}
}

// What was written to a tunnel before CloseWrite and Close is still sent, even if the client takes it later.
func TestH2HijackCloseWrite(t *testing.T) {
	ended, closed := make(chan bool), make(chan bool)
	b := &tunnelBackend{t: t, hijacked: func(c net.Conn) {
		c.Write(noise(100_000))
		c.(closeWriter).CloseWrite()
		<-ended
		c.Close()
		close(closed)
	}}
	e, addr := startH2(t, Options{Loops: 1}, Limits{DrainTimeout: waitMost}, b)
	p := dialH2(t, addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	p.opens(1, "/hijack")
	pairs := func() (n, eofs int) {
		e.onEveryLoop(func(l *loop) error {
			for _, c := range l.raw.all() {
				if r, ok := c.stream.(relayed); ok && r.paired {
					if n++; c.socket.eof {
						eofs++
					}
				}
			}
			return nil
		})
		return n, eofs
	}
	eventually(t, "the end is read", func() bool { _, eofs := pairs(); return eofs == 1 })
	close(ended)
	<-closed
	eventually(t, "the pair is gone", func() bool { n, _ := pairs(); return n == 0 })
	p.WriteWindowUpdate(1, 1<<20)
	if got, end := p.tunnel(1, -1); !bytes.Equal(got, noise(100_000)) || !end {
		t.Errorf("%d bytes, ended %v", len(got), end)
	}
	p.WriteData(1, true, nil)
	eventually(t, "all is gone", func() bool { return tunnelsOf(e) == 0 && e.Conns() == 1 })
}

// A tunnel that goroutines have closed does not stay because its client says nothing more.
func TestH2HijackCloses(t *testing.T) {
	b := &tunnelBackend{t: t, hijacked: func(c net.Conn) { c.Close() }}
	e, addr := startH2(t, Options{Loops: 1}, Limits{DrainTimeout: 50 * time.Millisecond}, b)
	p := dialH2(t, addr)
	p.opens(1, "/hijack")
	if got, ended := p.tunnel(1, -1); len(got) > 0 || !ended {
		t.Errorf("%d bytes, ended %v", len(got), ended)
	}
	p.hearsRST(1, http2.ErrCodeNo)
	eventually(t, "all is gone", func() bool { return tunnelsOf(e) == 0 && e.Conns() == 1 })
	p.lives(3)
}

// A tunnel of goroutines takes descriptors as a connection does, so it counts as one.
func TestH2HijackMaxConns(t *testing.T) {
	release := make(chan bool)
	b := &tunnelBackend{t: t, may: true, hijacked: func(c net.Conn) { <-release; c.Close() }}
	e, addr := startH2(t, Options{Loops: 1, MaxConns: 2}, Limits{}, b)
	p := dialH2(t, addr)
	p.opens(1, "/hijack")
	p.connect(3, "/hijack")
	p.wants(3, "400", "*")
	p.hearsRST(3, http2.ErrCodeNo)
	close(release)
	p.WriteData(1, true, nil)
	eventually(t, "a place is free", func() bool { return e.Conns() == 1 })
	p.opens(5, "/hijack")
}
