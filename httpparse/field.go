package httpparse

// parseFields appends the field lines of raw from pos on to fields (RFC 9112 §5), and notes those that decide about
// framing in s. It returns where the empty line begins, or 0 if raw ends before the end of the empty line.
func parseFields(fields []Field, raw []byte, pos, fieldsMax int, s *special) ([]Field, int, *Error) {
	for {
		if pos >= len(raw) {
			return fields, 0, nil
		}
		if raw[pos] == '\r' {
			if pos+1 == len(raw) {
				return fields, 0, nil
			}
			if raw[pos+1] != '\n' {
				return fields, 0, errLineEnd
			}
			return fields, pos, nil
		}
		if len(fields) == fieldsMax {
			return fields, 0, errFieldCount
		}

		colon := pos
		for colon < len(raw) && class[raw[colon]]&classToken != 0 {
			colon++
		}
		if colon == len(raw) {
			return fields, 0, nil
		}
		if raw[colon] != ':' || colon == pos {
			return fields, 0, nameError(raw[colon], colon == pos)
		}

		begin := colon + 1
		for begin < len(raw) && isBlank(raw[begin]) {
			begin++
		}
		eol := scanText(raw, begin)
		if eol == len(raw) {
			return fields, 0, nil
		}
		if raw[eol] != '\r' {
			return fields, 0, valueError(raw[eol])
		}
		if eol+1 == len(raw) {
			return fields, 0, nil
		}
		if raw[eol+1] != '\n' {
			return fields, 0, errLineEnd
		}
		end := eol
		for end > begin && isBlank(raw[end-1]) {
			end--
		}

		s.note(raw[pos:colon], len(fields))
		fields = append(fields, Field{uint32(pos), uint32(colon - pos), uint32(begin), uint32(end - begin)})
		pos = eol + 2
	}
}

// nameError says what is wrong with a field name that is followed by c instead of a colon.
func nameError(c byte, empty bool) *Error {
	switch {
	case c == '\n':
		return errLineEnd
	case empty && isBlank(c):
		return errFold // RFC 9112 §5.2
	case empty && c == ':':
		return errNameEmpty
	case isBlank(c):
		return errNameSpace // RFC 9112 §5.1
	}
	return errNameByte
}

// valueError says what is wrong with a field value that c has put an end to.
func valueError(c byte) *Error {
	if c == '\n' {
		return errLineEnd
	}
	return errValueByte
}

// Name returns the name of f as it was sent, a view.
func (h *Head) Name(f Field) []byte { return h.Raw[f.NameOff : f.NameOff+f.NameLen] }

// Value returns the value of f without whitespace around it, a view.
func (h *Head) Value(f Field) []byte { return h.Raw[f.ValueOff : f.ValueOff+f.ValueLen] }

// Find returns the index of the first field line from i on that has this name, or -1. name has to be in lower case.
func (h *Head) Find(name string, i int) int {
	for ; i < len(h.Fields); i++ {
		if EqualFold(h.Name(h.Fields[i]), name) {
			return i
		}
	}
	return -1
}

// List goes through the elements of a field value that is a comma separated list (RFC 9110 §5.6.1).
type List struct{ rest []byte }

// NewList begins to go through the elements of a field value.
func NewList(value []byte) List { return List{value} }

// Next returns the next element, without whitespace around it, a view of the value. Empty elements are skipped. Commas
// inside quoted strings (RFC 9110 §5.6.4) do not split; a quoted string without an end reaches to the end of the value.
// ok is false when there are no more.
func (l *List) Next() (element []byte, ok bool) {
	for len(l.rest) > 0 {
		n := elementLen(l.rest)
		element = trimBlanks(l.rest[:n])
		l.rest = l.rest[min(n+1, len(l.rest)):]
		if len(element) > 0 {
			return element, true
		}
	}
	return nil, false
}

// elementLen is the number of bytes up to the first comma outside of a quoted string.
func elementLen(b []byte) int {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return i
		}
	}
	return len(b)
}
