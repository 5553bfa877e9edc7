package httpparse

import "testing"

// What follows a response depends on its status, its fields and the method of the request (RFC 9112 §6.3).
func TestResponseBodyKind(t *testing.T) {
	const length, chunked = "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"
	for _, tt := range []struct {
		to           Method
		status, line string
		want         BodyKind
		persistent   bool
	}{
		{MethodOther, "200", length, BodyLength, true},
		{MethodOther, "200", chunked, BodyChunked, true},
		{MethodOther, "200", "", BodyUntilClose, false},
		{MethodOther, "200", "Connection: keep-alive\r\n", BodyUntilClose, false},
		{MethodOther, "200", "Content-Length: 0\r\n", BodyNone, true},
		{MethodOther, "200", "Content-Length: 5\r\nConnection: close\r\n", BodyLength, false},
		{MethodOther, "204", "", BodyNone, true},
		{MethodOther, "205", length, BodyLength, true},
		{MethodOther, "304", length, BodyNone, true},
		{MethodOther, "304", chunked, BodyNone, true},
		{MethodOther, "100", "", BodyNone, true},
		{MethodOther, "101", "", BodyTunnel, false},
		{MethodOther, "999", length, BodyLength, true},
		{MethodHead, "200", length, BodyNone, true},
		{MethodHead, "200", chunked, BodyNone, true},
		{MethodHead, "200", "", BodyNone, true},
		{MethodHead, "404", length, BodyNone, true},
		{MethodHead, "101", "", BodyTunnel, false},
		{MethodConnect, "200", length, BodyTunnel, false},
		{MethodConnect, "200", "", BodyTunnel, false},
		{MethodConnect, "204", "", BodyTunnel, false},
		{MethodConnect, "100", "", BodyNone, true},
		{MethodConnect, "407", length, BodyLength, true},
		{MethodConnect, "407", "", BodyUntilClose, false},
	} {
		in := []byte("HTTP/1.1 " + tt.status + " X\r\n" + tt.line + "\r\n")
		var p ResponseParser
		var r Response
		n, err := p.Parse(&r, in, tt.to, nil)
		if err != nil || n != len(in) || r.Body != tt.want || r.Persistent != tt.persistent {
			t.Errorf("method %d, %q: %d, %v, body %d, persistent %v", tt.to, in, n, err, r.Body, r.Persistent)
		}
		var b ResponseBody
		b.BeginFrom(&r)
		if b.Missing() != (tt.want == BodyLength || tt.want == BodyChunked || tt.want == BodyUntilClose) {
			t.Errorf("method %d, %q: missing %v", tt.to, in, b.Missing())
		}
	}
}

func TestMethodOf(t *testing.T) {
	for name, want := range map[string]Method{"GET": MethodOther, "HEAD": MethodHead, "head": MethodOther, "CONNECT": MethodConnect, "": MethodOther} {
		if got := MethodOf([]byte(name)); got != want {
			t.Errorf("%q: %d", name, got)
		}
	}
}
