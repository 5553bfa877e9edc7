// Package libraries_test builds the programs in the directories below and uses them as a reader would.
package libraries_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// patience bounds every wait of a test. It is long: nothing here depends on speed.
const patience = 30 * time.Second

// start builds a program, starts it, and returns the address that it logs. At the end of the test it is told to end.
func start(t *testing.T, name, scheme string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(path, "-address", "127.0.0.1:0")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := regexp.MustCompile(scheme + `://(\S+)/`).FindStringSubmatch(lines.Text()); m != nil {
			limit.Reset(4 * patience)
			t.Cleanup(func() {
				cmd.Process.Signal(syscall.SIGTERM)
				rest, _ := io.ReadAll(log)
				cmd.Wait()
				limit.Stop()
				if t.Failed() {
					t.Logf("log of %s:\n%s", name, rest)
				}
			})
			return m[1]
		}
	}
	t.Fatalf("%s has ended: %v", name, cmd.Wait())
	return ""
}

// request sends a request and returns the response with its body.
func request(t *testing.T, method, url, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

func TestChi(t *testing.T) {
	url := "http://" + start(t, "chi", "http")
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/notes/1", "", 404, "404 page not found\n"},
		{"GET", "/notes", "", 200, "[]\n"},
		{"POST", "/notes", "Go to the moon", 201, ""},
		{"GET", "/notes/1", "", 200, "Go to the moon"},
		{"GET", "/notes", "", 200, "[\"Go to the moon\"]\n"},
		{"POST", "/notes", strings.Repeat("x", 16<<10+1), 413, "Content Too Large\n"},
		{"DELETE", "/notes/1", "", 405, ""},
		{"GET", "/none", "", 404, "404 page not found\n"},
	} {
		res, text := request(t, tt.method, url+tt.path, tt.body)
		if res.StatusCode != tt.status || text != tt.want {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, res.StatusCode, text, tt.status, tt.want)
		}
		if at := res.Header.Get("Location"); (at == "/notes/1") != (tt.status == 201) {
			t.Errorf("%s %s: Location %q", tt.method, tt.path, at)
		}
	}
}

// A note is never taken for HTML, and a client that does not read keeps no other one waiting.
func TestChiStaysSafe(t *testing.T) {
	address := start(t, "chi", "http")
	note := "<script>" + strings.Repeat("x", 16<<10-8)
	for range 100 {
		if res, _ := request(t, "POST", "http://"+address+"/notes", note); res.StatusCode != 201 {
			t.Fatal(res.Status)
		}
	}
	if res, _ := request(t, "POST", "http://"+address+"/notes", note); res.StatusCode != 507 {
		t.Errorf("one note too many: %s", res.Status)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, strings.Repeat("GET /notes HTTP/1.1\r\nHost: a\r\n\r\n", 10))
	if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil { // the rest, 16 MiB, waits
		t.Fatal(err)
	}
	res, text := request(t, "GET", "http://"+address+"/notes/1", "")
	if got := res.Header.Get("Content-Type"); text != note || got != "text/plain; charset=utf-8" {
		t.Errorf("%d bytes of type %q", len(text), got)
	}
}

// Uploads that are not complete occupy no handler, whatever they say about their length. Too long ones are refused.
func TestChiSlowUploads(t *testing.T) {
	address := start(t, "chi", "http")
	for i := range 102 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		how := []string{"Transfer-Encoding: chunked\r\n\r\n5\r\nhal", "Content-Length: 10\r\n\r\nhal", "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"}[i%3]
		io.WriteString(conn, "POST /notes HTTP/1.1\r\nHost: a\r\n"+how)
	}
	if res, _ := request(t, "GET", "http://"+address+"/notes", ""); res.StatusCode != 200 {
		t.Error(res.Status)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, "POST /notes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n"+strings.Repeat("x", 20000)+"\r\n0\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 413 {
		t.Error(res, err)
	}
}

// A client of others uses the application, on one connection.
func TestChiCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	url := "http://" + start(t, "chi", "http")
	out, err := exec.CommandContext(t.Context(), "curl", "-sS", "-m", "30", "-w", "%{http_code} %{num_connects}\n",
		"-d", "Go to the moon", url+"/notes", "--next", "-sS", "-m", "30", "-w", "%{http_code} %{num_connects}\n", url+"/notes/1", url+"/none").CombinedOutput()
	if want := "201 1\nGo to the moon200 0\n404 page not found\n404 0\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}

