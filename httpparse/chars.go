package httpparse

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// Classes of bytes, one bit each.
const (
	classToken   = 1 << iota // tchar (RFC 9110 §5.6.2)
	classTarget              // allowed in a request target
	classRegName             // unreserved and sub-delims (RFC 3986 §2): allowed in a host name
	classHex                 // HEXDIG, either case
)

// class is indexed by a byte.
//
// classTarget is wider than the grammar of RFC 3986: visible ASCII except "#", and all bytes from 0x80 up. Browsers
// send quotes, braces and bars unencoded, and other clients send raw UTF-8. None of this can move the end of the
// target. "#" is excluded because a fragment is never sent (RFC 9110 §7.1): a recipient that cuts it off sees a
// different target from one that does not.
var class = makeClass()

func makeClass() (t [256]uint8) {
	for c := range t {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' && c < 0x80
		digit := '0' <= c && c <= '9'
		if letter || digit || within(c, "!#$%&'*+-.^_`|~") {
			t[c] |= classToken
		}
		if c > ' ' && c != 0x7f && c != '#' {
			t[c] |= classTarget
		}
		if letter || digit || within(c, "-._~!$&'()*+,;=") {
			t[c] |= classRegName
		}
		if digit || letter && c|0x20 <= 'f' {
			t[c] |= classHex
		}
	}
	return t
}

func within(c int, set string) bool { return strings.IndexByte(set, byte(c)) >= 0 }

// IsToken reports whether b is a token (RFC 9110 §5.6.2): not empty, and only tchar.
func IsToken[T []byte | string](b T) bool {
	for i := range len(b) {
		if class[b[i]]&classToken == 0 {
			return false
		}
	}
	return len(b) > 0
}

// IsFieldValue reports whether b may be sent as a field value (RFC 9110 §5.5): it has no control characters except
// HTAB, and therefore no line ends. Whitespace at either end is allowed.
func IsFieldValue(b []byte) bool { return scanText(b, 0) == len(b) }

// EqualFold reports whether a and b are equal apart from the case of ASCII letters.
func EqualFold[A, B []byte | string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c-'A' < 26 {
		return c + ('a' - 'A')
	}
	return c
}

// AppendLower appends b with its ASCII letters in lower case.
func AppendLower(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, lower(c))
	}
	return dst
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// TrimBlanks returns b without the OWS (RFC 9110 §5.6.3) at its ends: spaces and tabs.
func TrimBlanks[T []byte | string](b T) T {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// scanText returns the index of the first byte at or after i that is not allowed in a field value, or len(b).
func scanText(b []byte, i int) int {
	for {
		i = scanControl(b, i)
		if i == len(b) || b[i] != '\t' {
			return i
		}
		i++
	}
}

// scanControl returns the index of the first control character (CTL of RFC 5234) at or after i, or len(b).
//
// It looks at eight bytes at once. (x-0x20…)&^x has the high bit of each byte below 0x20 set; (y-1…)&^y, where y is x
// exclusive-or 0x7f…, has that of each DEL set. A borrow can set further bits, but only above a true one, so the lowest
// bit is exact.
func scanControl(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		y := x ^ 0x7f*ones
		if m := ((x-' '*ones)&^x | (y-ones)&^y) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] != 0x7f {
		i++
	}
	return i
}
