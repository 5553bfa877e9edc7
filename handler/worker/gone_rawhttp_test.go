package worker

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// HTTP on a raw connection: the worker itself finds out that the client has gone.

// closeWrite ends the client's sending side.
func (c *rawConn) closeWrite() {
	c.w.t.Helper()
	if err := c.client.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.w.t.Fatal(err)
	}
}

func TestRawHTTPClientGoneAsked(t *testing.T) {
	w, released := goneWorker(t)
	c := w.browse(rawIgnoring)
	c.send("GET /ask HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	if got, _ := body.ReadString(';'); got != "false true;" {
		t.Errorf("got %q", got)
	}
	c.closeWrite()
	release(t, released)
	if got, err := io.ReadAll(body); string(got) != "true false" || err != nil {
		t.Errorf("got %q, %v\n%s", got, err, w.stderr)
	}
	c.over(0)
}

// The handler is ended; the worker goes on.
func TestRawHTTPClientGoneEndsHandler(t *testing.T) {
	w, _ := goneWorker(t)
	for _, path := range []string{"loop", "poll", "write", "coroutine"} {
		c := w.browse(rawEnding)
		c.send("GET /" + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		c.runs()
		c.closeWrite()
		text, err := c.read()
		if (path == "loop" || path == "poll") && (text != "" || err != nil) {
			t.Errorf("got %q, %v; want the end", text, err)
		}
		c.over(0)
	}
	// The end comes with the request: the handler does not begin.
	c := w.browse(rawEnded)
	c.sendEnd("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
	c.expect("")
	c.over(0)
	c = w.browse(rawEnding)
	c.wants("hello", 200, "hello")
	c.leaves()
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
	if s := w.stderr.all(t); s != "" {
		t.Errorf("standard error: %s", s)
	}
}

// If a handler does not end, its worker is ended.
func TestRawHTTPHandlerOutlivesClient(t *testing.T) {
	w, _ := goneWorker(t)
	c := w.browse(rawEndingSoon)
	c.send("GET /blocked HTTP/1.1\r\nHost: x\r\n\r\n")
	w.stderr.wait(t, "runs\n")
	c.closeWrite()
	c.expectReset()
	if status := w.wait(); status.ExitStatus() != exitTimeout {
		t.Errorf("worker ended with %#x", status)
	}
	if s := w.stderr.all(t); strings.Count(s, "\n") != 2 || !strings.Contains(s, "on_client_gone: still running, ending the worker") {
		t.Errorf("standard error: %s", s)
	}
}
