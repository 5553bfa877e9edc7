package httpparse

import "bytes"

// Cookies goes through the pairs of a Cookie field (RFC 6265 §4.2.1), leniently as browsers and applications disagree
// about details: pairs are what stands between ";", split at the first "=", without whitespace around name and value.
// Quotes around a value are removed. What has no "=" or an empty name is skipped. Nothing is decoded.
//
// Equal names are returned as often as they come. User agents send the more specific cookie first (RFC 6265 §5.4), so
// the caller takes the first of them; a request may also have several Cookie fields, which count in their order.
type Cookies struct{ rest []byte }

// NewCookies begins to go through the pairs of a field value.
func NewCookies(value []byte) Cookies { return Cookies{value} }

// Next returns the next pair, views of the field value. ok is false when there are no more.
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
		if name = trimBlanks(pair[:n]); len(name) == 0 {
			continue
		}
		value = trimBlanks(pair[n+1:])
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		return name, value, true
	}
	return nil, nil, false
}
