package testrun

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func answer(t *testing.T, r *Run, q ...string) []string {
	t.Helper()
	a, err := r.Answer(t.Context(), q)
	if err != nil {
		t.Fatalf("%q: %v", q, err)
	}
	return a
}

func TestMalformedQuestions(t *testing.T) {
	for _, q := range [][]string{{""}, {"get"}, {"get", "GET", "/", "", "1", "0", "0"}, {"begin"}, {"passed", "not begun"}, {"failed", "a", "b", "c", "d"},
		{"skipped", "a", "b"}, {"broken", "a"}, {"more"}} {
		if a, err := (&Run{}).Answer(t.Context(), q); !errors.Is(err, errQuestion) {
			t.Errorf("%q: %q, %v", q, a, err)
		}
	}
}

func TestFinish(t *testing.T) {
	begun := func(names ...string) *Run {
		r := &Run{}
		for _, name := range names {
			answer(t, r, "begin", name)
			if strings.HasPrefix(name, "bad") {
				answer(t, r, "failed", name, "t.lua:1", "wrong", "")
			} else {
				answer(t, r, "passed", name)
			}
		}
		return r
	}
	dies := begun("good")
	answer(t, dies, "begin", "dies")
	broken := begun()
	answer(t, broken, "broken", "t.lua:2: no", "trace")
	placed := begun()
	answer(t, placed, "begin", "bad")
	answer(t, placed, "failed", "bad", "t.lua:1", "t.lua:1: wrong", "")
	tests := []struct {
		run  *Run
		err  error
		want string
	}{
		{begun(), nil, "<nil>"},
		{begun("good"), nil, "<nil>"},
		{begun("bad"), nil, "t.lua:1: wrong"},
		{placed, nil, "t.lua:1: wrong"},
		{begun("good", "bad 1", "bad 2"), nil, "2 of 3 tests failed; bad 1: t.lua:1: wrong"},
		{dies, errors.New("it died"), "1 of 2 tests failed; dies: it died"},
		{begun("good"), errors.New("it died"), "it died"},
		{broken, nil, "t.lua:2: no\ntrace"},
	}
	for i, tt := range tests {
		if got := fmt.Sprint(tt.run.Finish(tt.err)); got != tt.want {
			t.Errorf("%d: %q, want %q", i, got, tt.want)
		}
	}
}

func TestLongTextsAreCut(t *testing.T) {
	var got *Result
	r := &Run{Report: func(one *Result) { got = one }}
	answer(t, r, "begin", strings.Repeat("n", nameBytesMax+7))
	answer(t, r, "failed", "", strings.Repeat("w", nameBytesMax+1), strings.Repeat("m", textBytesMax+5), strings.Repeat("t", textBytesMax+1))
	if len(got.Name) > nameBytesMax+40 || !strings.HasSuffix(got.Message, "m… (5 more bytes)") || len(got.Trace) > textBytesMax+40 || len(got.Where) > nameBytesMax+40 {
		t.Errorf("%d %d %d %d bytes", len(got.Name), len(got.Where), len(got.Message), len(got.Trace))
	}
}

// served answers one request on one end of a pipe with bytes, and closes it.
func served(t *testing.T, response string) *Run {
	return &Run{IDs: "test-ids-", Dial: func(int, int, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if req, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
				server.Write([]byte(strings.Replace(response, "ID", req.Header.Get("X-Request-ID"), 1)))
			}
		}()
		t.Cleanup(func() { client.Close() })
		return client, nil
	}}
}

func get(t *testing.T, r *Run, fields ...string) []string {
	t.Helper()
	return answer(t, r, append([]string{"get", "GET", "/", "", "30", "0", "0", ""}, fields...)...)
}

func TestClient(t *testing.T) {
	large := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", responseBytesMax+1, strings.Repeat("x", responseBytesMax+1))
	tests := []struct {
		response string
		want     string
	}{
		{"HTTP/1.1 200 OK\r\nX: 1\r\nA: ID\r\nX: 2\r\nContent-Length: 2\r\n\r\nhi", "ok 200 OK hi A test-ids-1 Content-Length 2 X 1 X 2"},
		{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "ok 404 No  Content-Length 0"},
		{"", "error the connection was closed before the response was complete"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "error status 200, then: the connection was closed before the response was complete"},
		{"nonsense\r\n\r\n", "error "},
		{large, "error the response is longer than 16777216 bytes"},
	}
	for _, tt := range tests {
		if got := strings.Join(get(t, served(t, tt.response)), " "); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%.60q: %.200q, want %q", tt.response, got, tt.want)
		}
	}
	r := served(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	if got := get(t, r, "odd"); !slices.Equal(got, []string{"error", "a field has no value"}) {
		t.Errorf("%q", got)
	}
	refused := &Run{Dial: func(int, int, string) (net.Conn, error) { return nil, errors.New("nobody there") }}
	if got := get(t, refused); !slices.Equal(got, []string{"error", "nobody there"}) {
		t.Errorf("%q", got)
	}
}

