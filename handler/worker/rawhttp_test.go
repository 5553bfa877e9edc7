package worker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
	"moonbridge/httpwrite"
)

// Handlers of generate_handler that a connect handler calls with its socket (testdata/rawhttp.lua).

func rawHTTPWorker(t *testing.T) *worker {
	t.Helper()
	return mustLoad(t, "rawhttp.lua").fork(0, small)
}

// httpClient speaks HTTP on a raw connection.
type httpClient struct {
	*rawConn
	r *bufio.Reader
}

func (w *worker) browse(listener uint16) *httpClient {
	w.t.Helper()
	c := w.connect(listener)
	return &httpClient{c, bufio.NewReader(c.client)}
}

// ask sends a request, with \n as line end and without Host, and returns status and body of the response.
func (c *httpClient) ask(head, body string) (int, string) {
	c.w.t.Helper()
	c.send(strings.ReplaceAll(head, "\n", "\r\n") + "\r\nHost: x\r\n\r\n" + body)
	method, _, _ := strings.Cut(head, " ")
	return c.hear(method)
}

func (c *httpClient) hear(method string) (int, string) {
	c.w.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.w.t.Fatalf("%v\nstderr: %s", err, c.w.stderr)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// wants asks with GET, for a path, and checks the answer.
func (c *httpClient) wants(path string, status int, body string) {
	c.w.t.Helper()
	if gotStatus, got := c.ask("GET /"+path+" HTTP/1.1", ""); gotStatus != status || got != body {
		c.w.t.Errorf("%s: status %d, body %q; want %d, %q", path, gotStatus, got, status, body)
	}
}

// leaves ends the connection from this side.
func (c *httpClient) leaves() {
	c.w.t.Helper()
	c.client.Close()
	c.over(0)
}

func TestRawHTTPRequests(t *testing.T) {
	w := rawHTTPWorker(t)
	for range 2 {
		c := w.browse(0)
		c.wants("hello", 200, "hello")
		c.wants("hello?a=b", 200, "hello")
		if status, _ := c.ask("HEAD /hello HTTP/1.1", ""); status != 200 {
			t.Errorf("HEAD: %d", status)
		}
		if _, got := c.ask("POST /body HTTP/1.1\nContent-Length: 4", "body"); got != "body" {
			t.Errorf("body: %q", got)
		}
		if _, got := c.ask("POST /form HTTP/1.1\nX-Y: z\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 5",
			"a=b+c"); got != "POST b c z" {
			t.Errorf("form: %q", got)
		}
		if status, got := c.ask("POST /body HTTP/1.1\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"); got != "abc" {
			t.Errorf("chunked: %d %q", status, got)
		}
		_, remote, _ := net.SplitHostPort(c.client.LocalAddr().String())
		_, local, _ := net.SplitHostPort(c.client.RemoteAddr().String())
		c.wants("address", 200, "same "+remote+" "+local)
		c.leaves()
	}
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x\n%s", status, w.stderr)
	}
}

// Bodies above a window, both ways, one after the other and at once.
func TestRawHTTPLargeBodies(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	body := strings.Repeat("0123456789abcdef", 1<<16)
	long := strings.Repeat("x", 100<<10)
	for _, path := range []string{"body", "stream"} {
		for _, field := range []string{"", "\nX: " + long} {
			go fmt.Fprintf(c.client, "POST /%s HTTP/1.1\r\nHost: x%s\r\nContent-Length: %d\r\n\r\n%s",
				path, strings.ReplaceAll(field, "\n", "\r\n"), len(body), body)
			if status, got := c.hear("POST"); status != 200 || got != body {
				t.Fatalf("%s: status %d, %d bytes, want %d", path, status, len(got), len(body))
			}
		}
	}
	c.leaves()
}

