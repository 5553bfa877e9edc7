package httpparse

import (
	"bytes"
	"iter"
	"slices"
)

// TrailerLen returns how many bytes of the trailer section of a chunked body were taken so far. The section ends the body, so
// the bytes that a call of Move adds to it are the last ones that the call takes. It includes the empty line at its end, and
// is at most 8 KiB long.
func (b *Body) TrailerLen() int { return b.chunked.TrailerLen() }

// TrailerLen is that of Body: how many bytes of the trailer section Next and Decode took so far.
func (d *Chunked) TrailerLen() int { return int(d.trailer) }

// TrailerFields returns an iterator over the field lines of a trailer section that a Body has accepted: the name as sent, and
// the value without surrounding whitespace. Fields that must not be in a trailer section are left out (RFC 9110 §6.5.1): an
// application might merge the others with those of the head.
func TrailerFields(section []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for line := range bytes.Lines(section) {
			name, value, found := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
			if found && InTrailer(name) && !yield(name, TrimBlanks(value)) {
				return
			}
		}
	}
}

// headOnly are the fields that have a meaning only before the body, by the kinds that RFC 9110 §6.5.1 names.
var headOnly = []string{
	"Transfer-Encoding", "Content-Length", "Trailer", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", // framing
	"Host",                                                             // routing
	"Cache-Control", "Expect", "Max-Forwards", "Pragma", "Range", "TE", // request modifiers
	"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
	"Authorization", "Proxy-Authorization", "Cookie", // authentication
	"WWW-Authenticate", "Proxy-Authenticate", "Set-Cookie",
	"Age", "Date", "Expires", "Location", "Retry-After", "Vary", "Warning", // response controls
	"Content-Encoding", "Content-Type", "Content-Range", // the form of the content
}

// InTrailer reports whether a field of a request or response may be in a trailer section (RFC 9110 §6.5.1).
func InTrailer(name []byte) bool {
	return !slices.ContainsFunc(headOnly, func(f string) bool { return EqualFold(name, f) })
}
