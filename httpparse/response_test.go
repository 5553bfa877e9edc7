package httpparse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// response is what was found in the bytes of one connection: one response, with the interim ones before it.
type response struct {
	interim int
	head    ResponseHead
	body    string
	rest    int // bytes after the response
	err     error
}

func (r *response) String() string {
	if r.err != nil {
		return r.err.Error()
	}
	h := &r.head
	s := fmt.Sprintf("%d %q", h.Status, h.Raw[h.Reason.Off:h.Reason.Off+h.Reason.Len])
	for _, f := range h.Fields {
		s += fmt.Sprintf(" %q=%q", h.Name(f), h.Value(f))
	}
	return s + fmt.Sprintf(" body %q, %d interim, %d after, persistent %v", r.body, r.interim, r.rest, h.Persistent)
}

// readResponse parses in as it arrives: size bytes at a time. 0: all at once.
func readResponse(in []byte, head bool, size int) (r response) {
	if size == 0 {
		size = len(in) + 1
	}
	var p Parser
	var b ResponseBody
	parsed := false
	var unread []byte
	for len(in) > 0 {
		n := min(size, len(in))
		unread = append(unread, in[:n]...)
		in = in[n:]
		for !parsed {
			n, err := p.ParseResponse(&r.head, unread, nil)
			if err != nil {
				r.err = err
				return r
			}
			if n == 0 {
				break
			}
			unread = unread[n:]
			if r.head.Interim() {
				r.interim++
				continue
			}
			parsed = true
			r.head.Raw = bytes.Clone(r.head.Raw)
			b.Begin(&r.head, head)
		}
		for parsed && b.Missing() && len(unread) > 0 {
			data, n, err := b.Next(unread)
			if err != nil {
				r.err = err
				return r
			}
			r.body += string(data)
			unread = unread[n:]
		}
	}
	if !parsed {
		r.err = errResponseCut
		return r
	}
	r.err, r.rest = b.End(), len(unread)
	return r
}

func TestResponse(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		head     bool
		want     string
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false,
			`200 "OK" "Content-Length"="5" body "hello", 0 interim, 0 after, persistent true`},
		{"bytes after it", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP", false,
			`200 "OK" "Content-Length"="5" body "hello", 0 interim, 4 after, persistent true`},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nA: b\r\n\r\nx", false,
			`200 "OK" "Transfer-Encoding"="chunked" body "hello!", 0 interim, 1 after, persistent true`},
		{"to the end", "HTTP/1.0 200 OK\r\nA:\r\n\r\nhello", false,
			`200 "OK" "A"="" body "hello", 0 interim, 0 after, persistent false`},
		{"to the end, although it says keep-alive", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false,
			`200 "OK" "Connection"="keep-alive" body "", 0 interim, 0 after, persistent true`},
		{"HTTP/1.0 that stays", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", false,
			`200 "OK" "Connection"="keep-alive" "Content-Length"="0" body "", 0 interim, 0 after, persistent true`},
		{"close", "HTTP/1.1 200 OK\r\nConnection: a, close\r\nContent-Length: 0\r\n\r\n", false,
			`200 "OK" "Connection"="a, close" "Content-Length"="0" body "", 0 interim, 0 after, persistent false`},
		{"HEAD with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true,
			`200 "OK" "Content-Length"="5" body "", 0 interim, 0 after, persistent true`},
		{"HEAD, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true,
			`200 "OK" "Transfer-Encoding"="chunked" body "", 0 interim, 0 after, persistent true`},
		{"204", "HTTP/1.1 204 No Content\r\n\r\nx", false,
			`204 "No Content" body "", 0 interim, 1 after, persistent true`},
		{"204 with length 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false,
			`204 "No Content" "Content-Length"="0" body "", 0 interim, 0 after, persistent true`},
		{"304 with the length of 200", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false,
			`304 "Not Modified" "Content-Length"="5" body "", 0 interim, 0 after, persistent true`},
		{"304, chunked", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\nx", false,
			`304 "Not Modified" "Transfer-Encoding"="chunked" body "", 0 interim, 1 after, persistent true`},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 201 \r\nContent-Length: 0\r\n\r\n", false,
			`201 "" "Content-Length"="0" body "", 2 interim, 0 after, persistent true`},
		{"101 is final", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\nabc", false,
			`101 "Switching Protocols" "Connection"="Upgrade" body "", 0 interim, 3 after, persistent true`},
		{"no reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", false,
			`200 "" "Content-Length"="0" body "", 0 interim, 0 after, persistent true`},
		{"no space either", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false,
			`200 "" "Content-Length"="0" body "", 0 interim, 0 after, persistent true`},
		{"reason with all kinds of bytes", "HTTP/1.1 299 caf\xc3\xa9\t !\r\nContent-Length: 0\r\n\r\n", false,
			`299 "café\t !" "Content-Length"="0" body "", 0 interim, 0 after, persistent true`},
		{"later minor version", "HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n", false,
			`200 "OK" "Content-Length"="0" body "", 0 interim, 0 after, persistent true`},

		{"empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", false, errStatusLine.Reason},
		{"HTTP/2", "HTTP/2 200 OK\r\n\r\n", false, errStatusLine.Reason},
		{"two digits", "HTTP/1.1 20 OK\r\n\r\n", false, errStatusLine.Reason},
		{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", false, errStatusLine.Reason},
		{"below 100", "HTTP/1.1 099 OK\r\n\r\n", false, errStatus.Reason},
		{"control character", "HTTP/1.1 200 O\x00K\r\n\r\n", false, errReason.Reason},
		{"bare LF", "HTTP/1.1 200 OK\n\n", false, errLineEnd.Reason},
		{"bare CR", "HTTP/1.1 200 OK\rA: b\r\n\r\n", false, errLineEnd.Reason},
		{"bare LF after a field", "HTTP/1.1 200 OK\r\nA: b\n\r\n", false, errLineEnd.Reason},
		{"folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", false, errFold.Reason},
		{"blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", false, errNameSpace.Reason},
		{"length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false,
			errLengthAndCoding.Reason},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", false, errLengthTwice.Reason},
		{"list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", false, errLength.Reason},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", false, errLength.Reason},
		{"length of HEAD that is none", "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", true, errLength.Reason},
		{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, errCoding10.Reason},
		{"another transfer coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", false, errCodingUnknown.Reason},
		{"two transfer codings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false, errCodingUnknown.Reason},
		{"chunked is not the last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", false, errCodingOrder.Reason},
		{"204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nx", false, errNoBody.Reason},
		{"204, chunked", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, errNoBody.Reason},
		{"interim with a body", "HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\nx", false, errNoBody.Reason},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX", false, errChunkEnd.Reason},
		{"cut in the head", "HTTP/1.1 200 OK\r\nContent-Le", false, errResponseCut.Reason},
		{"cut in the body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", false, errResponseCut.Reason},
		{"cut before the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false, errResponseCut.Reason},
		{"only interim", "HTTP/1.1 100 Continue\r\n\r\n", false, errResponseCut.Reason},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := range len(tt.in) + 1 {
				r := readResponse([]byte(tt.in), tt.head, size)
				if got := r.String(); got != tt.want {
					t.Fatalf("pieces of %d: %s\nwant %s", size, got, tt.want)
				}
			}
		})
	}
}

