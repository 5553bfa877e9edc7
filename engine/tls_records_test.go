package engine

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Records are counted however the bytes arrive.
func TestTLSRecordsCounted(t *testing.T) {
	var all []byte
	sizes := []int{0, 1, 22, 300, 0, 0, 70, 1000}
	for _, n := range sizes {
		all = append(all, 23, 3, 3, byte(n>>8), byte(n))
		all = append(all, bytes.Repeat([]byte{0xff}, n)...)
	}
	all = append(all, 23, 3, 3, 0) // a part of another one
	for piece := 1; piece <= len(all); piece++ {
		var r records
		for p := range slices.Chunk(all, piece) {
			r.pass(p)
		}
		if r.ended != len(sizes) || r.header != 4 {
			t.Fatalf("pieces of %d bytes: %d records and %d bytes of a header", piece, r.ended, r.header)
		}
	}
}

// stopClock stops the clock by which records are counted. The result moves it.
func stopClock(t *testing.T, e *Engine) (move func(ms uint64)) {
	t.Helper()
	var now uint64
	onLoop(t, e.Loop(0), func() {
		now = e.loops[0].r.NowMS() // time limits begin at it, and are kept by the clock that goes on
		e.loops[0].sys.nowMS = func() uint64 { return now }
	})
	return func(ms uint64) { onLoop(t, e.Loop(0), func() { now += ms }) }
}

// handshaken waits until the only connection has its handshake behind it, on this side, too. What a client sends together with the end
// of its handshake is not counted.
func handshaken(t *testing.T, e *Engine) {
	t.Helper()
	await(t, "the handshake is over", func() (over bool) {
		onLoop(t, e.Loop(0), func() { over = e.Conns() == 1 && len(e.loops[0].tls.handshakes) == 0 })
		return over
	})
}

// live returns copies of the connections that are open. Their handshakes have to be over.
func live(t *testing.T, e *Engine) (conns []tlsConn) {
	t.Helper()
	onLoop(t, e.Loop(0), func() {
		for _, c := range e.loops[0].tls.conns {
			if c != nil {
				conns = append(conns, *c)
			}
		}
	})
	return conns
}

// barren returns how many records without data have come on them.
func barren(t *testing.T, e *Engine) (n int) {
	t.Helper()
	for _, c := range live(t, e) {
		n += c.taken.barren
	}
	return n
}

// A client that changes its key again and again is cut off, though there is data between its keys. In the course of time it may
// change it as often as it likes.
func TestTLSRecordsWithoutData(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	k, raw := dialKeyChanger(t, addr)
	handshaken(t, e)
	move := stopClock(t, e)
	p := &peer{t, k.tls, bufio.NewReader(k.tls)}
	keys := func(n int) (sent []byte) {
		for range n {
			sent = append(append(sent, k.newKey(keepsKey)...), k.record(dataKind, "x")...)
		}
		return sent
	}
	for range 3 {
		sent := k.record(dataKind, "GET /hello HTTP/1.1\r\nHost: h\r\nName: ")
		sent = append(sent, keys(barrenMost)...)
		raw.Write(append(sent, k.record(dataKind, "\r\n\r\n")...))
		p.hears(200)
		if n := barren(t, e); n != barrenMost {
			t.Fatalf("%d records without data were counted", n)
		}
		move(barrenWindowMS)
	}
	raw.Write(k.record(dataKind, "GET /hello HTTP/1.1\r\nHost: h\r\nName: "))
	raw.Write(keys(barrenMost))
	await(t, "they are counted", func() bool { return barren(t, e) == barrenMost })
	raw.Write(keys(1))
	await(t, "the connection ends", func() bool { return e.Conns() == 0 })
	if got := e.causesOf(tlsConnsEnded, []string{causeTLSBarren}); got[causeTLSBarren] != 1 {
		t.Errorf("counted: %v", got)
	}
}

// Honest clients are not counted, however they divide what they send.
func TestTLSRecordsOfHonestClients(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			e, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 4096}, &TLS{Config: serverConfig()})
			config := clientConfig()
			config.MinVersion, config.MaxVersion = version, version
			for _, size := range []int{0, 1, 500, 20_000, 200_000} {
				for _, piece := range []int{1, 7, 300, 5000, 16 << 10, 1 << 20} {
					if size/piece > 1000 {
						continue
					}
					conn, err := tls.Dial("tcp", addr, config)
					if err != nil {
						t.Fatal(err)
					}
					stopClock(t, e)
					conn.SetDeadline(time.Now().Add(waitMost))
					request := fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("b", size))
					go func() {
						for p := range slices.Chunk([]byte(request), piece) {
							conn.Write(p)
						}
					}()
					response, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(response.Body)
					if len(body) != size || err != nil {
						t.Errorf("a body of %d bytes in pieces of %d: %d came back, error %v", size, piece, len(body), err)
					}
					if n := barren(t, e); n != 0 {
						t.Errorf("a body of %d bytes in pieces of %d: %d records without data were counted", size, piece, n)
					}
					conn.Close()
					await(t, "the connection ends", func() bool { return e.Conns() == 0 })
				}
			}
		})
	}
}

// What the client sends together with the end of its handshake does not confuse the count.
func TestTLSRecordsBesideTheHandshake(t *testing.T) {
	e, addr := startTLS(t, Options{Loops: 1}, Limits{}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	for _, cut := range []int{0, 1, 4, 5, 6, 30, 60, 1000} {
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		late := &heldConn{Conn: raw}
		c := tls.Client(late, clientConfig())
		c.SetDeadline(time.Now().Add(waitMost))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		end := len(late.held) // of the handshake
		for _, part := range []string{"GET /hel", "lo HTTP/1.1\r\nHo", "st: h\r\n\r\n"} {
			c.Write([]byte(part))
		}
		stopClock(t, e)
		p := &peer{t, c, bufio.NewReader(c)}
		cut = min(cut, len(late.held)-end)
		raw.Write(late.held[:len(late.held)-cut])
		handshaken(t, e)
		raw.Write(late.held[len(late.held)-cut:])
		p.hears(200)
		if n := barren(t, e); n != 0 {
			t.Errorf("with %d bytes later: %d records without data were counted", cut, n)
		}
		if r := live(t, e)[0].taken; r.header != 0 || r.body != 0 {
			t.Errorf("with %d bytes later: the end of a record was not seen: %+v", cut, r)
		}
		c.Close()
		await(t, "the connection ends", func() bool { return e.Conns() == 0 })
	}
}

// heldConn keeps what is written after the first message, which is the ClientHello.
type heldConn struct {
	net.Conn
	writes int
	held   []byte
}

func (c *heldConn) Write(p []byte) (int, error) {
	if c.writes++; c.writes > 1 {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}
