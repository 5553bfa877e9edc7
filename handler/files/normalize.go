package files

import (
	"bytes"

	"moonbridge/httpparse"
)

// Normalizer brings paths of requests into the one form in which they are compared with prefixes and looked up. Its memory is used
// again by the next call.
type Normalizer struct{ room []byte }

// Normalize decodes the percent-encoding of a path once, and removes dot segments (RFC 3986 §2.4, §5.2.4). The result begins with a
// slash. It is the path itself or in the normalizer's memory, and valid until the next call.
//
// ok is false if the path cannot be that of a file: percent-encoding is malformed, or there is an encoded slash or dot segment,
// a backslash or a NUL in it, or an empty segment. The result then is good for a comparison with prefixes, and what does not
// belong into it is NUL.
func (n *Normalizer) Normalize(path []byte) (normalized []byte, ok bool) {
	if plain(path) {
		return path, true
	}
	n.room, ok = n.room[:0], true
	for rest := path; len(rest) > 0; {
		rest = rest[1:] // the slash
		end := bytes.IndexByte(rest, '/')
		last := end < 0
		if last {
			end = len(rest)
		}
		segment := rest[:end]
		rest = rest[end:]
		switch {
		case string(segment) == ".." || string(segment) == ".":
			if len(segment) == 2 {
				n.room = n.room[:max(0, bytes.LastIndexByte(n.room, '/'))]
			}
			if last {
				n.room = append(n.room, '/')
			}
		default:
			ok = n.add(segment, last) && ok
		}
	}
	return n.room, ok
}

// plain reports whether a path is normalized as it is.
func plain(path []byte) bool {
	for i, c := range path {
		switch c {
		case '%', '\\', 0:
			return false
		case '/':
			if i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.') {
				return false // dots may be part of a name, but that is rare
			}
		}
	}
	return len(path) > 0 && path[0] == '/'
}

// add adds a segment, decoded. It returns false if it is not part of the name of a file.
func (n *Normalizer) add(segment []byte, last bool) (ok bool) {
	n.room = append(n.room, '/')
	at := len(n.room)
	ok = len(segment) > 0 || last
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' {
			c = 0
			if i+2 < len(segment) {
				c = hexByte(segment[i+1], segment[i+2])
			}
			i += 2
		}
		if c == '/' || c == '\\' {
			c = 0
		}
		ok = ok && c != 0
		n.room = append(n.room, c)
	}
	if decoded := string(n.room[at:]); decoded == "." || decoded == ".." {
		n.room[at] = 0
		ok = false
	}
	return ok
}

// hexByte returns the byte that two hexadecimal digits stand for, or 0.
func hexByte(high, low byte) byte {
	h, l := httpparse.HexValue(high), httpparse.HexValue(low)
	if h < 0 || l < 0 {
		return 0
	}
	return byte(h<<4 | l)
}

// PathOf returns the path of a request with its slash, as it was sent.
func PathOf(h *httpparse.Head) []byte {
	if at := h.Path.Off; at > 0 && h.Raw[at-1] == '/' {
		return h.Raw[at-1 : at+h.Path.Len]
	}
	return []byte("/") // an absolute URI without a path
}
