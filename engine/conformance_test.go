package engine

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"moonbridge/handler"
	"moonbridge/httpparse/conformance"
)

// The conformance cases of the parser, sent through a socket: what reaches a handler, what is answered, and when the connection
// ends.
func TestConformance(t *testing.T) {
	cases, err := conformance.Load("../httpparse/testdata")
	if err != nil {
		t.Fatal(err)
	}
	mirror := handler.Config{BodyMax: 1 << 20}.OnLoop(handler.Func(func(w *handler.Response, r *handler.Request) {
		body, err := r.Body(1 << 20)
		if err != nil {
			w.Error(400)
			return
		}
		fmt.Fprintf(w, "%s %s\n%s", r.Method(), r.Target(), body)
	}))
	_, addr := start(t, Options{Loops: 2}, Limits{}, mirror)
	_, secured := startTLS(t, Options{Loops: 2}, Limits{}, mirror, &TLS{Config: serverConfig()})
	for _, c := range cases {
		t.Run(c.Where, func(t *testing.T) {
			t.Parallel()
			replay(t, addr, c)
		})
		t.Run(c.Where+" TLS", func(t *testing.T) {
			t.Parallel()
			replayTLS(t, secured, c)
		})
	}
}

func replay(t *testing.T, addr string, c conformance.Case) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	replayOn(t, conn.(*net.TCPConn), c)
}

func replayTLS(t *testing.T, addr string, c conformance.Case) {
	conn, err := tls.Dial("tcp", addr, clientConfig())
	if err != nil {
		t.Fatal(err)
	}
	replayOn(t, conn, c)
}

func replayOn(t *testing.T, conn stream, c conformance.Case) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(waitMost))
	go func() {
		conn.Write(c.Input) // fails where the server refuses early
		conn.CloseWrite()
	}()
	r := bufio.NewReader(conn)
	complete := len(c.Requests)
	if n := complete; n > 0 && (c.End == conformance.Incomplete || c.End == conformance.Reject) {
		// The last one may be refused because of its body. Then it reaches no handler.
		resp, body := hear(t, r, c.Requests[0].Method, n == 1)
		for i := 0; resp != nil && resp.StatusCode == 200; {
			check(t, c.Requests[i], body)
			i++
			last := i >= n-1
			if i == n {
				resp, _ = hear(t, r, "GET", true)
				break
			}
			resp, body = hear(t, r, c.Requests[i].Method, last)
		}
		refused(t, c, resp)
		return
	}
	for i, want := range c.Requests {
		resp, body := hear(t, r, want.Method, false)
		if resp.StatusCode != 200 {
			t.Fatalf("%s: request %d: status %d", c.Name, i, resp.StatusCode)
		}
		if want.Method != "HEAD" {
			check(t, want, body)
		}
	}
	if c.End == conformance.Reject || c.End == conformance.Incomplete {
		resp, _ := hear(t, r, "GET", true)
		refused(t, c, resp)
		return
	}
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("%s: after the last response: %q, %v", c.Name, rest, err)
	}
}

// hear reads a final response. It returns nil if the connection has ended, where that is permitted.
func hear(t *testing.T, r *bufio.Reader, method string, mayEnd bool) (*http.Response, string) {
	t.Helper()
	for {
		if _, err := r.Peek(1); err == io.EOF && mayEnd {
			return nil, ""
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode >= 200 {
			return resp, string(body)
		}
	}
}

func check(t *testing.T, want conformance.Request, body string) {
	t.Helper()
	head, content, _ := strings.Cut(body, "\n")
	if text := want.Method + " " + want.Target; head != text {
		t.Errorf("the handler saw %q, want %q", head, text)
	}
	if text, ok := want.Want["body"]; ok && content != text {
		t.Errorf("the handler saw the body %q, want %q", content, text)
	}
}

// refused checks the answer to bytes that are not a request. It may differ from the parser's: the end of the connection may be
// noticed before a line that is too long (400 instead of 414); the engine answers every broken body with 400, even a trailer
// section that is too long (431); and it has a limit on the length of a body, which the parser alone does not have (413).
func refused(t *testing.T, c conformance.Case, resp *http.Response) {
	t.Helper()
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	switch {
	case c.End == conformance.Reject && status != c.Status && !(status == 400 && (c.Status == 414 || c.Status == 431)):
		t.Errorf("%s: status %d, want %d", c.Name, status, c.Status)
	case c.End == conformance.Incomplete && status != 0 && status != 400 && status != 413:
		t.Errorf("%s: status %d for an incomplete request", c.Name, status)
	case resp != nil && !resp.Close:
		t.Errorf("%s: the connection stays open after status %d", c.Name, resp.StatusCode)
	}
}
