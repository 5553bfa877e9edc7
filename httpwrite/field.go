package httpwrite

import (
	"errors"
	"strconv"
	"strings"

	"moonbridge/httpparse"
)

// Errors of CheckField.
var (
	// ErrFieldName is returned for a field name that is not a token (RFC 9110 §5.1).
	ErrFieldName = errors.New("invalid field name")
	// ErrFieldValue is returned for a field value that contains a control character such as CR, LF or NUL (RFC 9110
	// §5.5), or that is not valid for the field.
	ErrFieldValue = errors.New("invalid field value")
)

// CheckField checks whether a field line may be sent. It returns ErrFieldName unless name is a token, and ErrFieldValue
// if value has control characters other than HTAB. CR and LF would start another line, which is how response splitting
// works.
func CheckField(name, value string) error {
	if !httpparse.IsToken(name) {
		return ErrFieldName
	}
	if !httpparse.IsFieldValue([]byte(value)) {
		return ErrFieldValue
	}
	return nil
}

// ValidLines reports whether lines are field lines that may be sent, each with its CR LF. "" is none, and valid.
func ValidLines(lines string) bool {
	for lines != "" {
		line, rest, ended := strings.Cut(lines, "\r\n")
		name, value, named := strings.Cut(line, ":")
		if !ended || !named || CheckField(name, value) != nil {
			return false
		}
		lines = rest
	}
	return true
}

// AppendField appends a field line. It does not check name and value; see CheckField.
func AppendField[V string | []byte](dst []byte, name string, value V) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// AppendNumber appends a field line whose value is a number, such as Content-Length.
func AppendNumber(dst []byte, name string, value int64) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = strconv.AppendInt(dst, value, 10)
	return append(dst, "\r\n"...)
}

// PutChunkSize writes the size line of a chunk of n bytes (RFC 9112 §7.1) at the end of room, and returns where it begins. Ten bytes
// are enough for a chunk below 4 GiB.
func PutChunkSize(room []byte, n int) (at int) {
	at = len(room) - 2
	room[at], room[at+1] = '\r', '\n'
	for {
		at--
		room[at] = "0123456789abcdef"[n&15]
		if n >>= 4; n == 0 {
			return at
		}
	}
}
