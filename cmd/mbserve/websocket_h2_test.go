package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"moonbridge/handler/websocket/wstest"
	"moonbridge/httpwrite"
)

// echoTarget is a server of HTTP/1.1 that changes to WebSocket, and sends back what it gets: frames of a browser without their masks. With
// wrong, it does not know the answer to the key.
func echoTarget(t *testing.T, wrong bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accept := httpwrite.WebSocketAccept([]byte(r.Header.Get("Sec-WebSocket-Key")))
		if wrong {
			accept[0] ^= 1
		}
		if r.ProtoMajor != 1 || r.Method != "GET" || r.Header.Get("Upgrade") != "websocket" {
			http.Error(w, "no handshake", 400)
			return
		}
		c, b, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept[:])
		echoFrames(c, b.Reader)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// echoFrames sends small masked frames back without their masks.
func echoFrames(w io.Writer, r *bufio.Reader) {
	for {
		head, err := r.Peek(6)
		if err != nil {
			return
		}
		n := int(head[1] & 0x7f)
		b := make([]byte, 6+n)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		for i := range n {
			b[6+i] ^= b[2+i%4]
		}
		w.Write(append([]byte{b[0], byte(n)}, b[6:]...))
	}
}

// startSocketsH2 starts a server with options in front of the script.
func startSocketsH2(t *testing.T, wrong bool, options ...string) *instance {
	t.Helper()
	dir := t.TempDir()
	certificateFiles(t, dir, "a", "a.test")
	return start(t, append(options, "testdata/websocket_h2.lua", echoTarget(t, wrong), dir)...)
}

// Over HTTP/2 a handler sees the opening handshake of HTTP/1.1. Proxies pass it on to targets that know nothing else, and check the answer.
func TestWebSocketH2(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	s := startSocketsH2(t, false, "--access-log", log, "--access-format", "json")
	conn, err := net.Dial("tcp", s.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := wstest.NewH2(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/echo", "/blocking"} {
		w := socketOn(t, c.Open(), target, "Sec-WebSocket-Protocol: other, echo\r\n"+deflateOffer)
		if got := w.hears(); got != "open GET 2 upgrade websocket 13 24" {
			t.Errorf("%q", got)
		}
		h := w.Response.Header
		if h.Get("Sec-WebSocket-Protocol") != "echo" || w.Compresses() != (target == "/echo") {
			t.Errorf("%s: %v", target, h)
		}
		w.exchanges()
	}
	w := socketOn(t, c.Open(), "/proxied", "")
	w.asks("through the proxy", "through the proxy")
	w.Conn.Close()
	for target, want := range map[string]string{"/none": "403", "/page": "501", "/proxied": ""} {
		_, err := wstest.Open(c.Open(), target, "")
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v", target, err)
		}
	}
	eventually(t, "lines of the access log", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Count(string(text), `"status":101`) == 4 && strings.Count(string(text), `HTTP/2`) >= 4
	})
}

// A target that does not know the answer to the key is none (RFC 6455 §4.1).
func TestWebSocketH2WrongAnswer(t *testing.T) {
	t.Parallel()
	s := startSocketsH2(t, true)
	conn, err := wstest.DialH2(s.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := wstest.Open(conn, "/proxied", ""); err == nil || !strings.HasPrefix(err.Error(), "502") {
		t.Errorf("%v", err)
	}
}

// Many WebSockets on one connection, through a reload, a replacement of the process, and its end.
func TestWebSocketsOfOneConnection(t *testing.T) {
	t.Parallel()
	pidName := filepath.Join(t.TempDir(), "pid")
	s := launch(t, "-p", pidName, "--admin", loopbackPort, "testdata/websocket.lua")
	s.wait("msg=ready")
	open := func() (*wstest.H2, []*socket) {
		t.Helper()
		conn, err := net.Dial("tcp", s.address(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		c, err := wstest.NewH2(conn)
		if err != nil {
			t.Fatal(err)
		}
		all := make([]*socket, 100)
		for i := range all {
			all[i] = socketOn(t, c.Open(), fmt.Sprintf("/?handler=quiet&channel=room&state=%d", i), "")
		}
		return c, all
	}
	_, all := open()
	for i, w := range all {
		w.asks("count", fmt.Sprint(i+1))
	}
	if n := s.figures()["moonbridge_websockets"]; n != 100 {
		t.Errorf("%v WebSockets are counted", n)
	}
	s.mustReload()
	all[0].says("publish to all")
	heard := 0
	for i, w := range all {
		for k := 0; k < 2; k++ {
			got := w.hears()
			if got == "to all" {
				heard++
			}
			if i > 0 || t.Failed() {
				break
			}
		}
	}
	if heard != 100 {
		t.Errorf("%d have heard the message", heard)
	}
	old, pid := s.pid(), 0
	s.signal(syscall.SIGUSR2)
	for _, w := range all {
		w.leaves(1012)
	}
	s.awaitExit()
	eventually(t, "the pid file has the new process", func() bool {
		text, _ := os.ReadFile(pidName)
		fmt.Sscan(string(text), &pid)
		return pid != 0 && pid != old
	})
	_, all = open()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	for _, w := range all {
		w.leaves(1001)
	}
	s.endOf(pid)
}

// Chromium opens WebSockets on its connection with HTTP/2 when the server says that it may.
func TestWebSocketH2InBrowser(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	s := startSocketsH2(t, false, "--access-log", log, "--access-format", "json")
	b := openPage(t, "https://"+s.addresses()[1]+"/", "--ignore-certificate-errors")
	b.until(`document.getElementById("version").textContent === "2"`)
	for target, first := range map[string]string{"/echo": "open GET 2 upgrade websocket 13 24", "/blocking": "open GET 2 upgrade websocket 13 24", "/proxied": ""} {
		b.eval(fmt.Sprintf(`(() => {
			window.seen = [];
			const ws = new WebSocket("wss://" + location.host + %q, %s);
			ws.onopen = () => { ws.send("hello"); if (ws.protocol) ws.send("x".repeat(100000)); };
			ws.onmessage = (e) => {
				seen.push(e.data.length > 100 ? "x" + e.data.length : e.data);
				if (seen.length === (ws.protocol ? 3 : 1)) ws.close(3001);
			};
			ws.onclose = (e) => { seen.push(ws.protocol, e.code, e.wasClean); window.done = %q; };
		})()`, target, map[bool]string{true: "[]", false: `["other", "echo"]`}[first == ""], target))
		b.until(fmt.Sprintf(`window.done === %q`, target))
		want := first + "|hello|x100000|echo|3001|true"
		if first == "" {
			want = "hello||3001|true"
		}
		if got := b.eval(`seen.join("|")`); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	// An error is one, as over HTTP/1.1, and the page goes on.
	b.eval(`(() => { const ws = new WebSocket("wss://" + location.host + "/none"); ws.onclose = (e) => { window.failed = e.code } })()`)
	b.until(`window.failed === 1006`)
	eventually(t, "lines of the access log", func() bool {
		text, _ := os.ReadFile(log)
		n := 0
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"status":101`) && strings.Contains(line, "HTTP/2") || strings.Contains(line, `"status":403`) && strings.Contains(line, "HTTP/2") {
				n++
			}
		}
		return n == 4
	})
}
