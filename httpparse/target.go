package httpparse

import "bytes"

// parseTarget finds the path and the query in h.Target (RFC 9112 §3.2). h.Method and h.Target are set, and the target
// has only allowed bytes.
func parseTarget(h *Head, raw []byte) *Error {
	h.Asterisk = false
	target := h.Target
	method, b := raw[:h.Method.Len], raw[target.Off:target.Off+target.Len]
	if string(method) == "CONNECT" {
		// This server is not a proxy: there is nothing to connect to (RFC 9110 §9.3.6), whether or not the authority is
		// valid.
		return errConnect
	}
	if b[0] == '/' {
		splitPath(h, raw, target.Off, target)
		return nil
	}
	if string(b) == "*" {
		if string(method) != "OPTIONS" {
			return errAsterisk
		}
		h.Asterisk = true
		h.Path, h.Query = Span{}, Span{}
		return nil
	}
	a := absoluteAuthority(b)
	if a.Len == 0 {
		return errTarget
	}
	if !validAuthority(b[a.Off : a.Off+a.Len]) {
		return errAuthority
	}
	splitPath(h, raw, target.Off+a.Off+a.Len, target)
	return nil
}

// splitPath sets path and query to the bytes between off and the end of the target.
func splitPath(h *Head, raw []byte, off uint32, target Span) {
	end := target.Off + target.Len
	b := raw[off:end]
	h.Path = Span{off, uint32(len(b))}
	h.Query = Span{end, 0}
	if q := bytes.IndexByte(b, '?'); q >= 0 {
		h.Path.Len = uint32(q)
		h.Query = Span{off + uint32(q), uint32(len(b) - q)}
	}
	if h.Path.Len > 0 {
		h.Path.Off++
		h.Path.Len--
	}
}

// absoluteAuthority returns the range of the authority in an absolute-form target (RFC 9112 §3.2.2). It is empty if b
// is not in that form, or if the authority is empty, which RFC 9110 §4.2.1 requires us to refuse. Schemes other than
// http and https name nothing that we could serve.
func absoluteAuthority(b []byte) Span {
	off := bytes.IndexByte(b, ':')
	if off < 0 || !EqualFold(b[:off], "http") && !EqualFold(b[:off], "https") {
		return Span{}
	}
	if !bytes.HasPrefix(b[off:], []byte("://")) {
		return Span{}
	}
	off += len("://")
	n := 0
	for n < len(b)-off && b[off+n] != '/' && b[off+n] != '?' {
		n++
	}
	return Span{uint32(off), uint32(n)}
}

// validAuthority reports whether b is uri-host [ ":" port ] (RFC 9110 §7.2, RFC 3986 §3.2) with a non-empty host. User
// information is not valid (RFC 9110 §4.2.4). Neither is percent-encoding: no host name needs it, and a recipient that
// decodes it sees a different host from one that does not.
func validAuthority(b []byte) bool {
	if len(b) == 0 || b[0] == ':' {
		return false
	}
	i := 0
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !validIPLiteral(b[1:end]) {
			return false
		}
		i = end + 1
	} else {
		for i < len(b) && class[b[i]]&classRegName != 0 {
			i++
		}
	}
	if i == len(b) {
		return true
	}
	if b[i] != ':' {
		return false
	}
	for _, c := range b[i+1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// validIPLiteral reports whether b is allowed between brackets (RFC 3986 §3.2.2). Only the bytes of an IPv6 address are
// checked: a malformed one names no host of ours, but it cannot be mistaken for anything else either.
func validIPLiteral(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	future := lower(b[0]) == 'v'
	colons := 0
	for _, c := range b {
		switch {
		case c == ':':
			colons++
		case class[c]&classHex != 0 || c == '.':
		case future && class[c]&classRegName != 0:
		default:
			return false
		}
	}
	if future {
		dot := bytes.IndexByte(b, '.')
		return dot > 1 && dot < len(b)-1
	}
	return colons >= 2
}
