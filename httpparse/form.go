package httpparse

import "bytes"

// Form goes through the items of an urlencoded form: a query (without its question mark), or a body of the type
// application/x-www-form-urlencoded.
//
// Items are what stands between "&"; empty ones are skipped. An item is split at its first "="; without one its value is
// empty. In both halves "+" is a blank and %XX the byte XX; a "%" without two hexadecimal digits after it stays as it is.
type Form struct {
	rest    []byte
	scratch []byte
}

// NewForm begins to go through the items of src. What has to be decoded is put into scratch, whose content is lost; an
// item that does not fit into it has a larger one allocated, which Scratch returns. With a scratch as long as the longest
// item (len(src) at most) nothing is allocated.
func NewForm(src, scratch []byte) Form { return Form{src, scratch[:cap(scratch)]} }

// Next returns the next item. key and value are views of src or of the scratch, and valid until the next call. ok is
// false when there are no more.
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

// Scratch is the buffer to give to the next NewForm: the one given, or a larger one.
func (f *Form) Scratch() []byte { return f.scratch }

// decodeForm returns b decoded, and how many bytes of dst that took: none if b stands for itself. dst has room for
// len(b) bytes.
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
				if high, low := hexValue(b[i+1]), hexValue(b[i+2]); high >= 0 && low >= 0 {
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
