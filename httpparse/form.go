package httpparse

import "bytes"

// Form iterates over the items of a urlencoded form: a query (without its question mark), or a body of the type
// application/x-www-form-urlencoded.
//
// Items are separated by "&"; empty ones are skipped. An item is split at its first "="; an item without one has an
// empty value. In both halves "+" means a space and %XX the byte XX; a "%" that is not followed by two hexadecimal
// digits is left as it is.
type Form struct {
	rest    []byte
	scratch []byte
}

// NewForm returns an iterator over the items of src. Decoded items are written to scratch, which is overwritten. If an
// item does not fit, a larger buffer is allocated, which Scratch returns. Nothing is allocated if scratch is as long as
// the longest item (len(src) at most).
func NewForm(src, scratch []byte) Form { return Form{src, scratch[:cap(scratch)]} }

// Next returns the next item. key and value are views of src or of scratch and are valid until the next call. ok is
// false if there are no more items.
func (f *Form) Next() (key, value []byte, ok bool) {
	for len(f.rest) > 0 {
		item := f.rest
		if n := bytes.IndexByte(item, '&'); n >= 0 {
			item, f.rest = item[:n], item[n+1:]
		} else {
			f.rest = nil
		}
		if len(item) == 0 {
			continue
		}
		key = item
		if n := bytes.IndexByte(item, '='); n >= 0 {
			key, value = item[:n], item[n+1:]
		}
		if len(f.scratch) < len(item) {
			f.scratch = make([]byte, max(len(item), 256))
		}
		key, used := decodeForm(f.scratch, key)
		value, _ = decodeForm(f.scratch[used:], value)
		return key, value, true
	}
	return nil, nil, false
}

// Scratch returns the buffer to pass to the next NewForm: the one passed to this one, or a larger one.
func (f *Form) Scratch() []byte { return f.scratch }

// decodeForm returns b decoded, and how many bytes of dst it used: none if b needs no decoding. dst has room for len(b)
// bytes.
func decodeForm(dst, b []byte) ([]byte, int) {
	i := 0
	for i < len(b) && b[i] != '+' && b[i] != '%' {
		i++
	}
	if i == len(b) {
		return b, 0
	}
	n := copy(dst, b[:i])
	for ; i < len(b); i++ {
		c := b[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 < len(b) {
				if high, low := HexValue(b[i+1]), HexValue(b[i+2]); high >= 0 && low >= 0 {
					c = byte(high<<4 | low)
					i += 2
				}
			}
		}
		dst[n] = c
		n++
	}
	return dst[:n], n
}
