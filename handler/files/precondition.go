package files

import (
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Precondition answers a request for something that is no file, as far as its preconditions decide that (RFC 9110 §13). c are
// its conditions, v describes what it is for, and now is the time in seconds since 1970. status is 304 with the validator that it
// repeats (§15.4.5), or 412 with the text of an error page. 0: the request is to be performed.
func Precondition(method string, c *httpparse.Conditions, v *httpparse.Validators, now int64) (status int, fields, text []byte) {
	switch method {
	case "CONNECT", "OPTIONS", "TRACE":
		return 0, nil, nil // §13.2.1: they select no representation
	}
	switch c.Evaluate(method == "GET" || method == "HEAD", true, v, now) {
	case httpparse.NotModified:
		return 304, validatorField(v), nil
	case httpparse.PreconditionFailed:
		return 412, httpwrite.AppendField(nil, "Content-Type", "text/plain"), httpwrite.AppendErrorText(nil, 412)
	}
	return 0, nil, nil
}

func validatorField(v *httpparse.Validators) []byte {
	if v.ETag != "" {
		return httpwrite.AppendField(nil, "ETag", v.ETag)
	}
	return httpwrite.AppendField(nil, "Last-Modified", httpwrite.AppendDate(nil, v.Modified))
}
