package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
)

const (
	// v1BytesMax is the longest header of version 1, by its specification.
	v1BytesMax = 107
	// v2BytesMax is the longest header of version 2 that is accepted. Addresses take 52 bytes of it; the rest is for extensions (TLV),
	// of which the text of a client certificate is the longest that proxies send.
	v2BytesMax = 4 << 10
)

// The starts of the two versions. The length of version 2 is in the two bytes at v2Length, and does not count what is before it.
const (
	v1Start  = "PROXY "
	v2Start  = "\r\n\r\n\x00\r\nQUIT\n"
	v2Length = len(v2Start) + 2
	v2Fixed  = v2Length + 2
)

// Errors of Length and Parse.
var (
	ErrNoHeader  = errors.New("no PROXY protocol header")
	ErrTooLong   = errors.New("PROXY protocol header too long")
	ErrMalformed = errors.New("malformed PROXY protocol header")
)

// Length is the length of the header that p starts with. It is 0 if more bytes are needed to tell. More bytes never change a
// result other than 0, and never an error.
func Length(p []byte) (n int, err error) {
	switch {
	case startsLike(p, v1Start):
		return lengthV1(p)
	case startsLike(p, v2Start):
		return lengthV2(p)
	}
	return 0, ErrNoHeader
}

// startsLike reports whether p begins with start, as far as it goes.
func startsLike(p []byte, start string) bool {
	n := min(len(p), len(start))
	return string(p[:n]) == start[:n]
}

func lengthV1(p []byte) (n int, err error) {
	p = p[:min(len(p), v1BytesMax)]
	if n = bytes.IndexByte(p, '\n') + 1; n == 0 && len(p) == v1BytesMax {
		return 0, ErrTooLong
	}
	return n, nil
}

func lengthV2(p []byte) (n int, err error) {
	if len(p) < v2Fixed {
		return 0, nil
	}
	if n = v2Fixed + int(binary.BigEndian.Uint16(p[v2Length:])); n > v2BytesMax {
		return 0, ErrTooLong
	}
	return n, nil
}
