package httpparse

import "bytes"

// validIPLiteral reports whether b may stand between brackets as a host (RFC 3986 §3.2.2): an IPv6 address without a zone,
// or an address of a future version.
func validIPLiteral(b []byte) bool {
	if len(b) > 0 && lower(b[0]) == 'v' {
		return validIPvFuture(b[1:])
	}
	return validIPv6(b)
}

// validIPvFuture checks what follows the "v": hexadecimal digits, a dot, and a name that may contain colons.
func validIPvFuture(b []byte) bool {
	dot := bytes.IndexByte(b, '.')
	if dot < 1 || dot == len(b)-1 {
		return false
	}
	for _, c := range b[:dot] {
		if HexValue(c) < 0 {
			return false
		}
	}
	for _, c := range b[dot+1:] {
		if c != ':' && class[c]&classRegName == 0 {
			return false
		}
	}
	return true
}

// validIPv6 reports whether b is eight groups of one to four hexadecimal digits. "::" stands for one or more groups of
// zeros, once, and the last two groups may be an IPv4 address.
func validIPv6(b []byte) bool {
	groups, gap := 0, false
	if bytes.HasPrefix(b, []byte("::")) {
		b, gap = b[2:], true
	}
	for len(b) > 0 {
		n := bytes.IndexByte(b, ':')
		if n < 0 {
			n = len(b)
			if bytes.IndexByte(b, '.') >= 0 {
				return validIPv4(b) && enoughGroups(groups+2, gap)
			}
		}
		if !validGroup(b[:n]) {
			return false
		}
		groups++
		if b = b[n:]; len(b) == 0 {
			break
		}
		switch b = b[1:]; {
		case len(b) == 0: // a colon at the end
			return false
		case b[0] == ':' && gap: // a second "::"
			return false
		case b[0] == ':':
			b, gap = b[1:], true
		}
	}
	return enoughGroups(groups, gap)
}

// enoughGroups reports whether an address has eight groups, with the gap that "::" makes.
func enoughGroups(n int, gap bool) bool { return n < 8 && gap || n == 8 && !gap }

func validGroup(b []byte) bool {
	for _, c := range b {
		if HexValue(c) < 0 {
			return false
		}
	}
	return len(b) >= 1 && len(b) <= 4
}

// validIPv4 reports whether b is four decimal numbers from 0 to 255 without leading zeros.
func validIPv4(b []byte) bool {
	for i := range 4 {
		n := bytes.IndexByte(b, '.')
		if i == 3 {
			n = len(b)
		}
		if n < 1 || n > 3 || b[0] == '0' && n > 1 {
			return false
		}
		value := 0
		for _, c := range b[:n] {
			if c < '0' || c > '9' {
				return false
			}
			value = 10*value + int(c-'0')
		}
		if value > 255 {
			return false
		}
		b = b[min(n+1, len(b)):]
	}
	return true
}
