package files

import "strings"

// Hashed reports whether a file name contains a hash of the contents, as build tools write it: app.3f9a2b1c.js,
// index-BxKq3f0a.css. A hash is a part between dots, hyphens and underscores, other than the extension, of at least eight
// letters and digits. It has both, and either only hexadecimal digits, or letters of both cases: neither a date nor a
// word is one.
func Hashed(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return false
	}
	for part := range strings.FieldsFuncSeq(name[:dot], func(r rune) bool { return r == '.' || r == '-' || r == '_' }) {
		if isHash(part) {
			return true
		}
	}
	return false
}

func isHash(s string) bool {
	var digits, lower, upper, others int
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z':
			lower++
			if c > 'f' {
				others++
			}
		case 'A' <= c && c <= 'Z':
			upper++
			others++
		default:
			return false
		}
	}
	if len(s) < 8 || digits == 0 || lower+upper == 0 {
		return false
	}
	return others == 0 || lower > 0 && upper > 0
}
