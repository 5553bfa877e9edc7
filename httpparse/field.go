package httpparse

import (
	"bytes"
	"iter"
)

// parseFields appends the field lines of raw, starting at pos, to fields (RFC 9112 §5), and notes in s those that
// affect framing. It returns the offset of the empty line, or 0 if raw ends before the end of the empty line.
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

// nameError returns the error for a field name that is followed by c instead of a colon.
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

// valueError returns the error for a field value that contains c.
func valueError(c byte) *Error {
	if c == '\n' {
		return errLineEnd
	}
	return errValueByte
}

// Name returns the name of f as sent, as a view of Raw.
func (h *Head) Name(f Field) []byte { return h.Raw[f.NameOff : f.NameOff+f.NameLen] }

// Value returns the value of f without surrounding whitespace, as a view of Raw.
func (h *Head) Value(f Field) []byte { return h.Raw[f.ValueOff : f.ValueOff+f.ValueLen] }

// Find returns the index of the first field line at or after i that has this name, in any case, or -1.
func (h *Head) Find(name string, i int) int { return find(h.Raw, h.Fields, name, i) }

func find(raw []byte, fields []Field, name string, i int) int {
	for ; i < len(fields); i++ {
		if f := fields[i]; EqualFold(raw[f.NameOff:f.NameOff+f.NameLen], name) {
			return i
		}
	}
	return -1
}

// List iterates over the elements of a comma-separated field value (RFC 9110 §5.6.1).
type List struct{ rest []byte }

// NewList returns an iterator over the elements of a field value.
func NewList(value []byte) List { return List{value} }

// Next returns the next element without surrounding whitespace, as a view of the value. Empty elements are skipped. A
// comma inside a quoted string (RFC 9110 §5.6.4) does not separate elements; an unterminated quoted string extends to
// the end of the value. ok is false if there are no more elements.
func (l *List) Next() (element []byte, ok bool) {
	for len(l.rest) > 0 {
		n := elementLen(l.rest)
		element = TrimBlanks(l.rest[:n])
		l.rest = l.rest[min(n+1, len(l.rest)):]
		if len(element) > 0 {
			return element, true
		}
	}
	return nil, false
}

// Elements iterates over the elements of a comma-separated field value as List.Next does.
func Elements(value []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		list := NewList(value)
		for e, ok := list.Next(); ok && yield(e); {
			e, ok = list.Next()
		}
	}
}

// elementLen is the number of bytes before the first comma outside a quoted string.
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

// HasField reports whether one of the field lines, each with its CR LF, has a name, in any case.
func HasField(lines []byte, name string) bool {
	for line := range bytes.Lines(lines) {
		if len(line) > len(name) && line[len(name)] == ':' && EqualFold(line[:len(name)], name) {
			return true
		}
	}
	return false
}
