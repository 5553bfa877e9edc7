package proxy

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"moonbridge/handler/backend"
)

// outcome is what has become of an exchange: for the client, and of the connection to the target.
type outcome struct {
	reply
	end    backend.End
	status int
	kept   bool
}

// play runs a response that arrives in two pieces, for a client that takes so many bytes at a time.
func play(t *testing.T, request, response string, end bool, cut, takes int) outcome {
	t.Helper()
	r := newFakeRig(t, Config{})
	x, c := r.start(request, takes, "", false)
	c.gives(response[:cut], false)
	if cut%2 == 0 { // or it takes nothing until all has come
		x.taken()
	}
	c.gives(response[cut:], end)
	x.taken()
	r.l.run()
	r.checkOver()
	if !x.over {
		t.Fatalf("the exchange is not over; the client got %q", x.out.String())
	}
	text := x.out.String()
	for strings.HasPrefix(text, "HTTP/1.1 103 ") {
		_, text, _ = strings.Cut(text, "\r\n\r\n")
	}
	var got reply
	if text != "" {
		got = parseResponse(t, text, request[:strings.IndexByte(request, ' ')])
		got.header.Del("Date")
	}
	if got.err != nil {
		got.err, got.body = errSome, "" // how much of it has come depends on the cut
	}
	return outcome{got, x.end, x.status, !c.closed}
}

var errSome = fmt.Errorf("an error")

// TestSplitResponses: the outcome does not depend on how the bytes arrive, or how the client takes them.
func TestSplitResponses(t *testing.T) {
	const get11, get10 = "GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
	const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=\"y\"\r\nd\r\n0\r\nT: t\r\n\r\n"
	const length = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg"
	for _, tt := range []struct {
		name, request, response string
		end                     bool
		want                    outcome
	}{
		{"length", get11, length, false, outcome{reply{status: 200, body: "abcdefg"}, backend.EndKeep, 0, true}},
		{"length, then the end", get11, length, true, outcome{reply{status: 200, body: "abcdefg"}, backend.EndKeep, 0, false}},
		{"length, then bytes", get11, length + "x", false, outcome{reply{status: 200, body: "abcdefg"}, backend.EndKeep, 0, false}},
		{"cut length", get11, length[:len(length)-1], true, outcome{reply{status: 200, err: errSome}, backend.EndReset, 0, false}},
		{"chunks", get11, chunks, false, outcome{reply{status: 200, body: "abcd"}, backend.EndKeep, 0, true}},
		{"chunks for HTTP/1.0", get10, chunks, false, outcome{reply{status: 200, body: "abcd"}, backend.EndClose, 0, true}},
		{"cut chunks", get11, chunks[:len(chunks)-2], true, outcome{reply{status: 200, err: errSome}, backend.EndReset, 0, false}},
		{"wrong chunk", get11, strings.Replace(chunks, "1;", "z;", 1), false, outcome{reply{status: 200, err: errSome}, backend.EndReset, 0, false}},
		{"to the end", get11, "HTTP/1.1 200 OK\r\n\r\nabcd", true, outcome{reply{status: 200, body: "abcd"}, backend.EndKeep, 0, false}},
		{"to the end, empty", get11, "HTTP/1.1 200 OK\r\n\r\n", true, outcome{reply{status: 200}, backend.EndKeep, 0, false}},
		{"to the end for HTTP/1.0", get10, "HTTP/1.1 200 OK\r\n\r\nabcd", true, outcome{reply{status: 200, body: "abcd"}, backend.EndClose, 0, false}},
		{"no body", get11, "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", false, outcome{reply{status: 204}, backend.EndKeep, 0, true}},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", false, outcome{reply{status: 200}, backend.EndKeep, 0, true}},
		{"interim", get11, hints + hints + length, false, outcome{reply{status: 200, body: "abcdefg"}, backend.EndKeep, 0, true}},
		{"interim, then the end", get11, hints, true, outcome{reply{}, backend.EndKeep, 502, false}},
		{"cut head", get11, "HTTP/1.1 200 OK\r\nContent-Le", true, outcome{reply{}, backend.EndKeep, 502, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for cut := range len(tt.response) + 1 {
				for _, takes := range []int{math.MaxInt, 1, 2, 7, 50} {
					got := play(t, tt.request, tt.response, tt.end, cut, takes)
					if tt.want.body != "" && strings.Contains(tt.name, "chunks") && tt.want.end == backend.EndKeep && got.trailer.Get("T") != "t" {
						t.Errorf("cut %d, %d taken at a time: trailers %v", cut, takes, got.trailer)
					}
					got.header, got.trailer, got.length = nil, nil, 0
					if tt.want.err != nil && got.reply.status == 0 {
						// The client has got nothing at all of the response when the connection broke off. That is no difference to it.
						got.reply = tt.want.reply
					}
					if !reflect.DeepEqual(got, tt.want) {
						t.Fatalf("cut %d, %d taken at a time: %+v, want %+v", cut, takes, got, tt.want)
					}
				}
			}
		})
	}
}

