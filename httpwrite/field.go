package httpwrite

import (
	"errors"

	"moonbridge/httpparse"
)

// Errors of CheckField.
var (
	// ErrFieldName says that a field name is no token (RFC 9110 §5.1).
	ErrFieldName = errors.New("invalid field name")
	// ErrFieldValue says that a field value has a control character such as CR, LF or NUL in it (RFC 9110 §5.5), or is not
	// what this field may be.
	ErrFieldValue = errors.New("invalid field value")
)

// CheckField says whether a field line may be sent: ErrFieldName unless name is a token, ErrFieldValue if value has
// control characters besides HTAB. CR and LF would begin another line, which is how responses are split.
func CheckField(name, value string) error {
	if !httpparse.IsToken([]byte(name)) {
		return ErrFieldName
	}
	if !httpparse.IsFieldValue([]byte(value)) {
		return ErrFieldValue
	}
	return nil
}

// AppendField appends a field line. It is for names and values that are known to be right; see CheckField.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}
