package httpparse

import "bytes"

// startLooked bounds how many bytes RequestStart looks at.
const startLooked = 8 << 10

// RequestStart finds out, for logs, what a peer has asked for whose request is refused or incomplete: method and path at the
// start of b, without the query. ok is false if b does not look like a request; then path is its first line. The views are
// of b, and may contain any bytes but line ends.
func RequestStart(b []byte) (method, path []byte, ok bool) {
	b = bytes.TrimLeft(b[:min(len(b), startLooked)], "\r\n")
	if i := bytes.IndexAny(b, "\r\n"); i >= 0 {
		b = b[:i]
	}
	method, rest, ok := bytes.Cut(b, []byte(" "))
	if !ok {
		return nil, b, false
	}
	if i := bytes.IndexAny(rest, " ?"); i >= 0 {
		rest = rest[:i]
	}
	return method, rest, true
}
