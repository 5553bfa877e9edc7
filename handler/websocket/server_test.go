package websocket

import (
	"bufio"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/websocket/wstest"
)

// open makes a connection to the server under test.
func open(t testing.TB, address, fields string) *wstest.Client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, waitMost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c, err := wstest.Open(conn, "/", fields)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func waitFor(t testing.TB, from <-chan event, what string) event {
	t.Helper()
	select {
	case e := <-from:
		return e
	case <-time.After(waitMost):
		t.Fatalf("no %s", what)
		return event{}
	}
}

// A request that is no handshake, or that the program does not accept, gets a response; others get what Accept has chosen.
func TestServer(t *testing.T) {
	address, _ := serve(t, New(Options{}), echoing{}, func(r *Request, a *Answer) int {
		if string(r.Field("origin")) != "https://here" || !r.Remote.IsValid() {
			return 403
		}
		a.Protocol = Protocol(r.Head, []string{"v2", "v1"})
		a.Fields = "X-Path: " + string(r.Bytes(r.Path)) + "\r\n"
		return 0
	})
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n": 426,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n":                                               403,
		"GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://here\r\nContent-Length: 1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nx": 400,
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte(request))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != want || want == 426 && res.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("%q: %v, %v, want %d", request, res, err, want)
		}
		conn.Close()
	}
	c := open(t, address, "Origin: https://here\r\nSec-WebSocket-Protocol: v0, v1\r\n")
	if h := c.Response.Header; h.Get("Sec-WebSocket-Protocol") != "v1" || h.Get("X-Path") != "" || len(h["X-Path"]) != 1 {
		t.Errorf("%v", h)
	}
	c.Message(wstest.Text, []byte("hello"), 0)
	c.Wants(wstest.Text, []byte("hello"))
	c.Close(1000)
}

// Peers that go away without a word are noticed, and one that drains is told.
func TestPeersVanish(t *testing.T) {
	h := echoing{make(chan event, 10)}
	address, en := serve(t, New(Options{Close: 100 * time.Millisecond}), h, nil)
	open(t, address, "").Conn.Close()
	if e := waitFor(t, h.closed, "end after FIN"); e.code != CodeAbnormal {
		t.Errorf("FIN: %v", e)
	}
	c := open(t, address, "")
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Conn.Close()
	if e := waitFor(t, h.closed, "end after RST"); e.code != CodeAbnormal {
		t.Errorf("RST: %v", e)
	}
	c, silent := open(t, address, ""), open(t, address, "")
	drained := make(chan error, 1)
	go func() { drained <- en.Drain(t.Context()) }()
	c.WantsCloseFrame(CodeGoingAway)
	c.Send(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.CloseFrame, Payload: wstest.ClosePayload(CodeGoingAway, "")})
	c.WantsEnd()
	for range 2 {
		if e := waitFor(t, h.closed, "end after Drain"); e.code != CodeGoingAway {
			t.Errorf("Drain: %v", e)
		}
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	silent.WantsCloseFrame(CodeGoingAway)
}

// A peer that sends and does not read: the server stops to read, holds no more than its bound, and goes on when the peer reads.
func TestEchoToPeerThatDoesNotRead(t *testing.T) {
	address, _ := serve(t, New(Options{MaxHeld: 1 << 20}), echoing{}, nil)
	c := open(t, address, "")
	piece := strings.Repeat("x", 50_000)
	const count = 400 // 20 MB: more than the buffers of the sockets hold
	go func() {
		for range count {
			c.Message(wstest.Text, []byte(piece), 0)
		}
	}()
	for range count {
		c.Wants(wstest.Text, []byte(piece))
	}
	c.Close(1000)
}

// A connection without traffic costs at most 3 KiB, with what the engine has of it, and here with what the client has.
func TestIdleMemory(t *testing.T) {
	n := 500 // the client makes a compressor for each
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || uint64(files.Cur) < uint64(3*n) {
		t.Skipf("%d open files are allowed", files.Cur)
	}
	e := New(Options{Compression: &Compression{}})
	address, _ := serve(t, e, echoing{}, nil)
	conns := make([]net.Conn, n)
	before := heap()
	for i := range conns {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
	}
	for i, conn := range conns {
		c, err := wstest.Open(conn, "/", "Sec-WebSocket-Extensions: permessage-deflate\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			c.Message(wstest.Text, []byte(strings.Repeat("hello ", 100)), 0)
			c.Receive()
		}
	}
	for began := time.Now(); e.Conns() != int64(n); { // the client has the answer before the last one is counted
		if time.Since(began) > time.Minute {
			t.Fatalf("%d connections", e.Conns())
		}
		time.Sleep(time.Millisecond)
	}
	each := (heap() - before) / int64(n)
	t.Logf("%d bytes for each connection, with the client's side", each)
	if each > 3<<10 {
		t.Errorf("%d bytes for each connection", each)
	}
}

func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