// TestDecodedRequest: a chunked body that the engine has waited for is sent with its length.
func TestDecodedRequest(t *testing.T) {
	for body, want := range map[string]string{"": "Content-Length: 0\r\n", "abc": "Content-Length: 3\r\n"} {
		r := newFakeRig(t, Config{})
		_, c := r.start("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n", math.MaxInt, body, false)
		if got := c.out.String(); !strings.Contains(got, want) || strings.Contains(got, "chunked") || strings.Contains(got, "Trailer") {
			t.Errorf("sent %q", got)
		}
		if got := parseRequest(t, c.out.String()); got != body {
			t.Errorf("body %q, want %q", got, body)
		}
		c.gives(ok("x"), false)
		r.checkOver()
	}
}

// TestSplitRequests: what the target gets does not depend on how the body arrives.
func TestSplitRequests(t *testing.T) {
	const body = "0123456789abcdefghij"
	for _, framing := range []string{"Content-Length: 20", "Transfer-Encoding: chunked"} {
		for _, method := range []string{"POST", "PUT"} {
			for first := range len(body) {
				for second := first; second < len(body); second++ {
					if framing[0] == 'T' && first > 0 {
						continue // the engine gives no part of a chunked body to Start, unless it has all of it: see TestDecodedRequest
					}
					r := newFakeRig(t, Config{Window: 4096})
					x, c := r.start(method+" / HTTP/1.1\r\nHost: x\r\n"+framing+"\r\n\r\n", math.MaxInt, body[:first], true)
					for _, piece := range []string{body[first:second], body[second:]} {
						if a, _ := x.running.BodyRoom(); len(piece) > 0 {
							x.running.BodyCommit(copy(a, piece))
						}
					}
					x.running.BodyEnd()
					got := parseRequest(t, c.out.String())
					if got != body {
						t.Fatalf("%s %s cut at %d and %d: body %q", method, framing, first, second, got)
					}
					c.gives(ok("x"), false)
					r.checkOver()
				}
			}
		}
	}
}

// A target that does not take the body stops the client.
func TestRequestBackPressure(t *testing.T) {
	r := newFakeRig(t, Config{})
	x, c := r.start("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", math.MaxInt, "", true)
	if a, _ := x.running.BodyRoom(); len(a) == 0 {
		t.Fatal("no room although the target takes everything")
	}
	x.running.BodyCommit(10)
	c.full = true
	if a, b := x.running.BodyRoom(); len(a)+len(b) > 0 {
		t.Error("room although the target takes nothing")
	}
	c.full = false
	c.stream.Room(c)
	if !x.room {
		t.Error("the client is not told that there is room")
	}
	x.running.Cancel()
	if !c.reset {
		t.Error("the target may take the request for complete")
	}
	r.checkOver()
}

// A client on IPv6, and Forwarded.
func TestForwardedIPv6(t *testing.T) {
	r := newFakeRig(t, Config{Forward: Forwarding{Forwarded: true}})
	_, c := r.start("GET / HTTP/1.1\r\nHost: x\r\n\r\n", math.MaxInt, "", false)
	if got := c.out.String(); !strings.Contains(got, "\r\nX-Forwarded-For: 2001:db8::1\r\n") ||
		!strings.Contains(got, "\r\nForwarded: for=\"[2001:db8::1]\";host=\"x\";proto=http\r\n") {
		t.Errorf("%q", got)
	}
}