func TestRawHTTPPipelining(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	c.send(strings.Repeat("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 100) + "GET /hello HTTP/1.0\r\n\r\n")
	for range 101 {
		if status, got := c.hear("GET"); status != 200 || got != "hello" {
			t.Fatalf("status %d, body %q", status, got)
		}
	}
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	c.over(0)
}

func TestRawHTTPExpect(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	c.send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	got := make([]byte, len(httpwrite.Continue))
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != httpwrite.Continue {
		t.Fatalf("%q, %v", got, err)
	}
	c.send("body")
	if status, body := c.hear("POST"); status != 200 || body != "body" {
		t.Errorf("status %d, body %q", status, body)
	}
	// Whether the handler reads it is not known before it is there.
	c.send("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != httpwrite.Continue {
		t.Fatalf("%q, %v", got, err)
	}
	c.send("body")
	if status, body := c.hear("POST"); status != 200 || body != "hello" {
		t.Errorf("status %d, body %q", status, body)
	}
	c.leaves()
}

func TestRawHTTPErrors(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	c.wants("fail", 500, "Internal Server Error\n")
	w.stderr.wait(t, "GET /fail: ")
	c.wants("hello", 200, "hello")
	c.send("GET /fail_late HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := c.expectReset(); !strings.Contains(got, "4\r\nsome\r\n") || strings.Contains(got, "0\r\n\r\n") {
		t.Errorf("got %q", got)
	}
	w.stderr.wait(t, "GET /fail_late: ")
	c.over(0)
	c = w.browse(0)
	c.wants("hello", 200, "hello")
	c.leaves()
}

// A body that breaks off is no fault of the application's.
func TestRawHTTPBodyBreaksOff(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	c.sendEnd("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab")
	if status, body := c.hear("POST"); status != 400 || body != "Bad Request\n" {
		t.Errorf("status %d, body %q", status, body)
	}
	c.over(0)
	c = w.browse(0)
	go fmt.Fprintf(c.client, "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", 20_000_000,
		bytes.Repeat([]byte("x"), 20_000_000))
	if status, body := c.hear("POST"); status != 413 || body != "Content Too Large\n" {
		t.Errorf("status %d, body %q", status, body)
	}
	c.client.Close()
	c.over(0)
	w.quit()
	if s := w.stderr.all(t); s != "" {
		t.Errorf("standard error: %s", s)
	}
}

// Data that has reached minimum_output_chunk_size goes out while the handler goes on.
func TestRawHTTPOutputGoesOut(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	mark := filepath.Join(t.TempDir(), "mark")
	c.send("GET /hold?" + mark + " HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 2000)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(resp.Body); string(rest) != "end" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	c.wants("hello", 200, "hello")
	c.leaves()
}

// An idle connection does not keep a worker that is told to quit.
func TestRawHTTPQuit(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	c.wants("hello", 200, "hello")
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x\n%s", status, w.stderr)
	}
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("error %v, want the end", err)
	}
	c.over(0)

	// A response in progress says that it is the last.
	w = rawHTTPWorker(t)
	c = w.browse(0)
	c.send("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	io.ReadFull(c.r, make([]byte, len(httpwrite.Continue)))
	w.mem.InWorker(0).Quit.Store(1)
	c.send("body")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !resp.Close {
		t.Error("the response does not say that it is the last")
	}
	c.client.Close()
	c.over(0)
	if status := w.wait(); status != 0 {
		t.Errorf("worker ended with %#x\n%s", status, w.stderr)
	}
}

// false from the callback ends the connection after the requests that are there, and then the worker.
func TestRawHTTPRetires(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	c.send("GET /last HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 2 {
		if status, body := c.hear("GET"); status != 200 || body != "hello" {
			t.Errorf("status %d, body %q", status, body)
		}
	}
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("error %v, want the end", err)
	}
	c.over(shm.ResultRetire)
	if status := w.wait(); status != 0 {
		t.Errorf("worker ended with %#x\n%s", status, w.stderr)
	}
}

// The peer sees everything that the handler does to the socket.
func TestRawHTTPSocketOfRequest(t *testing.T) {
	f := mustLoad(t, "rawhttp.lua")
	w := f.fork(0, small)
	c := w.browse(0)
	c.send("GET /cancel HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := c.expectReset(); !strings.Contains(got, "4\r\nsome\r\n") {
		t.Errorf("got %q", got)
	}
	c.over(0)
	c = w.browse(0)
	c.send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n")
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%q, %v", rest, err)
	}
	c.over(0)
	c = w.browse(0)
	c.wants("nested", 200, "handler: called while a request is already being handled; only a connect handler may call it, with its socket")
	c.leaves()
	w.quit()
	f.out.wait(t, "client has closed the connection")
}

