package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"moonbridge/handler/websocket/wstest"
)

// A call of listen by code that runs within another one makes a pool of its own.
func TestListenWithinListen(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/finalizers.lua")
	conn, err := net.Dial("tcp", s.tcp(0))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if b, err := io.ReadAll(conn); string(b) != "outer" {
		t.Errorf("%q, %v", b, err)
	}
	for n, want := range map[int]string{1: "inner", 2: "nil 0"} {
		if _, body, err := fetch("GET", "http://"+s.tcp(n)+"/", ""); body != want {
			t.Errorf("listener %d: %q, want %q (%v)", n, body, want, err)
		}
	}
}

// Code of the application that runs while a function of the server's works on something takes nothing away from it.
func TestWithinFunctions(t *testing.T) {
	t.Parallel()
	s := start(t, "--trace", "testdata/finalizers.lua")
	for path, want := range map[string]string{
		"handle": "200000",
		"file":   "attempt to use a closed file",
	} {
		if _, body, err := fetch("GET", "http://"+s.tcp(1)+"/"+path, ""); body != want {
			t.Errorf("%s: %q, want %q (%v)", path, body, want, err)
		}
	}
	for _, c := range []struct {
		listener                int
		path, field, body, want string
	}{
		{1, "not_modified", "If-None-Match: \"" + strings.Repeat("e", 100) + "\"\r\nContent-Type: application/x-www-form-urlencoded",
			"field=x", "HTTP/1.1 412 Precondition Failed"},
		{2, "", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", strings.Repeat("x", 4<<20), "00-0af7651916cd43dd8448eb211c80319c-"},
	} {
		conn, err := net.Dial("tcp", s.tcp(c.listener))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n\r\n%s", c.path, len(c.body), c.field, c.body)
		if b, err := io.ReadAll(bufio.NewReader(conn)); !strings.Contains(string(b), c.want) {
			t.Errorf("%s: %.300q, want %q (%v)", c.path, b, c.want, err)
		}
	}
	if n := s.count("worker ended"); n > 0 {
		t.Errorf("%d workers have died", n)
	}
}

// The same for accept_websocket, and for a response that such code sends.
func TestWithinAccept(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/finalizers.lua")
	openSocket(t, s.tcp(3), "/", "").asks("x", "sss")
	conn, err := net.Dial("tcp", s.tcp(3))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /answered HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); string(b) != "answered" {
		t.Errorf("%s: %q, %v", res.Status, b, err)
	}
	s.out.wait(t, 0, "accept_websocket: a response has already begun")
}

// The object of a WebSocket's event is refused when the handler has failed and the worker ends: its connection may be that of
// another worker by then.
func TestWebSocketObjectAfterFailure(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/finalizers.lua")
	c := openSocket(t, s.tcp(4), "/", "")
	c.Message(wstest.Text, []byte("x"), 0)
	s.wait("failed on purpose", "in=websocket")
	if line := s.out.wait(t, 0, "late"); !strings.Contains(line, "false") {
		t.Errorf("%s", line)
	}
}

// An error of a finalizer ends neither the start of the server nor a worker that is about to serve.
func TestFinalizerErrors(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/finalizer_errors.lua")
	var body string
	for range 2 { // LuaJIT passes the second error on to the first request
		if res, text, err := fetch("GET", s.url("/"), ""); err == nil && res.StatusCode == http.StatusOK {
			body = text
		}
	}
	if body != "served" {
		t.Errorf("%q", body)
	}
	if n := s.count("worker ended"); n > 0 {
		t.Errorf("%d workers have died", n)
	}
}
