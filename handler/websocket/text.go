package websocket

import "unicode/utf8"

// textCheck checks the UTF-8 of a text that arrives in pieces (RFC 6455 §8.1). A sequence that cannot become valid is noticed with
// its first wrong byte.
type textCheck struct {
	part [utf8.UTFMax]byte // of a sequence that the pieces so far end within
	n    uint8
}

// add reports whether b continues a valid text.
func (t *textCheck) add(b []byte) bool {
	for t.n > 0 && len(b) > 0 {
		t.part[t.n] = b[0]
		t.n++
		b = b[1:]
		if part := t.part[:t.n]; utf8.FullRune(part) {
			if !utf8.Valid(part) {
				return false
			}
			t.n = 0
		}
	}
	whole := wholeRunes(b)
	t.n += uint8(copy(t.part[t.n:], b[whole:]))
	return utf8.Valid(b[:whole])
}

// end reports whether the text may end here, and prepares for another one.
func (t *textCheck) end() bool {
	whole := t.n == 0
	t.n = 0
	return whole
}

// wholeRunes is the length of b without a sequence that has begun at its end and is not complete.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}
