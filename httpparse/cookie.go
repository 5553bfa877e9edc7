package httpparse

import "bytes"

// Cookies iterates over the pairs of a Cookie field (RFC 6265 §4.2.1). It is lenient, since browsers and applications
// disagree about details. Pairs are separated by ";" and split at the first "=". Whitespace around name and value is
// removed, and so are quotes around a value. A pair without "=" or with an empty name is skipped. Nothing is decoded.
//
// A name that occurs several times is returned several times. User agents send the more specific cookie first (RFC 6265
// §5.4), so the caller should take the first one. A request may also have several Cookie fields, which are used in
// order.
type Cookies struct{ rest []byte }

// NewCookies returns an iterator over the pairs of a field value.
func NewCookies(value []byte) Cookies { return Cookies{value} }

// Next returns the next pair, as views of the field value. ok is false if there are no more pairs.
func (c *Cookies) Next() (name, value []byte, ok bool) {
	for len(c.rest) > 0 {
		pair := c.rest
		if n := bytes.IndexByte(pair, ';'); n >= 0 {
			pair, c.rest = pair[:n], pair[n+1:]
		} else {
			c.rest = nil
		}
		n := bytes.IndexByte(pair, '=')
		if n < 0 {
			continue
		}
		if name = TrimBlanks(pair[:n]); len(name) == 0 {
			continue
		}
		value = TrimBlanks(pair[n+1:])
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		return name, value, true
	}
	return nil, nil, false
}