// A target that resets the connection when it has sent all of a response, while the client is slow: what has come is passed on.
func TestResetAfterTheResponse(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nDate: x\r\n"
	const chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: t\r\n\r\n"
	for _, tt := range []struct {
		name, response string
		end, complete  bool
	}{
		{"length", head + "Content-Length: 7\r\n\r\nabcdefg", false, true},
		{"cut length", head + "Content-Length: 8\r\n\r\nabcdefg", false, false},
		{"chunks", head + chunks, false, true},
		{"cut chunks", head + chunks[:len(chunks)-2], false, false},
		{"to the end", head + "\r\nabcdefg", true, true},
		{"to the reset", head + "\r\nabcdefg", false, false},
	} {
		for request, end := range map[string]backend.End{
			"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n": backend.EndKeep, "GET / HTTP/1.0\r\n\r\n": backend.EndClose,
		} {
			t.Run(tt.name+", "+request[6:14], func(t *testing.T) {
				for takes := 1; takes < 120; takes++ {
					for cut := len(tt.response) - 30; cut <= len(tt.response); cut++ {
						r := newFakeRig(t, Config{})
						x, c := r.start(request, takes, "", false)
						c.gives(tt.response[:cut], false)
						c.gives(tt.response[cut:], tt.end)
						if !x.over {
							c.closed = true
							c.stream.Closed(c, errSome)
							c.in = nil
						}
						x.taken()
						if complete := x.over && x.end == end; complete != tt.complete {
							t.Fatalf("%d taken at a time, cut at %d: complete %v", takes, cut, complete)
						}
						got := parseResponse(t, x.out.String(), "GET")
						trailer := strings.Contains(x.out.String(), "\r\n0\r\n")
						if tt.complete && (got.body != "abcdefg" || trailer && tt.name == "chunks" && got.trailer.Get("T") != "t") {
							t.Fatalf("%d taken at a time, cut at %d: body %q, trailers %v", takes, cut, got.body, got.trailer)
						}
						r.checkOver()
					}
				}
			})
		}
	}
}

// The scheme of the client.
func TestScheme(t *testing.T) {
	for _, tt := range []struct {
		config string
		tls    *backend.TLSState
		want   string
	}{{"", nil, "http"}, {"", new(backend.TLSState), "https"}, {"ftp", new(backend.TLSState), "ftp"}} {
		r := newFakeRig(t, Config{Forward: Forwarding{Proto: tt.config}})
		r.startOn(&fakeExchange{t: t, tls: tt.tls}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", false)
		r.l.run()
		if got := r.l.dialed[0].out.String(); !strings.Contains(got, "\r\nX-Forwarded-Proto: "+tt.want+"\r\n") {
			t.Errorf("%q, want the scheme %s", got, tt.want)
		}
	}
}

// A connection that was not even tried says nothing about the target.
func TestLocalFailure(t *testing.T) {
	for _, tt := range []struct {
		err      error
		failures uint64
		status   int
	}{
		{errSome, 0, 502},
		{os.NewSyscallError("socket", syscall.EMFILE), 0, 502},
		{os.NewSyscallError("connect", syscall.EADDRNOTAVAIL), 0, 502},
		{os.NewSyscallError("connect", syscall.ECONNREFUSED), 1, 502},
		{os.NewSyscallError("connect", syscall.ENOENT), 1, 502},
		{os.NewSyscallError("connect", syscall.ETIMEDOUT), 1, 504},
	} {
		r := newFakeRig(t, Config{})
		r.l.refuse = tt.err
		x, _ := r.start("GET / HTTP/1.1\r\nHost: x\r\n\r\n", math.MaxInt, "", false)
		if s := r.set.Status()[0]; s.Failures != tt.failures || x.status != tt.status {
			t.Errorf("%v: %d failures of the target, status %d; want %d, %d", tt.err, s.Failures, x.status, tt.failures, tt.status)
		}
		r.checkOver()
	}
}

// An exchange that ends within Output does nothing more.
func TestEndWithinOutput(t *testing.T) {
	for name, response := range map[string]string{
		"same": ok("hello"), "coded": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "interim": hints,
	} {
		t.Run(name, func(t *testing.T) {
			r := newFakeRig(t, Config{})
			x, c := r.start(get, 5, "", false)
			x.taking = x.running.Cancel
			c.gives(response, false)
			r.checkOver()
			if p := x.running.(*exchange).phase; p != phaseOver {
				t.Errorf("phase %d", p)
			}
		})
	}
}
