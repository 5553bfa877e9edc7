package httpwrite

import (
	"errors"

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
	if !httpparse.IsToken([]byte(name)) {
		return ErrFieldName
	}
	if !httpparse.IsFieldValue([]byte(value)) {
		return ErrFieldValue
	}
	return nil
}

// AppendField appends a field line. It does not check name and value; see CheckField.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}
