package forwarded

import (
	"bytes"

	"moonbridge/httpparse"
)

// parseElement reads an element of Forwarded: the values of its parameters for and proto, which are empty if it has none. ok is
// false if it does not follow the grammar (RFC 7239 §4). A backslash in a quoted value is an error too: no address has one.
func parseElement(p []byte) (node, proto []byte, ok bool) {
	seen := false
	for len(p) > 0 {
		var name, value []byte
		if name, value, p, ok = parsePair(p); !ok {
			return nil, nil, false
		}
		switch {
		case httpparse.EqualFold(name, "for"):
			if node != nil {
				return nil, nil, false // for which of them?
			}
			node = value
		case httpparse.EqualFold(name, "proto"):
			if proto != nil {
				return nil, nil, false
			}
			proto = value
		}
		seen = true
	}
	return node, proto, seen
}

// parsePair reads name=value. rest is what follows the semicolon after it.
func parsePair(p []byte) (name, value, rest []byte, ok bool) {
	name, p, ok = bytes.Cut(bytes.TrimLeft(p, " \t"), []byte("="))
	if !ok || !httpparse.IsToken(name) {
		return nil, nil, nil, false
	}
	if len(p) > 0 && p[0] == '"' {
		if value, p, ok = bytes.Cut(p[1:], []byte(`"`)); !ok || bytes.IndexByte(value, '\\') >= 0 {
			return nil, nil, nil, false
		}
	} else {
		n := httpparse.TokenLen(p)
		value, p = p[:n], p[n:]
	}
	p = bytes.TrimLeft(p, " \t")
	if len(p) == 0 {
		return name, value, nil, true
	}
	if p[0] != ';' {
		return nil, nil, nil, false
	}
	return name, value, p[1:], true
}