// dial opens a WebSocket connection. The rest of what was read with the response, if anything, is lost to the test.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, early, _, err := ws.Dialer{Timeout: patience}.Dial(t.Context(), "ws://"+address+"/")
	if err != nil || early != nil {
		t.Fatal(err, early)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// exchange sends a frame and checks the one that comes back.
func exchange(t *testing.T, conn net.Conn, f, want ws.Frame) {
	t.Helper()
	go ws.WriteFrame(conn, ws.MaskFrame(f))
	got, err := ws.ReadFrame(conn)
	if err != nil || got.Header != want.Header || !bytes.Equal(got.Payload, want.Payload) {
		t.Fatalf("sent %v: got %v %.100q, %v; want %v %.100q", f.Header, got.Header, got.Payload, err, want.Header, want.Payload)
	}
}

func TestWebsocket(t *testing.T) {
	address := start(t, "websocket", "ws")
	conn := dial(t, address)
	large := bytes.Repeat([]byte("0123456789abcdef"), 15<<10)
	for _, f := range []ws.Frame{
		ws.NewTextFrame([]byte("hello")),
		ws.NewTextFrame(nil),
		ws.NewBinaryFrame(large),
		ws.NewFrame(ws.OpText, false, []byte("in ")),
		ws.NewFrame(ws.OpContinuation, false, []byte("three ")),
		ws.NewFrame(ws.OpContinuation, true, []byte("parts")),
	} {
		exchange(t, conn, f, f)
	}
	exchange(t, conn, ws.NewPingFrame([]byte("x")), ws.NewPongFrame([]byte("x")))
	exchange(t, dial(t, address), ws.NewCloseFrame(nil), ws.NewCloseFrame(nil))
	bye := ws.NewCloseFrame(ws.NewCloseFrameBody(4000, "bye"))
	exchange(t, conn, bye, bye)
	if n, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the close frame: %d, %v", n, err)
	}
}

func TestWebsocketRefuses(t *testing.T) {
	address := start(t, "websocket", "ws")
	for name, tt := range map[string]struct {
		in   string
		want []byte
	}{
		"not masked":             {"\x81\x01x", ws.CompiledCloseProtocolError},
		"of an impossible size":  {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask", ws.CompiledCloseProtocolError},
		"larger than the memory": {"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask" + strings.Repeat("x", 256<<10), nil},
		"a little too large":     {"\x82\xff\x00\x00\x00\x00\x00\x04\x00\x00mask" + strings.Repeat("x", 256<<10), nil},
	} {
		conn := dial(t, address)
		go io.WriteString(conn, tt.in)
		if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, tt.want) {
			t.Errorf("a frame that is %s: %q, %v; want %q", name, got, err, tt.want)
		}
	}
	if res, _ := request(t, "GET", "http://"+address+"/", ""); res.StatusCode < 400 {
		t.Errorf("a request without Upgrade: %d", res.StatusCode)
	}
	for name, text := range map[string]string{
		"half": "G", "without an end": "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", 256<<10),
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, text)
		if name == "half" {
			conn.(*net.TCPConn).CloseWrite()
		}
		if text, err := io.ReadAll(conn); err != nil || len(text) > 0 {
			t.Errorf("a request that is %s: %q, %v", name, text, err)
		}
	}
}

// A request and frames may arrive in as many parts as they have bytes.
func TestWebsocketInParts(t *testing.T) {
	conn, err := net.Dial("tcp", start(t, "websocket", "ws"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	send := func(text []byte) {
		for i := range text {
			if _, err := conn.Write(text[i : i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	send([]byte("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"))
	r := bufio.NewReader(conn)
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", res, err)
	}
	f := ws.NewTextFrame(bytes.Repeat([]byte("x"), 200))
	send(ws.MustCompileFrame(ws.MaskFrame(f)))
	if got, err := ws.ReadFrame(r); err != nil || got.Header != f.Header || !bytes.Equal(got.Payload, f.Payload) {
		t.Errorf("%+v, %v", got, err)
	}
}

// python returns a Python that has the module, or skips the test. A user's own may stand before the system's, which has the
// packages of Debian.
func python(t *testing.T, module string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import "+module).Run() == nil {
			return name
		}
	}
	t.Skipf("no Python with %s: it is in Debian's package python3-%[1]s", module)
	return ""
}

// A client of others understands the server.
func TestWebsocketPython(t *testing.T) {
	python := python(t, "websockets")
	address := start(t, "websocket", "ws")
	out, err := exec.CommandContext(t.Context(), python, "-c", `
import asyncio, sys, websockets
async def main():
	async with websockets.connect("ws://%s/" % sys.argv[1], open_timeout=20, close_timeout=20, compression=None) as c:
		for text in ("hello", "x" * 100000, b"bytes"):
			await c.send(text)
			assert await asyncio.wait_for(c.recv(), 20) == text
		await asyncio.wait_for(await c.ping(), 20)
	print(c.close_code)
asyncio.run(main())
`, address).CombinedOutput()
	if err != nil || string(out) != "1000\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