// What the connect handler has read and written before it gives the socket to the handler stays in its place.
func TestRawHTTPBeforeAndAfter(t *testing.T) {
	f := mustLoad(t, "rawhttp.lua")
	w := f.fork(0, small)
	c := w.browse(1)
	c.send("a line\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
	line, err := c.r.ReadString('\n')
	if line != "a line\n" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if status, body := c.hear("GET"); status != 200 || body != "hello" {
		t.Errorf("status %d, body %q", status, body)
	}
	c.wants("hello", 200, "hello")
	c.leaves()
	w.quit()
	f.out.wait(t, "true\tclosed\twrite: the socket is closed\n")
	f.out.wait(t, "handler: the socket is closed\n")
}

func TestRawHTTPMisuse(t *testing.T) {
	f := mustLoad(t, "rawhttp.lua")
	w := f.fork(0, small)
	c := w.connect(2)
	c.read()
	c.over(0)
	e := w.start(request{listener: 3, interval: "tick"})
	e.finish()
	w.quit()
	for _, want := range []string{
		"expected the socket of the connect handler as its argument, got a nil\n",
		"expected the socket of the connect handler as its argument, got a number\n",
		"expected the socket of the connect handler as its argument, got a table\n",
		"handler: the output of the socket is closed\n",
		"handler: an interval timer has no connection\n",
		"handler: only a connect handler may call it\n",
	} {
		f.out.wait(t, want)
	}
}

// A time limit that a callback sets ends with its request, one around all of them does not.
func TestRawHTTPTimeouts(t *testing.T) {
	w := rawHTTPWorker(t)
	for listener, want := range map[uint16]string{0: "none", 4: "some"} {
		c := w.browse(listener)
		c.wants("hurry", 200, "hello")
		c.wants("rest", 200, want)
		c.leaves()
	}
}

// When the limit around all requests is reached, the log names the place that has set it, and no request that was answered before.
func TestRawHTTPTimeoutAround(t *testing.T) {
	w := rawHTTPWorker(t)
	script, err := os.ReadFile("testdata/rawhttp.lua")
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := bytes.Cut(script, []byte("-- around all requests"))
	want := fmt.Sprintf("connection: testdata/rawhttp.lua:%d: timeout: still running, ending the worker\n", 1+bytes.Count(before, []byte("\n")))
	c := w.browse(5)
	c.send("GET /limited HTTP/1.1\r\nHost: x\r\n\r\n")
	c.over(shm.ResultRetire)
	if status := w.wait(); status.ExitStatus() != exitTimeout {
		t.Errorf("worker ended with %#x", status)
	}
	if got := w.stderr.all(t); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A response that is complete remains so when its worker ends: the client sees a regular end.
func TestRawHTTPEndAfterResponse(t *testing.T) {
	for _, path := range []string{"overtime", "exit", "exit_closed"} {
		w := rawHTTPWorker(t)
		c := w.browse(0)
		c.wants(path, 200, "hello")
		if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil {
			t.Errorf("%s: after the response: %q, %v; want the end", path, b, err)
		}
		if status := w.wait(); status.ExitStatus() != exitTimeout {
			t.Errorf("%s: worker ended with %#x", path, status)
		}
	}
}

// So does one whose request has a body of which a part is unread.
func TestRawHTTPEndWithBody(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(0)
	seen := filepath.Join(t.TempDir(), "seen")
	c.send("POST /exit_early?" + seen + " HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 100_000))
	raw, err := c.client.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for left := 1; left > 0; time.Sleep(time.Millisecond) {
		raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(seen, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, body := c.hear("POST"); status != 200 || body != "hello" {
		t.Errorf("%d %q", status, body)
	}
	if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil {
		t.Errorf("after the response: %q, %v; want the end", b, err)
	}
	if status := w.wait(); status.ExitStatus() != exitTimeout {
		t.Errorf("worker ended with %#x", status)
	}
}

// So does one that its client has not taken yet, when the worker ends between two requests.
func TestRawHTTPEndBetweenRequests(t *testing.T) {
	w := rawHTTPWorker(t)
	c := w.browse(6)
	if err := c.client.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	c.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
	if status := w.wait(); status.ExitStatus() != exitTimeout {
		t.Errorf("worker ended with %#x", status)
	}
	if status, body := c.hear("GET"); status != 200 || len(body) != 400_000 {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil {
		t.Errorf("after the response: %q, %v; want the end", b, err)
	}
}

// Nothing stays open.
func TestRawHTTPDescriptors(t *testing.T) {
	w := rawHTTPWorker(t)
	count := func() int {
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.pid))
		if err != nil {
			t.Skip("the descriptors of a process cannot be listed: ", err)
		}
		return len(all)
	}
	const conns = 50
	before := count()
	for range conns {
		c := w.browse(0)
		c.wants("hello", 200, "hello")
		c.leaves()
	}
	// The Go runtime opens a few of its own when it first keeps time.
	if n := count(); n-before > conns/5 {
		t.Errorf("%d descriptors after %d connections, %d before", n, conns, before)
	}
}
