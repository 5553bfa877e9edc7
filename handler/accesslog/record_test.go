package accesslog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"moonbridge/httpparse"
)

// counter makes ids.
type counter int

func (c *counter) AppendID(to []byte) []byte {
	*c++
	return fmt.Appendf(to, "own-%d", *c)
}

func parse(t testing.TB, text string) *httpparse.Head {
	t.Helper()
	var p httpparse.Parser
	h := new(httpparse.Head)
	text = strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n"
	if n, err := p.Parse(h, []byte(text), &httpparse.Limits{}); err != nil || n != len(text) {
		t.Fatalf("%q: %d, %v", text, n, err)
	}
	return h
}

// A record says the same about its exchange, whatever it held before.
func TestRecord(t *testing.T) {
	var r Record
	var ids counter
	long := strings.Repeat("y", 5000)
	at := time.Unix(1700000000, 0)
	for _, c := range []struct{ head, response, want string }{
		{"GET /a?b HTTP/1.1\nHost: h\nREFERER: one\nReferer: two\nUser-Agent: x\nX-Request-Id: 12345678", "HTTP/1.1 200 OK\r\n\r\nhello",
			"GET /a?b 1 one x 12345678 200 3"},
		{"PUT /" + long + " HTTP/1.0\nUser-Agent: " + long, "", fmt.Sprintf("PUT /%s 0  %s own-1 0 0", long[:TargetMax-1], long[:AgentMax])},
		{"GET / HTTP/1.1\nHost: h\nX-Request-Id: short\nReferer: " + long, "HTTP/1.1 404 No\r\n\r\n",
			fmt.Sprintf("GET / 1 %s  own-2 404 0", long[:RefererMax])},
	} {
		r.Start(at)
		r.SetHead(parse(t, c.head), &ids)
		r.Response.Write([]byte(c.response))
		var e Entry
		r.Fill(&e, 2)
		got := fmt.Sprintf("%s %s %d %s %s %s %d %d", e.Method, e.Target, e.Minor, e.Referer, e.UserAgent, e.ID, e.Status, e.Bytes)
		if got != c.want || !e.Time.Equal(at) {
			t.Errorf("%.200q at %v, want %.200q", got, e.Time, c.want)
		}
	}
	r.Start(at)
	r.SetID(&ids)
	var e Entry
	if r.Fill(&e, 0); string(e.ID) != "own-3" || len(e.Method)+len(e.Target)+len(e.Referer)+len(e.UserAgent) > 0 {
		t.Errorf("without a head: %+v", e)
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{"abc.DEF-123_": true, strings.Repeat("x", 8): true, strings.Repeat("x", 64): true,
		"": false, "short": false, strings.Repeat("x", 65): false, "with blank in it": false, "umlaut\xc3\xa4\xc3\xa4": false} {
		if got := ValidID([]byte(id)); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
	if a, b := NewIDPrefix(), NewIDPrefix(); a == b || !ValidID([]byte(a)) {
		t.Errorf("prefixes %q, %q", a, b)
	}
}
