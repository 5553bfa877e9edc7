package httpparse

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// parse parses a whole head, which must be valid.
func parse(t *testing.T, request string) *Head {
	t.Helper()
	var p Parser
	var h Head
	if n, err := p.Parse(&h, []byte(request), nil); n != len(request) || err != nil {
		t.Fatalf("%q: %d of %d, %v", request, n, len(request), err)
	}
	return &h
}

func TestHead(t *testing.T) {
	h := parse(t, "\r\nPOST /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\nContent-Length: 7\r\nEmpty:\r\n\r\n")
	if got := string(h.Raw); got != "POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\nContent-Length: 7\r\nEmpty:\r\n" {
		t.Errorf("Raw is %q", got)
	}
	for _, tt := range []struct {
		name, want string
		got        Span
	}{
		{"Method", "POST", h.Method},
		{"Target", "/a/b?c=d", h.Target},
		{"Path", "a/b", h.Path},
		{"Query", "?c=d", h.Query},
	} {
		if got := string(h.Bytes(tt.got)); got != tt.want {
			t.Errorf("%s is %q, want %q", tt.name, got, tt.want)
		}
	}
	want := []string{"Host", "x", "X-Y", "z", "Content-Length", "7", "Empty", ""}
	var got []string
	for _, f := range h.Fields {
		got = append(got, string(h.Name(f)), string(h.Value(f)))
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("fields are %q, want %q", got, want)
	}
	if h.Minor != 1 || h.ContentLength != 7 || h.Chunked || h.IsHead || !h.Persistent {
		t.Errorf("%+v", h)
	}
	if h.Find("x-y", 0) != 1 || h.Find("x-y", 2) != -1 || h.Find("x", 0) != -1 {
		t.Error("Find")
	}
}

// TestHeadOverwritten uses one Head for requests that set everything and requests that set nothing.
func TestHeadOverwritten(t *testing.T) {
	loaded := []string{
		"HEAD http://b/xx?y HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
	}
	plain := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	want := *parse(t, plain)
	for _, request := range loaded {
		h := parse(t, request)
		var p Parser
		if _, err := p.Parse(h, []byte(plain), nil); err != nil {
			t.Fatal(err)
		}
		if len(h.Fields) != 1 || h.Method != want.Method || h.Target != want.Target || h.Path != want.Path ||
			h.Query.Len != 0 || h.Minor != 1 || h.Asterisk || h.IsHead || !h.Persistent || h.ExpectContinue || h.Chunked ||
			h.ContentLength != 0 || string(h.Raw) != plain[:len(plain)-2] {
			t.Errorf("after %q: %+v", request, h)
		}
	}
	if h := parse(t, loaded[0]); !h.IsHead || !h.Chunked || h.ContentLength != LengthUnknown || !h.ExpectContinue {
		t.Errorf("%+v", h)
	}
	var p Parser
	h := parse(t, loaded[0])
	if _, err := p.Parse(h, []byte(loaded[1]), nil); err != nil {
		t.Fatal(err)
	}
	if h.Path.Len != 0 || h.Query.Len != 0 || !h.Asterisk || h.Persistent {
		t.Errorf("%+v", h)
	}
}

// TestPrefixes: every prefix of a valid request is incomplete, and the bytes after a request are left alone.
func TestPrefixes(t *testing.T) {
	for _, request := range []string{requestSmall, requestBrowser, requestUpload} {
		for i := range request {
			var p Parser
			var h Head
			if n, err := p.Parse(&h, []byte(request[:i]), nil); n != 0 || err != nil {
				t.Fatalf("%q: %d, %v", request[:i], n, err)
			}
		}
		var p Parser
		var h Head
		if n, err := p.Parse(&h, []byte(request+request), nil); n != len(request) || err != nil {
			t.Fatalf("two of %q: %d, %v", request, n, err)
		}
	}
}

