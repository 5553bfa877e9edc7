package httpparse

// ResponseHead is a parsed response head. It can be reused: ParseResponse overwrites all of it, but keeps the array of
// Fields. Raw is a view of the parsed bytes and is valid as long as they are.
type ResponseHead struct {
	Raw    []byte  // status line and field lines, without the empty line at the end
	Fields []Field // in the order of arrival

	Status int  // 100 to 999
	Reason Span // the reason phrase, which may be empty
	Lines  int  // offset of the first field line in Raw

	Minor         uint8 // HTTP/1.Minor: 0 or 1
	Persistent    bool  // the sender keeps the connection open after the response (RFC 9112 §9.3)
	Upgrade       bool  // Connection: upgrade
	Chunked       bool  // Transfer-Encoding: chunked
	ContentLength int64 // LengthUnknown if the field is missing
}

// ParseResponse is Parse for a response head. It accepts less than RFC 9112 allows, as Parse does: whatever two recipients
// could frame differently is an error. The Status of an error says what a client would be told of such a request; of a response
// it is told 502.
func (p *Parser) ParseResponse(h *ResponseHead, buf []byte, lim *Limits) (n int, err error) {
	buf, full := lim.cut(buf)
	if p.waits(buf, full) {
		return 0, nil
	}
	n, e := parseResponseHead(h, buf, lim)
	return p.settle(n, e, len(buf), full)
}

func parseResponseHead(h *ResponseHead, raw []byte, lim *Limits) (int, *Error) {
	pos, err := parseStatusLine(h, raw)
	if err != nil || pos == 0 {
		return 0, err
	}
	h.Lines = pos
	var s special
	h.Fields, pos, err = parseFields(h.Fields[:0], raw, pos, lim.FieldsMax(), &s)
	if err != nil || pos == 0 {
		return 0, err
	}
	h.Raw = raw[:pos]
	if err := h.decideFraming(&s); err != nil {
		return 0, err
	}
	return pos + 2, nil
}

// parseStatusLine parses the status line (RFC 9112 §4). It returns the offset of the field section, or 0 if raw ends first.
func parseStatusLine(h *ResponseHead, raw []byte) (int, *Error) {
	const pattern = "HTTP/1.0 000"
	for i := range min(len(raw), len(pattern)) {
		digit := pattern[i] == '0' && '0' <= raw[i] && raw[i] <= '9'
		if !digit && raw[i] != pattern[i] {
			return 0, errStatusLine
		}
	}
	if len(raw) <= len(pattern) {
		return 0, nil
	}
	h.Minor = min(raw[7]-'0', 1) // as for requests, HTTP/1.2 counts as HTTP/1.1
	h.Status = int(raw[9]-'0')*100 + int(raw[10]-'0')*10 + int(raw[11]-'0')
	if h.Status < 100 {
		return 0, errStatus
	}
	return parseReason(h, raw, len(pattern))
}

// parseReason parses the reason phrase and the line end after it. The space before the phrase is mandatory, but many servers
// leave it out if they have no phrase. Nothing can be mistaken for it.
func parseReason(h *ResponseHead, raw []byte, pos int) (int, *Error) {
	switch raw[pos] {
	case ' ':
		pos++
	case '\r':
	default:
		return 0, errStatusLine
	}
	end := scanText(raw, pos)
	if end == len(raw) {
		return 0, nil
	}
	if raw[end] != '\r' {
		return 0, reasonError(raw[end])
	}
	if end+1 == len(raw) {
		return 0, nil
	}
	if raw[end+1] != '\n' {
		return 0, errLineEnd
	}
	h.Reason = Span{uint32(pos), uint32(end - pos)}
	return end + 2, nil
}

func reasonError(c byte) *Error {
	if c == '\n' {
		return errLineEnd
	}
	return errReason
}

// decideFraming sets what the fields say about the body and the connection, by the rules for requests.
func (h *ResponseHead) decideFraming(s *special) *Error {
	q := Head{Raw: h.Raw, Fields: h.Fields, Minor: h.Minor}
	if s.length.count|s.coding.count != 0 {
		if err := q.decideBody(s); err != nil {
			return err
		}
		h.ContentLength, h.Chunked = q.ContentLength, q.Chunked
	} else {
		h.ContentLength, h.Chunked = LengthUnknown, false
	}
	if (h.Status < 200 || h.Status == 204) && (h.Chunked || h.ContentLength > 0) {
		return errNoBody // RFC 9110 §8.6, RFC 9112 §6.1
	}
	q.Persistent = h.Minor > 0
	if s.connection.count > 0 {
		q.decidePersistent(s.connection)
	}
	h.Persistent, h.Upgrade = q.Persistent, q.Upgrade
	return nil
}

// Interim reports whether another head follows this one: 1xx, except for 101 (RFC 9110 §15.2).
func (h *ResponseHead) Interim() bool { return h.Status < 200 && h.Status != 101 }

// Name returns the name of f as sent, as a view of Raw.
func (h *ResponseHead) Name(f Field) []byte { return h.Raw[f.NameOff : f.NameOff+f.NameLen] }

// Value returns the value of f without surrounding whitespace, as a view of Raw.
func (h *ResponseHead) Value(f Field) []byte { return h.Raw[f.ValueOff : f.ValueOff+f.ValueLen] }

// Line returns the field line f as sent, with its CR LF, as a view of Raw.
func (h *ResponseHead) Line(i int) []byte {
	end := len(h.Raw)
	if i+1 < len(h.Fields) {
		end = int(h.Fields[i+1].NameOff)
	}
	return h.Raw[h.Fields[i].NameOff:end]
}

// Find returns the index of the first field line at or after i that has this name, in any case, or -1.
func (h *ResponseHead) Find(name string, i int) int { return find(h.Raw, h.Fields, name, i) }
