package httpparse

import "bytes"

// params iterates over the parameters of a field value (RFC 9110 §5.6.6): the part of Content-Type and
// Content-Disposition after the first semicolon.
type params struct {
	rest []byte

	name    []byte // of the current one
	value   []byte // without quotes, not decoded
	quoted  bool   // the value was a quoted string
	escaped bool   // backslashes in the value may be escapes
	bad     bool   // the rest is malformed; there are no more parameters
}

// splitParams returns the part before the first semicolon, and the parameters.
func splitParams(value []byte) (kind []byte, p params) {
	i := bytes.IndexByte(value, ';')
	if i < 0 {
		return TrimBlanks(value), params{}
	}
	return TrimBlanks(value[:i]), params{rest: value[i:]}
}

// next moves to the next parameter. It returns false if there are no more, or if the rest is malformed. Empty
// parameters are skipped. Blanks around "=" are accepted, since MIME allows them (RFC 822 §3.1.4). Unquoted values may
// contain bytes that are not allowed in a token, except quotes: "form[]" or a path.
func (p *params) next() bool {
	for {
		p.rest = TrimBlanks(p.rest)
		if len(p.rest) == 0 {
			return false
		}
		if p.rest[0] != ';' {
			return p.fail()
		}
		p.rest = TrimBlanks(p.rest[1:])
		if len(p.rest) > 0 && p.rest[0] != ';' {
			break
		}
	}
	i := bytes.IndexByte(p.rest, '=')
	if i < 0 {
		return p.fail()
	}
	p.name = TrimBlanks(p.rest[:i])
	p.rest = TrimBlanks(p.rest[i+1:])
	if !IsToken(p.name) {
		return p.fail()
	}
	if p.quoted = len(p.rest) > 0 && p.rest[0] == '"'; p.quoted {
		return p.takeQuoted()
	}
	return p.takePlain()
}

func (p *params) fail() bool {
	p.bad, p.rest = true, nil
	return false
}

func (p *params) takePlain() bool {
	i := 0
	for i < len(p.rest) && p.rest[i] != ';' && p.rest[i] != '"' && !isBlank(p.rest[i]) {
		i++
	}
	if i == 0 {
		return p.fail()
	}
	p.value, p.rest, p.escaped = p.rest[:i], p.rest[i:], false
	return true
}

// takeQuoted takes a quoted string (RFC 9110 §5.6.4). Browsers do not escape backslashes, so a name that ends in a
// backslash has it before the closing quote. If the string, read with escapes, is not followed by the end of the
// parameter, it is read without escapes.
func (p *params) takeQuoted() bool {
	b := p.rest[1:]
	p.escaped = true
	end := quotedEnd(b)
	if end < 0 {
		p.escaped = false
		if end = bytes.IndexByte(b, '"'); end < 0 || !endsParam(b[end+1:]) {
			return p.fail()
		}
	}
	p.value, p.rest = b[:end], b[end+1:]
	return true
}

// quotedEnd returns the index of the quote that closes a quoted string with escapes. It returns -1 if there is none, or
// if the parameter does not end there.
func quotedEnd(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			if i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\') {
				i++
			}
		case '"':
			if endsParam(b[i+1:]) {
				return i
			}
			return -1
		}
	}
	return -1
}

func endsParam(b []byte) bool {
	b = TrimBlanks(b)
	return len(b) == 0 || b[0] == ';'
}

// MultipartBoundary returns the boundary in the value of a request's Content-Type: a view of the value, or a copy if it
// has escapes. ok is false if the type is not multipart/form-data, or if there is no boundary, more than one, or one
// that Multipart.Reset would refuse.
func MultipartBoundary(contentType []byte) (boundary []byte, ok bool) {
	kind, ps := splitParams(contentType)
	if !EqualFold(kind, "multipart/form-data") {
		return nil, false
	}
	found := false
	for ps.next() {
		if !EqualFold(ps.name, "boundary") {
			continue
		}
		if found {
			return nil, false
		}
		found, boundary = true, ps.value
		if ps.escaped && bytes.IndexByte(boundary, '\\') >= 0 {
			boundary = unescape(boundary)
		}
	}
	if ps.bad || !isBoundary(boundary) {
		return nil, false
	}
	return boundary, true
}

// unescape returns a copy of the contents of a quoted string with its escapes resolved (RFC 9110 §5.6.4).
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
		}
		out = append(out, b[i])
	}
	return out
}
