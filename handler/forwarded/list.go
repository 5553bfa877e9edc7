package forwarded

import (
	"bytes"
	"net/netip"

	"moonbridge/httpparse"
)

// The fields.
const (
	forField       = "x-forwarded-for"
	protoField     = "x-forwarded-proto"
	forwardedField = "forwarded"
)

// fromEnd reads the elements of a list (RFC 9110 §5.6.1) from its end, over all lines of the field. What a client has put before
// the elements of trusted proxies cannot change where those are divided, quoted or not.
type fromEnd struct {
	h      *httpparse.Head
	name   string
	before int    // index of the line that was read last
	rest   []byte // of that line
}

// next is the next element that is not empty, without the spaces around it; nil: there are no more.
func (l *fromEnd) next() []byte {
	for {
		for len(l.rest) == 0 {
			if l.before = l.lineBefore(); l.before < 0 {
				return nil
			}
			l.rest = l.h.Value(l.h.Fields[l.before])
		}
		at := lastComma(l.rest)
		element := bytes.Trim(l.rest[at+1:], " \t")
		l.rest = l.rest[:max(at, 0)]
		if len(element) > 0 {
			return element
		}
	}
}

// lineBefore is the index of the last line of the field before the one that was read; -1: there is none.
func (l *fromEnd) lineBefore() int {
	for i := l.before - 1; i >= 0; i-- {
		if httpparse.EqualFold(l.h.Name(l.h.Fields[i]), l.name) {
			return i
		}
	}
	return -1
}

// lastComma is where the last comma outside of quotes is, or -1.
func lastComma(p []byte) int {
	quoted := false
	for i := len(p) - 1; i >= 0; i-- {
		switch {
		case p[i] == '"' && !escaped(p[:i]):
			quoted = !quoted
		case p[i] == ',' && !quoted:
			return i
		}
	}
	return -1
}

// escaped reports whether the byte after p is escaped by a backslash.
func escaped(p []byte) bool {
	n := len(p) - len(bytes.TrimRight(p, `\`))
	return n%2 == 1
}

// address is the address in 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80, without a zone. It is not valid if
// p is something else.
func address(p []byte) netip.Addr {
	const longest = len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535")
	if len(p) == 0 || len(p) > longest {
		return netip.Addr{}
	}
	host, port, found := bytes.Cut(p, []byte(":"))
	switch {
	case p[0] == '[':
		if host, port, found = bytes.Cut(p[1:], []byte("]")); !found {
			return netip.Addr{}
		}
		if port, found = bytes.CutPrefix(port, []byte(":")); !found && len(port) > 0 {
			return netip.Addr{}
		}
	case bytes.IndexByte(port, ':') >= 0: // IPv6
		host, found = p, false
	}
	if found && !isPort(port) {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(string(host))
	if err != nil || a.Zone() != "" || p[0] == '[' && a.Is4() {
		return netip.Addr{}
	}
	return a.Unmap()
}

// isPort reports whether p is a port, or the name that a proxy uses for one (RFC 7239 §6).
func isPort(p []byte) bool {
	if len(p) > 0 && p[0] == '_' {
		return httpparse.IsToken(p)
	}
	return len(p) > 0 && len(bytes.Trim(p, "0123456789")) == 0
}
