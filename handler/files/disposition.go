package files

import (
	"unicode/utf8"

	"moonbridge/httpwrite"
)

// AppendDisposition appends a Content-Disposition field that makes a browser save the response under a name (RFC 6266). A name
// that is not plain ASCII comes twice: in UTF-8 (RFC 8187), and with underscores for browsers that do not understand that.
func AppendDisposition(dst []byte, name string) []byte {
	plain, same := plainName(name)
	value := `attachment; filename="` + plain + `"`
	if !same {
		value += `; filename*=UTF-8''` + string(appendExtended(nil, name))
	}
	return httpwrite.AppendField(dst, "Content-Disposition", value)
}

// plainName returns a name that is the same for every browser. same: nothing had to be replaced. Quotes and backslashes would be
// escaped in a quoted string, and browsers differ in what they make of that, and of percent signs.
func plainName(name string) (plain string, same bool) {
	b := make([]byte, 0, len(name))
	same = true
	for _, r := range name {
		if r < ' ' || r >= 0x7f || r == '"' || r == '\\' || r == '%' || r == '/' {
			b, same = append(b, '_'), false
		} else {
			b = append(b, byte(r))
		}
	}
	return string(b), same
}

// appendExtended appends name as the value-chars of an ext-value (RFC 8187 §3.2.1). Control characters and slashes become
// underscores, and bytes that are not UTF-8 the replacement character.
func appendExtended(dst []byte, name string) []byte {
	const hex = "0123456789ABCDEF"
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '/' {
			r = '_'
		}
		if r < utf8.RuneSelf && attrChar(byte(r)) {
			dst = append(dst, byte(r))
			continue
		}
		var room [utf8.UTFMax]byte
		for _, c := range room[:utf8.EncodeRune(room[:], r)] {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// attrChar reports whether c stands for itself in an ext-value.
func attrChar(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '!', '#', '$', '&', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}