// The target of a request is sent as it is, whatever it is.
func TestTargets(t *testing.T) {
	for _, target := range []string{"/", "*", "/a?b=c", "//", "//evil.example/x", "//a//b?c=//d", "/%2f/%zz", "//%2f/%zz?%", "/a b", "//a b", "/?", "//a?", "//[::1", "//a#b", "/a#b", `//a"<>`, "//\u00e4"} {
		got := make(chan string, 1)
		r := &Run{Dial: func(int, int, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				line, _ := bufio.NewReader(server).ReadString('\n')
				got <- line
			}()
			t.Cleanup(func() { client.Close() })
			return client, nil
		}}
		answer(t, r, "get", "GET", target, "", "30", "0", "0", "")
		if line := <-got; line != "GET "+target+" HTTP/1.1\r\n" {
			t.Errorf("%q: %q", target, line)
		}
	}
}

// A server that does not answer: the request ends when its time is over, or that of all tests.
func TestClientTimeout(t *testing.T) {
	r := &Run{Dial: func(int, int, string) (net.Conn, error) {
		client, server := net.Pipe()
		t.Cleanup(func() { server.Close() })
		return client, nil
	}}
	if got := answer(t, r, "get", "GET", "/", "", "0.01", "0", "0", ""); !slices.Equal(got, []string{"error", "no response within 10ms"}) {
		t.Errorf("%q", got)
	}
	over, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if got, err := r.Answer(over, []string{"get", "GET", "/", "", "30", "0", "0", ""}); err != nil || got[0] != "error" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "0", "-1", "NaN", "1e9"} {
		if got := answer(t, r, "get", "GET", "/", "", bad, "0", "0", ""); !strings.HasPrefix(got[1], "timeout: ") {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

// reported is what a Reporter writes about a few results.
func reported(t *testing.T, make func(*strings.Builder) Reporter, broken error) string {
	t.Helper()
	var b strings.Builder
	r := make(&b)
	r.Begin()
	r.Result(&Result{Name: "a # b", Took: 1500 * time.Millisecond})
	r.Result(&Result{Name: "<c>\n\x00", Outcome: Failed, Where: "it's:1", Message: "m\nn", Log: []string{"l\nk"}})
	if err := r.End(Counts{Passed: 1, Failed: 1}, broken, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReporters(t *testing.T) {
	broken := errors.New("broken\noff")
	tests := []struct{ got, want string }{
		{reported(t, func(b *strings.Builder) Reporter { return NewText(b) }, broken), "ok    a # b (1.5s)\nFAIL  <c>\n\x00 (0s)\n      it's:1\n      m\n      n\n      logged for this test:\n        l\n        k\n" +
			"FAIL  the tests could not be run\n      broken\n      off\n2 tests: 1 passed, 1 failed, 0 skipped (2s)\n"},
		{reported(t, func(b *strings.Builder) Reporter { return NewTAP(b) }, nil), "TAP version 13\nok 1 - a \\# b\nnot ok 2 - <c> \x00\n  ---\n  at: 'it''s:1'\n  message: |\n    it's:1\n    m\n    n\n" +
			"    logged for this test:\n      l\n      k\n  ...\n1..2\n"},
		{reported(t, func(b *strings.Builder) Reporter { return NewTAP(b) }, broken), "Bail out! broken off\n"},
		{reported(t, func(b *strings.Builder) Reporter { return NewJUnit(b, "s") }, broken), `<testsuite name="s" tests="3" failures="1" errors="1" skipped="0" time="2.000">`},
		{reported(t, func(b *strings.Builder) Reporter { return NewJUnit(b, "s") }, broken), `<testcase name="&lt;c&gt;&#xA;�" classname="s" time="0.000">`},
		{reported(t, func(b *strings.Builder) Reporter { return NewJUnit(b, "s") }, broken), "<error>broken&#xA;off</error>"},
	}
	for _, tt := range tests {
		if !strings.Contains(tt.got, tt.want) {
			t.Errorf("got\n%s\nwant\n%s", tt.got, tt.want)
		}
	}
}
