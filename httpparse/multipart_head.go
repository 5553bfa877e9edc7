package httpparse

import (
	"bytes"
	"unicode/utf8"
)

// Part is the content of the head of a part. Its slices are valid as long as Multipart.Part.
type Part struct {
	Name        []byte // name of the field, decoded; may be empty
	FileName    []byte // decoded; may be empty: browsers send an empty name for a file input without a file
	ContentType []byte // as sent, without surrounding whitespace

	HasFileName, HasContentType bool
}

// partHead collects the head of a part up to its empty line.
type partHead struct {
	raw   []byte // bytes so far; decoded in place by parse
	line  int    // offset of the current line
	lines int    // complete lines
}

func (h *partHead) reset() { h.raw, h.line, h.lines = h.raw[:0], 0, 0 }

// take takes n bytes of b, up to the end of the head if b contains it.
func (h *partHead) take(b []byte) (done bool, n int, e *Error) {
	for n < len(b) {
		piece := b[n:]
		eol := bytes.IndexByte(piece, '\n')
		if eol >= 0 {
			piece = piece[:eol+1]
		}
		if len(h.raw)+len(piece) > MultipartHeadBytesMax {
			return false, n, errPartHeadLarge
		}
		h.grow(len(piece))
		h.raw = append(h.raw, piece...)
		n += len(piece)
		if eol < 0 {
			break
		}
		switch line := h.raw[h.line:]; {
		case !bytes.HasSuffix(line, crlf):
			return false, n, errLineEnd
		case len(line) == len(crlf):
			return true, n, nil
		case isBlank(line[0]):
			return false, n, errFold
		}
		if h.lines++; h.lines > MultipartHeadLinesMax {
			return false, n, errPartLineCount
		}
		h.line = len(h.raw)
	}
	return false, n, nil
}

var crlf = []byte("\r\n")

// grow makes room for n more bytes. It doubles the buffer, but never beyond the size of the largest head.
func (h *partHead) grow(n int) {
	need := len(h.raw) + n
	if need <= cap(h.raw) {
		return
	}
	room := min(max(need, 2*cap(h.raw), multipartHeadRoom), MultipartHeadBytesMax)
	h.raw = append(make([]byte, 0, room), h.raw...)
}

// parse parses the field lines of a complete head into p (RFC 7578 §4), as strictly as those of a request head. Folding
// is refused: MIME allows it, but browsers do not send it, and parsers disagree about it. Fields other than the two
// that matter are checked and ignored (RFC 7578 §4.8).
func (h *partHead) parse(p *Part) *Error {
	*p = Part{}
	disposed := false
	for raw := h.raw; len(raw) > len(crlf); {
		eol := bytes.IndexByte(raw, '\n')
		name, value, e := splitField(raw[:eol-1])
		if e != nil {
			return e
		}
		raw = raw[eol+1:]
		switch {
		case EqualFold(name, "content-disposition"):
			if disposed {
				return errDispositionTwice
			}
			disposed = true
			if e := p.parseDisposition(value); e != nil {
				return e
			}
		case EqualFold(name, "content-type"):
			if p.HasContentType {
				return errPartTypeTwice
			}
			p.ContentType, p.HasContentType = value, true
		}
	}
	if !disposed {
		return errDispositionMissing
	}
	return nil
}

// splitField splits a field line without its line end.
func splitField(line []byte) (name, value []byte, e *Error) {
	colon := 0
	for colon < len(line) && class[line[colon]]&classToken != 0 {
		colon++
	}
	if colon == len(line) {
		return nil, nil, errColonMissing
	}
	if line[colon] != ':' || colon == 0 {
		return nil, nil, nameError(line[colon], colon == 0)
	}
	value = TrimBlanks(line[colon+1:])
	if !IsFieldValue(value) {
		return nil, nil, errValueByte
	}
	return line[:colon], value, nil
}

// parseDisposition parses a Content-Disposition (RFC 7578 §4.2). Repeated parameters are refused: a recipient that
// takes the first sees a different form from one that takes the last.
func (p *Part) parseDisposition(value []byte) *Error {
	kind, ps := splitParams(value)
	if !EqualFold(kind, "form-data") {
		return errDispositionType
	}
	named, extended := false, false
	var better []byte // of filename*
	var betterOK bool
	for ps.next() {
		switch {
		case EqualFold(ps.name, "name"):
			if named {
				return errPartNameTwice
			}
			named, p.Name = true, ps.decodeFormName(true)
		case EqualFold(ps.name, "filename"):
			if p.HasFileName {
				return errFileNameTwice
			}
			p.HasFileName, p.FileName = true, ps.decodeFormName(false)
		case EqualFold(ps.name, "filename*"):
			if extended {
				return errFileNameTwice
			}
			extended = true
			better, betterOK = decodeExtended(ps.value)
		}
	}
	switch {
	case ps.bad:
		return errDisposition
	case !named:
		return errPartNameMissing
	}
	if betterOK {
		p.HasFileName, p.FileName = true, better
	}
	return nil
}

// decodeFormName decodes the value of name and filename, in place.
//
// Browsers encode a quote, CR and LF as %22, %0D and %0A, and encode nothing else (HTML, multipart/form-data encoding
// algorithm), so nothing else is decoded. CR and LF are decoded only with lines: a field name may contain them, but a file
// name with a line break would surprise whatever the application passes it to. Programs escape quotes and backslashes with a backslash. Browsers do not, and
// old ones send paths with plain backslashes. A sender that escapes backslashes never has one before anything other
// than a quote or another backslash. If there is such a backslash, as in C:\dir\a.txt, all backslashes are literal,
// except those before a quote.
func (p *params) decodeFormName(lines bool) []byte {
	b := p.value
	if !p.quoted {
		return b
	}
	pairs := p.escaped && allPairs(b)
	n := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '%' && i+2 < len(b):
			switch code := string(b[i+1 : i+3]); {
			case code == "22":
				c, i = '"', i+2
			case code == "0D" && lines:
				c, i = '\r', i+2
			case code == "0A" && lines:
				c, i = '\n', i+2
			}
		case c == '\\' && p.escaped && i+1 < len(b) && (b[i+1] == '"' || pairs):
			i++
			c = b[i]
		}
		b[n] = c
		n++
	}
	return b[:n]
}

// allPairs reports whether every backslash in b escapes a quote or a backslash.
func allPairs(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' {
			if i++; i == len(b) || b[i] != '\\' && b[i] != '"' {
				return false
			}
		}
	}
	return true
}

// decodeExtended decodes an extended value (RFC 8187 §3.2) in place: UTF-8, the only charset that recipients must
// support, an optional language, and %XX. RFC 7578 §4.2 forbids it, but programs send it. ok is false if the value has
// a syntax or encoding error, or control characters, which no file name needs. Such a value is to be ignored (RFC 8187
// §3.2.1).
func decodeExtended(b []byte) (decoded []byte, ok bool) {
	if len(b) < 6 || !EqualFold(b[:6], "utf-8'") {
		return nil, false
	}
	b = b[6:]
	quote := bytes.IndexByte(b, '\'')
	if quote < 0 {
		return nil, false
	}
	b = b[quote+1:]
	n := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '%':
			if i+2 >= len(b) {
				return nil, false
			}
			high, low := HexValue(b[i+1]), HexValue(b[i+2])
			if high < 0 || low < 0 {
				return nil, false
			}
			c = byte(high<<4 | low)
			i += 2
		case c >= 0x80:
			return nil, false
		}
		b[n] = c
		n++
	}
	b = b[:n]
	return b, n > 0 && utf8.Valid(b) && scanControl(b, 0) == n
}
