package crash

import "encoding/json"

// json masks the values of members of objects, at any depth. The text need not be complete or valid.
func (m *Mask) json(b []byte) []byte {
	var out []byte
	for i := 0; i < len(b); {
		if b[i] != '"' {
			out = append(out, b[i])
			i++
			continue
		}
		end := stringEnd(b, i)
		out = append(out, b[i:end]...)
		name := b[i:end]
		i = end
		colon := skipSpace(b, i)
		if colon == len(b) || b[colon] != ':' || !m.hides(unquoted(name)) {
			continue
		}
		value := skipSpace(b, colon+1)
		out = append(out, b[i:value]...)
		if i = valueEnd(b, value); i > value {
			out = append(out, `"`+masked+`"`...)
		}
	}
	return out
}

// stringEnd is the place after the string that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// valueEnd is the place after the value that begins at i.
func valueEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = stringEnd(b, i); depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i
			}
			if depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

func unquoted(name []byte) string {
	var s string
	if json.Unmarshal(name, &s) == nil {
		return s
	}
	return string(name)
}
