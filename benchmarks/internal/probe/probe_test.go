package probe

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	const in = "HTTP/1.1 200 OK\r\nDate: today\r\ncontent-length: 5\r\nX:  a b \r\n\r\nhello" + "HTTP/1.1 204 next"
	a, err := Read(bufio.NewReader(strings.NewReader(in)))
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != "200 OK" || string(a.Body) != "hello" || a.Head != strings.Index(in, "hello") || len(a.Fields) != 3 {
		t.Errorf("got %+v", a)
	}
	if v, there := a.Get("x"); !there || v != "a b" {
		t.Errorf("field X: %q, %v", v, there)
	}
	if _, there := a.Get("Server"); there {
		t.Error("a field that was not sent")
	}
}

func TestReadChunks(t *testing.T) {
	const in = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n, world!\r\n\r\n0\r\n\r\n"
	r := bufio.NewReader(strings.NewReader(in + "next"))
	a, err := Read(r)
	if err != nil || string(a.Body) != "hello, world!\r\n" {
		t.Errorf("got %q, %v", a.Body, err)
	}
	if rest, _ := r.Peek(4); string(rest) != "next" {
		t.Errorf("%q follows", rest)
	}
}

func TestReadRefuses(t *testing.T) {
	tests := []struct{ name, in string }{
		{"nothing", ""},
		{"another protocol", "SSH-2.0 x\r\n\r\n"},
		{"old version", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"head cut short", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"},
		{"field without colon", "HTTP/1.1 200 OK\r\nContent\r\n\r\n"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n"},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
		{"unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n"},
		{"chunks without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"},
		{"chunk cut short", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab"},
		{"chunk longer than announced", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"},
		{"chunk without length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"},
		{"huge chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n"},
		{"trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: b\r\n\r\n"},
		{"body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"},
		{"endless line", "HTTP/1.1 200 " + strings.Repeat("x", 1<<17)},
		{"endless head", "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 1<<15)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if a, err := Read(bufio.NewReader(strings.NewReader(test.in))); err == nil {
				t.Errorf("taken as %+v", a)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	if got, want := string(Request("GET", "h:1", "/a", nil)), "GET /a HTTP/1.1\r\nHost: h:1\r\n\r\n"; got != want {
		t.Errorf("got %q", got)
	}
	want := "POST / HTTP/1.1\r\nHost: h:1\r\nContent-Length: 2\r\n\r\nab"
	if got := string(Request("POST", "h:1", "/", []byte("ab"))); got != want {
		t.Errorf("got %q", got)
	}
}

// serve answers requests on a new listener. respond returns the answer to the n-th request of a connection; "" closes
// the connection.
func serve(t *testing.T, respond func(n int) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			for n := 0; ; n++ {
				line, err := r.ReadString('\n')
				for err == nil && line != "\r\n" {
					line, err = r.ReadString('\n')
				}
				answer := respond(n)
				if err != nil || answer == "" {
					break
				}
				fmt.Fprint(conn, answer)
			}
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func to(address string) Dialer {
	return func() (*Client, error) { return Dial(address, time.Minute) }
}

func TestGet(t *testing.T) {
	address := serve(t, func(n int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
	})
	first, second, err := Get(to(address), Request("GET", address, "/", nil))
	if err != nil || string(first.Body) != "0" || string(second.Body) != "1" {
		t.Errorf("got %q, %q, %v", first.Body, second.Body, err)
	}
	closing := serve(t, func(n int) string {
		if n > 0 {
			return ""
		}
		return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	})
	if _, _, err := Get(to(closing), Request("GET", closing, "/", nil)); err == nil {
		t.Error("a server that closes after one answer was accepted")
	}
}

func TestDialTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "secret") }))
	defer server.Close()
	address := server.Listener.Addr().String()
	answer, err := GetOnce(func() (*Client, error) { return DialTLS(address, time.Minute) }, Request("GET", address, "/", nil))
	if err != nil || string(answer.Body) != "secret" {
		t.Errorf("got %q, %v", answer.Body, err)
	}
	if _, err := DialTLS(serve(t, func(int) string { return "" }), time.Millisecond); err == nil {
		t.Error("a server without TLS was accepted")
	}
}