func TestResponseHead(t *testing.T) {
	const lines = "A: b\r\nContent-Length: 7\r\nC:\r\n"
	in := []byte("HTTP/1.1 200 OK\r\n" + lines + "\r\nrest")
	var p Parser
	h := ResponseHead{Status: 500, Upgrade: true, Chunked: true, Fields: make([]Field, 9)}
	n, err := p.ParseResponse(&h, in, nil)
	if err != nil || string(in[n:]) != "rest" {
		t.Fatalf("%d, %v", n, err)
	}
	if string(h.Raw[h.Lines:]) != lines || h.Find("content-length", 0) != 1 || h.Find("a", 1) != -1 {
		t.Errorf("%q", h.Raw)
	}
	joined := ""
	for i := range h.Fields {
		joined += string(h.Line(i))
	}
	if joined != lines {
		t.Errorf("lines %q", joined)
	}
	if h.ContentLength != 7 || h.Chunked || h.Upgrade || !h.Persistent || h.Minor != 1 {
		t.Errorf("%+v", h)
	}
}

func TestResponseLimits(t *testing.T) {
	lim := &Limits{HeadBytes: 64, Fields: 2}
	var p Parser
	var h ResponseHead
	for in, want := range map[string]error{
		"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n":                 nil,
		"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nE: f\r\n\r\n":         errFieldCount,
		"HTTP/1.1 200 " + strings.Repeat("x", 60) + "\r\n\r\n":    errHeadLarge,
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 60):        errHeadLarge,
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 20) + "\r": nil,
	} {
		if _, err := p.ParseResponse(&h, []byte(in), lim); err != want && !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
		p.Reset()
	}
}

func TestResponseDoesNotAllocate(t *testing.T) {
	in := []byte("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	var p Parser
	h := ResponseHead{Fields: make([]Field, 0, 8)}
	var b ResponseBody
	if n := testing.AllocsPerRun(100, func() {
		n, _ := p.ParseResponse(&h, in, nil)
		b.Begin(&h, false)
		for rest := in[n:]; b.Missing(); {
			_, n, _ := b.Next(rest)
			rest = rest[n:]
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzResponse checks that the outcome does not depend on the pieces, and that net/http does not understand an accepted
// response differently.
func FuzzResponse(f *testing.F) {
	for _, in := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\nabc",
		"HTTP/1.1 304 \r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		f.Add([]byte(in), false, uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, head bool, size uint8) {
		if len(in) > shortHead {
			return
		}
		whole := readResponse(in, head, 0)
		if got := readResponse(in, head, int(size)); got.String() != whole.String() {
			t.Fatalf("pieces of %d: %s\nwhole: %s", size, got.String(), whole.String())
		}
		if whole.err == nil && whole.interim == 0 && whole.head.Status >= 200 {
			compareNetHTTP(t, in, head, &whole)
		}
	})
}

func compareNetHTTP(t *testing.T, in []byte, head bool, ours *response) {
	method := "GET"
	if head {
		method = "HEAD"
	}
	theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in)), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("net/http: %v, we: %s", err, ours)
	}
	defer theirs.Body.Close()
	body, err := io.ReadAll(theirs.Body)
	if stricterSizes(err) {
		return
	}
	if err != nil || theirs.StatusCode != ours.head.Status || string(body) != ours.body {
		t.Fatalf("net/http: %d %q %v, we: %s", theirs.StatusCode, body, err, ours)
	}
}
