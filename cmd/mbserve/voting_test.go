package main

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// voting is a server of the example that uses the names of the later original. Its Unix socket is in a directory of its own.
func voting(t *testing.T) *instance {
	t.Helper()
	return start(t, example("voting.lua"), "0", t.TempDir())
}

// propose sends a proposal with a file, and returns the message that the browser is sent to.
func (s *instance) propose(title, file string, size int) (message string) {
	s.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.WriteField("title", title)
	part, err := w.CreateFormFile("text", file)
	if err != nil {
		s.t.Fatal(err)
	}
	part.Write(bytes.Repeat([]byte("x"), size))
	w.Close()
	resp, text := answer(s.t, "POST", s.url("/propose"), w.FormDataContentType(), b.String())
	return s.message(resp, text)
}

// message is the message in the address that a response redirects to.
func (s *instance) message(resp *http.Response, text string) string {
	s.t.Helper()
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != 303 || to.Host != s.address(0) {
		s.t.Fatalf("%s, %v: %s", resp.Status, resp.Header, text)
	}
	return to.Query().Get("message")
}

func (s *instance) wantText(path string, code int, want string) {
	s.t.Helper()
	resp, text := answer(s.t, "GET", s.url(path), "", "")
	if resp.StatusCode != code || text != want {
		s.t.Errorf("%s: %s, %q; want %d, %q", path, resp.Status, text, code, want)
	}
}

// The whole application, from the first proposal to the end of the vote, which is that of the server.
func TestExampleVoting(t *testing.T) {
	t.Parallel()
	s := voting(t)
	for i, c := range []struct {
		title, file string
		size        int
	}{{"Full moon & <b>more</b>", "moon ü.txt", 100_000}, {"Ähnlich/100 %", "empty", 0}} {
		want := "proposal " + strconv.Itoa(i+1) + ": " + c.file + ", " + strconv.Itoa(c.size) + " bytes"
		if got := s.propose(c.title, c.file, c.size); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if resp, text := answer(t, "POST", s.url("/propose"), "application/x-www-form-urlencoded", "title="); resp.StatusCode != 422 {
		t.Errorf("no title: %s %s", resp.Status, text)
	}
	for n, want := range map[string]string{"2": "1 votes", "3": "no votes", "moon": "no votes"} {
		resp, text := answer(t, "POST", s.url("/vote"), "application/x-www-form-urlencoded", "number="+n)
		if got := s.message(resp, text); got != want {
			t.Errorf("vote for %s: %q, want %q", n, got, want)
		}
	}
	resp, page := answer(t, "GET", s.url("/?message=%3Chi%3E"), "", "")
	for _, part := range []string{"<p>&lt;hi&gt;", "<li>Full moon &amp; &lt;b&gt;more&lt;/b&gt;: 0 votes, 100000 bytes<form",
		"<li>Ähnlich/100 %: 1 votes, 0 bytes<form"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page has no %q:\n%s", part, page)
		}
	}
	if resp.Header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("header %v", resp.Header)
	}
	if resp, text := answer(t, "POST", s.url("/import"), "text/plain", strings.Repeat("b\nc\n", 50)+"half a line"); text != "100 proposals\n" {
		t.Errorf("import: %s %q", resp.Status, text)
	}
	s.wantText("/sorted", 200, "Ähnlich/100 %\n"+strings.Repeat("c\n", 50)+strings.Repeat("b\n", 50)+"Full moon & <b>more</b>\n")
	s.wantText("/live?events=2&pause=0.01", 200, "id: 1\ndata: open\n\nid: 2\ndata: open\n\nevent: end\ndata: over\n\n")
	s.wantText("/health", 200, "204\n")
	s.wantText("/empty", 204, "")
	s.wantText("/nothing", 404, "There is nothing here.\n")
	if resp, text := answer(t, "POST", s.url("/close"), "", ""); text != "closed\n" {
		t.Errorf("close: %s %q", resp.Status, text)
	}
	s.wait("voting: the vote is closed")
	s.exit(exitOK)
	log := s.log.String()
	if n := strings.Count(log, "http_options is ignored"); n != 1 || !strings.Contains(log, `msg="main has ended: stopping" pool=1 name=voting`) {
		t.Errorf("%d warnings of http_options, or not the end of main", n)
	}
}

// What closes the connection, and what a stop interrupts.
func TestExampleVotingConnections(t *testing.T) {
	t.Parallel()
	s := voting(t)
	for _, c := range []struct{ request, want string }{
		{"GET /health HTTP/1.1\r\nHost: " + s.address(0) + "\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		{"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", "HTTP/1.1 404 Not Found\r\n"},
	} {
		p := dial(t, s.address(0))
		p.say("%s", c.request)
		text, err := io.ReadAll(p.r)
		if err != nil || !strings.HasPrefix(string(text), c.want) || !strings.Contains(string(text), "\r\nConnection: close\r\n") {
			t.Errorf("%q, %v; want %q and the end", text, err, c.want)
		}
	}
	p := dial(t, s.address(0))
	p.get("/live?pause=3600")
	for line := ""; line != "data: open\n"; {
		var err error
		if line, err = p.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	s.signal(syscall.SIGTERM)
	if text, err := io.ReadAll(p.r); err != nil || !strings.Contains(string(text), "event: end\ndata: over\n\n") {
		t.Errorf("%q, %v", text, err)
	}
	s.exit(exitOK)
	if !strings.Contains(s.log.String(), "voting: the server stops") || strings.Contains(s.log.String(), "workers were killed") {
		t.Error("main was not told to stop")
	}
}