// TestRefusedEarly: bytes that cannot become a request are refused at once.
func TestRefusedEarly(t *testing.T) {
	lim := &Limits{TargetBytes: 100}
	for _, tt := range []struct {
		name, in string
		want     int
	}{
		{"TLS", "\x16", 400},
		{"SSH", "SSH-2.0-OpenSSH_9.6\r", 400},
		{"line end in a method", "GET\r", 400},
		{"HTTP/0.9", "GET /\r", 400},
		{"another protocol", "GET / R", 400},
		{"HTTP/2", "PRI * HTTP/2.0\r\n", 505},
		{"asterisk", "GET * HTTP/1.1\r\n", 400},
		{"blank in a name", "GET / HTTP/1.1\r\nHost ", 400},
		{"fold", "GET / HTTP/1.1\r\nHost: a\r\n ", 400},
		{"NUL", "GET / HTTP/1.1\r\nHost: \x00", 400},
		{"long method", strings.Repeat("A", methodBytesMax+1), 501},
		{"long target", "GET /" + strings.Repeat("a", 100), 414},
	} {
		for i := range len(tt.in) + 1 {
			var p Parser
			var h Head
			n, err := p.Parse(&h, []byte(tt.in[:i]), lim)
			switch {
			case i < len(tt.in) && (n != 0 || err != nil):
				t.Fatalf("%s: %d, %v after %d bytes", tt.name, n, err, i)
			case i == len(tt.in) && (err == nil || err.(*Error).Status != tt.want):
				t.Errorf("%s: %d, %v, want %d", tt.name, n, err, tt.want)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	lim := &Limits{HeadBytes: 64, Fields: 2, TargetBytes: 8}
	pad := func(n int) string { return strings.Repeat("y", n) }
	const line = "GET / HTTP/1.1\r\nHost: a\r\n"
	for _, tt := range []struct {
		name, in string
		want     int // 0: accepted
	}{
		{"target", "GET /234567 HTTP/1.1\r\nHost: a\r\n\r\n", 0},
		{"longest target", "GET /2345678 HTTP/1.1\r\nHost: a\r\n\r\n", 0},
		{"target one byte longer", "GET /23456789 HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		{"long target, wrong byte within the limit", "GET /23#456789 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"long target, wrong byte beyond it", "GET /23456789# HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		{"fields", line + "X:y\r\n\r\n", 0},
		{"one more field", line + "X:y\r\nX:y\r\n\r\n", 431},
		{"one more field, whatever it is", line + "X:y\r\n \r\n\r\n", 431},
		{"largest head", line + "X:" + pad(64-len(line)-6) + "\r\n\r\n", 0},
		{"head one byte larger", line + "X:" + pad(64-len(line)-5) + "\r\n\r\n", 431},
		{"head that reaches the limit without an end", (line + pad(64))[:64], 431},
		{"head much larger", line + "X:" + pad(1000) + "\r\n\r\n", 431},
		{"large head with an error within the limit", line + "X:\x00" + pad(1000) + "\r\n\r\n", 400},
		{"large head with an error beyond it", line + "X:" + pad(64) + "\x00\r\n\r\n", 431},
		{"large head that consists mostly of empty lines", "\r\n\r\n\r\n" + line + "X:" + pad(64-len(line)-11) + "\r\n\r\n", 431},
	} {
		tr := split(t, []byte(tt.in), lim)
		if tr.status() != tt.want || tt.want == 0 && tr.end != "end" {
			t.Errorf("%s: %s, want %d", tt.name, tr, tt.want)
		}
	}
}

func TestLimitsDefaults(t *testing.T) {
	for _, tt := range []struct {
		lim                  *Limits
		head, fields, target int
	}{
		{nil, DefaultHeadBytes, DefaultFields, DefaultTargetBytes},
		{&Limits{}, DefaultHeadBytes, DefaultFields, DefaultTargetBytes},
		{&Limits{HeadBytes: -1, Fields: -1, TargetBytes: -1}, DefaultHeadBytes, DefaultFields, DefaultTargetBytes},
		{&Limits{HeadBytes: 1, Fields: 2, TargetBytes: 3}, 1, 2, 3},
		{&Limits{HeadBytes: math.MaxInt, TargetBytes: math.MaxInt}, 1 << 30, DefaultFields, 1 << 30},
	} {
		if h, f, g := tt.lim.HeadBytesMax(), tt.lim.FieldsMax(), tt.lim.TargetBytesMax(); h != tt.head || f != tt.fields ||
			g != tt.target {
			t.Errorf("%+v: %d %d %d, want %d %d %d", tt.lim, h, f, g, tt.head, tt.fields, tt.target)
		}
	}
}

// TestLongHead splits a head that is too long to be parsed again on every read.
func TestLongHead(t *testing.T) {
	line := "X-Padding: " + strings.Repeat("p", 50) + "\r\n"
	good := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat(line, 40) + "\r\n"
	if len(good) <= 2*shortHead {
		t.Fatal("the head is too short for this test")
	}
	if tr := split(t, []byte(good+requestSmall), nil); tr.end != "end" || len(tr.exchanges) != 2 {
		t.Error(tr)
	}
	for _, bad := range []string{
		"\n", "\r", "\r\n ", "x\n", "x", ":", "\x00", "x: \ry", "x : y", "x: y\n\r\n", "x: y\n\n",
	} {
		in := good[:len(good)-2] + bad + "zz\r\n\r\n"
		if tr := split(t, []byte(in), nil); tr.status() != 400 {
			t.Errorf("%q: %s", bad, tr)
		}
	}
}

// TestLongHeadBareLF: a client that ends its lines with a bare LF waits for an answer, so it must get one at the end of
// the line, not when the head has doubled.
func TestLongHeadBareLF(t *testing.T) {
	start := []byte("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 2*shortHead))
	for _, more := range []string{"\n", "\n\n", "\r\n\n", "\r\nY: z\n"} {
		var p Parser
		var h Head
		if n, err := p.Parse(&h, start, nil); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := p.Parse(&h, append(bytes.Clone(start), more...), nil); n != 0 || err != error(errLineEnd) {
			t.Errorf("%q: %d, %v", more, n, err)
		}
	}
}

// TestWorkIsLinear counts how often a long head that arrives byte by byte is parsed.
func TestWorkIsLinear(t *testing.T) {
	head := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: "+strings.Repeat("y", 995)+"\r\n", 500) + "\r\n")
	var p Parser
	var h Head
	parsed := 0
	for i := 1; i < len(head); i++ {
		again := p.again
		if n, err := p.Parse(&h, head[:i], nil); n != 0 || err != nil {
			t.Fatal(i, n, err)
		}
		if i > shortHead && p.again != again {
			parsed++
		}
	}
	if n, err := p.Parse(&h, head, nil); n != len(head) || err != nil {
		t.Fatal(n, err)
	}
	if parsed > 10 {
		t.Errorf("a head of %d bytes was parsed %d times", len(head), parsed)
	}
}

// TestParserReset: an incomplete head is discarded, and the same Parser finds a new one.
func TestParserReset(t *testing.T) {
	var p Parser
	var h Head
	long := bytes.Repeat([]byte("x"), 2*shortHead)
	if n, err := p.Parse(&h, append([]byte("GET /"), long...), nil); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	p.Reset()
	if n, err := p.Parse(&h, []byte(requestSmall), nil); n != len(requestSmall) || err != nil {
		t.Fatal(n, err)
	}
	if _, err := p.Parse(&h, []byte(" "), nil); err == nil {
		t.Fatal("no error")
	}
	if n, err := p.Parse(&h, []byte(requestSmall), nil); n != len(requestSmall) || err != nil {
		t.Fatal("after an error:", n, err)
	}
}
