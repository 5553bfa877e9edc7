package httpparse

import (
	"encoding/binary"
	"math/bits"
)

// Classes of bytes, a bit each.
const (
	classToken   = 1 << iota // tchar (RFC 9110 §5.6.2)
	classTarget              // may stand in a request target
	classRegName             // unreserved and sub-delims (RFC 3986 §2): may stand in a host name
	classHex                 // HEXDIG, either case
)

// class is indexed by a byte.
//
// classTarget is wider than the grammar of RFC 3986: visible ASCII but "#", and all bytes from 0x80 on. Browsers send
// quotes, braces and bars unencoded, other clients raw UTF-8; none of it can move the end of the target. "#" is out
// because a fragment is never sent (RFC 9110 §7.1), and who cuts it off sees another target than who does not.
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

func within(c int, set string) bool {
	for i := range len(set) {
		if int(set[i]) == c {
			return true
		}
	}
	return false
}

// IsToken says whether b is a token (RFC 9110 §5.6.2): not empty, and nothing but tchar.
func IsToken(b []byte) bool {
	for _, c := range b {
		if class[c]&classToken == 0 {
			return false
		}
	}
	return len(b) > 0
}

// IsFieldValue says whether b may be sent as a field value (RFC 9110 §5.5): no control characters but HTAB, so no line
// end either. Whitespace at its ends is not looked at.
func IsFieldValue(b []byte) bool { return scanText(b, 0) == len(b) }

// EqualFold says whether b is s, without regard to the case of ASCII letters. s has to be in lower case.
func EqualFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != s[i] {
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

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// trimBlanks removes OWS (RFC 9110 §5.6.3) from both ends.
func trimBlanks(b []byte) []byte {
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

// scanText returns the place of the first byte from i on that cannot stand in a field value, or len(b).
func scanText(b []byte, i int) int {
	for {
		i = scanControl(b, i)
		if i == len(b) || b[i] != '\t' {
			return i
		}
		i++
	}
}

// scanControl returns the place of the first control character (CTL of RFC 5234) from i on, or len(b).
//
// It looks at eight bytes at once: (x-0x20…)&^x has the high bit of each byte below 0x20 set, (y-1…)&^y, with y being x
// exclusive-or 0x7f…, that of each DEL. A borrow can set further bits, but only above a true one, so the lowest is exact.
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
