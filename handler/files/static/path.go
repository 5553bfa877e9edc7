package static

import (
	"bytes"

	"moonbridge/handler/files"
)

// normalizer is a files.Normalizer.
type normalizer struct{ files.Normalizer }

func (n *normalizer) normalize(path []byte) (normalized []byte, ok bool) { return n.Normalize(path) }

// escapePath percent-encodes a decoded path, for a Location or a link.
func escapePath(path string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(path)+16)
	for i := range len(path) {
		if c := path[i]; unescaped(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// unescaped reports whether c stands for itself in a path (RFC 3986 §3.3).
func unescaped(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return bytes.IndexByte([]byte("/-._~!$&'()*+,;=:@"), c) >= 0
}
