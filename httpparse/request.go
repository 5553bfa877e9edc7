package httpparse

import (
	"bytes"
	"encoding/binary"
)

// Parser finds and parses the request heads of one connection. It remembers only how far it has looked. The zero value
// is ready for use.
type Parser struct {
	seen  uint32 // bytes examined so far without finding the end of the head
	again uint32 // size at which an incomplete head is parsed again
}

// Reset discards an incomplete head.
func (p *Parser) Reset() { *p = Parser{} }

// Parse parses the head at the start of buf into h.
//
//   - n > 0: the head is complete. It took n bytes, including any empty lines before it and the empty line at its end.
//     h.Raw is a view of buf. The Parser is ready for the next head.
//   - n = 0 and no error: the head is incomplete. Call Parse again with the same bytes and more. h is undefined.
//   - An error, always an *Error: the bytes cannot become a request that we accept, whatever follows. h is undefined.
//     Nothing that follows on this connection can be trusted to be a request.
//
// The outcome does not depend on how the bytes are split. In the first 1 kB an error is noticed at the byte that causes
// it; after that, it is noticed when the head ends or has doubled in size, at the latest. lim may be nil. Parse
// allocates only if h.Fields has to grow.
func (p *Parser) Parse(h *Head, buf []byte, lim *Limits) (n int, err error) {
	buf, full := lim.cut(buf)
	if p.waits(buf, full) {
		return 0, nil
	}
	n, e := parseHead(h, buf, lim)
	return p.settle(n, e, len(buf), full)
}

// cut cuts buf down to the largest head. full says that it cannot grow.
func (l *Limits) cut(buf []byte) (head []byte, full bool) {
	headMax := l.HeadBytesMax()
	if len(buf) >= headMax {
		return buf[:headMax], true
	}
	return buf, false
}

// waits reports whether an incomplete head is not worth another look yet.
func (p *Parser) waits(buf []byte, full bool) bool {
	if p.seen == 0 || full || p.due(buf) {
		return false
	}
	p.seen = uint32(len(buf))
	return true
}

// settle notes the outcome n, e of parsing a head of which size bytes have arrived, and returns that of Parse.
func (p *Parser) settle(n int, e *Error, size int, full bool) (int, error) {
	switch {
	case e != nil:
		p.Reset()
		return 0, e
	case n > 0:
		p.Reset()
		return n, nil
	case full:
		p.Reset()
		return 0, errHeadLarge
	}
	p.seen = uint32(size)
	p.again = 2 * p.seen
	return 0, nil
}

// shortHead is the size up to which an incomplete head is parsed again on every read. That costs less than the read.
const shortHead = 1 << 10

// due reports whether a head that was incomplete is to be parsed again: it is short, it has doubled in size, or the new
// bytes contain an empty line or an invalid line end. So the work is linear in the number of bytes, however small the
// pieces are.
func (p *Parser) due(buf []byte) bool {
	if len(buf) <= shortHead || uint32(len(buf)) >= p.again {
		return true
	}
	// The empty line may start up to two bytes earlier.
	for i := max(int(p.seen)-2, 0); i < len(buf); i++ {
		j := bytes.IndexByte(buf[i:], '\n')
		if j < 0 {
			return false
		}
		i += j
		if i == 0 || buf[i-1] != '\r' {
			return true
		}
		if i+2 < len(buf) && buf[i+1] == '\r' && buf[i+2] == '\n' {
			return true
		}
	}
	return false
}

// parseHead scans buf from front to back and returns the error at the lowest offset, so that a longer buf can never
// turn one error into another. It returns 0, nil if buf ends first.
func parseHead(h *Head, buf []byte, lim *Limits) (int, *Error) {
	start, err := skipEmptyLines(buf)
	if err != nil || start == len(buf) {
		return 0, err
	}
	raw := buf[start:]
	pos, err := parseRequestLine(h, raw, lim)
	if err != nil || pos == 0 {
		return 0, err
	}
	var s special
	h.Fields, pos, err = parseFields(h.Fields[:0], raw, pos, lim.FieldsMax(), &s)
	if err != nil || pos == 0 {
		return 0, err
	}
	h.Raw = raw[:pos]
	if err := decideFraming(h, &s); err != nil {
		return 0, err
	}
	return start + pos + 2, nil
}

// skipEmptyLines returns the offset of the request line (RFC 9112 §2.2), or len(buf) if it is not known yet.
func skipEmptyLines(buf []byte) (int, *Error) {
	i := 0
	for i < len(buf) && buf[i] == '\r' {
		if i == 2*emptyLinesMax {
			return 0, errEmptyLines
		}
		if i+1 == len(buf) {
			return len(buf), nil
		}
		if buf[i+1] != '\n' {
			return 0, errLineEnd
		}
		i += 2
	}
	return i, nil
}

const (
	version11 = 0x312e312f50545448 // "HTTP/1.1", little-endian
	version10 = 0x302e312f50545448 // "HTTP/1.0"
)

// parseRequestLine parses the request line (RFC 9112 §3). It returns the offset of the field section, or 0 if raw ends
// first.
func parseRequestLine(h *Head, raw []byte, lim *Limits) (int, *Error) {
	targetMax := lim.TargetBytesMax()
	m := 0
	for m < len(raw) && class[raw[m]]&classToken != 0 {
		m++
		if m > methodBytesMax {
			return 0, errMethodLong
		}
	}
	if m == len(raw) {
		return 0, nil
	}
	if m == 0 || raw[m] != ' ' {
		return 0, errMethod
	}

	begin := m + 1
	line := raw[:min(len(raw), begin+targetMax+1)]
	end := begin
	for end < len(line) && class[line[end]]&classTarget != 0 {
		end++
	}
	if end-begin > targetMax {
		return 0, errTargetLong
	}
	if end == len(raw) {
		return 0, nil
	}
	if end == begin {
		return 0, errTarget
	}
	if raw[end] != ' ' {
		// A line end here is HTTP/0.9, which is obsolete.
		return 0, errTargetByte
	}

	next, err := parseVersion(h, raw[end+1:])
	if err != nil || next == 0 {
		return 0, err
	}
	h.Method = Span{0, uint32(m)}
	h.IsHead = string(raw[:m]) == "HEAD"
	h.Target = Span{uint32(begin), uint32(end - begin)}
	if err := parseTarget(h, raw, lim); err != nil {
		return 0, err
	}
	return end + 1 + next, nil
}

// parseVersion parses the HTTP version and the line end after it. It returns their length, or 0 if b ends first.
func parseVersion(h *Head, b []byte) (int, *Error) {
	const length = len("HTTP/1.1\r\n")
	if len(b) >= length && b[8] == '\r' && b[9] == '\n' {
		switch binary.LittleEndian.Uint64(b) {
		case version11:
			h.Minor = 1
			return length, nil
		case version10:
			h.Minor = 0
			return length, nil
		}
	}
	const pattern = "HTTP/0.0\r\n"
	for i := range min(len(b), length) {
		digit := pattern[i] == '0' && '0' <= b[i] && b[i] <= '9'
		if !digit && b[i] != pattern[i] {
			return 0, errVersion
		}
	}
	switch {
	case len(b) < length:
		return 0, nil
	case b[5] == '0':
		// A request of HTTP/0.9 does not state its version.
		return 0, errVersion
	case b[5] != '1':
		// The HTTP/2 connection preface (RFC 9113 §3.4) ends up here too.
		return 0, errVersionUnknown
	}
	// HTTP/1.2 and later are treated as HTTP/1.1, the highest version that we know (RFC 9110 §2.5).
	h.Minor = 1
	return length, nil
}
