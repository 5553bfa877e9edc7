package httpparse

import "bytes"

// parseTarget finds the path and the query in h.Target (RFC 9112 §3.2). h.Method and h.Target are set, and the target
// has only allowed bytes.
func parseTarget(h *Head, raw []byte, lim *Limits) *Error {
	h.Asterisk, h.Connect = false, false
	target := h.Target
	method, b := raw[:h.Method.Len], raw[target.Off:target.Off+target.Len]
	if string(method) == "CONNECT" {
		return parseConnect(h, b, lim)
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
	if !ValidAuthority(b[a.Off : a.Off+a.Len]) {
		return errAuthority
	}
	splitPath(h, raw, target.Off+a.Off+a.Len, target)
	return nil
}

// parseConnect accepts the target of CONNECT: a host and a port (RFC 9112 §3.2.3).
func parseConnect(h *Head, b []byte, lim *Limits) *Error {
	if !lim.connect() {
		// This server is not a proxy: there is nothing to connect to (RFC 9110 §9.3.6), whether or not the authority is
		// valid.
		return errConnect
	}
	if !ValidAuthority(b) || hostLen(b)+1 >= len(b) {
		return errAuthority
	}
	h.Connect = true
	h.Path, h.Query = Span{}, Span{}
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

// ValidAuthority reports whether b is uri-host [ ":" port ] (RFC 9110 §7.2, RFC 3986 §3.2) with a non-empty host. User
// information is not valid (RFC 9110 §4.2.4).
func ValidAuthority(b []byte) bool {
	n := hostLen(b)
	if n <= 0 {
		return false
	}
	if n == len(b) {
		return true
	}
	if b[n] != ':' {
		return false
	}
	for _, c := range b[n+1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// hostLen returns the number of bytes of the host at the start of b (RFC 3986 §3.2.2), or -1 if it is invalid.
func hostLen(b []byte) int {
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !validIPLiteral(b[1:end]) {
			return -1
		}
		return end + 1
	}
	return regNameLen(b)
}

// regNameLen returns the length of the reg-name at the start of b, or -1 if it contains an invalid percent-encoding.
func regNameLen(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch {
		case class[b[i]]&classRegName != 0:
		case b[i] != '%':
			return i
		case len(b)-i < 3 || HexValue(b[i+1]) < 0 || HexValue(b[i+2]) < 0:
			return -1
		default:
			i += 2
		}
	}
	return len(b)
}
