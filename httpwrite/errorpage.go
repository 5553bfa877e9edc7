package httpwrite

import "moonbridge/httpparse"

// ErrorPage is a complete response for an exchange that failed: the status, with its reason phrase as a text/plain body, or one of Pages. The
// response tells the peer nothing else about the cause.
type ErrorPage struct {
	Status     int
	RetryAfter int               // seconds, sent as Retry-After if above 0
	Unix       int64             // time of day in seconds since 1970, for Date
	Close      bool              // the connection ends after this response; always so where the client speaks HTTP/1.0
	NoBody     bool              // the request was HEAD: the same head, no body
	Codings    httpparse.Codings // 415: content codings that request bodies may have (RFC 9110 §15.5.16); 0: not stated
	Fields     []byte            // further field lines, each with its CR LF
	Fixed      *Fixed            // fields that all responses of the listener have; nil: none
	Pages      *ErrorPages       // the body is one of these, if there is one; nil: none
	JSON       bool              // the client would rather have JSON
}

// Append appends the response. It allocates only if dst is too small, or the fields other than those of Fixed have more than about 100 bytes.
func (p *ErrorPage) Append(dst []byte) []byte {
	var date [DateLen]byte
	var room [192]byte
	body := p.Pages.body(p.Status, p.JSON)
	fields := AppendField(room[:0], "Content-Type", body.contentType)
	if p.Pages != nil {
		fields = append(fields, "Vary: Accept\r\n"...)
	}
	if p.RetryAfter > 0 {
		fields = AppendNumber(fields, "Retry-After", int64(p.RetryAfter))
	}
	fields = append(fields, p.Fields...)
	if p.Status == 415 && p.Codings != 0 {
		fields = append(fields, "Accept-Encoding: "...)
		fields = p.Codings.AppendNames(fields)
		fields = append(fields, "\r\n"...)
	}
	head := Head{
		Status: p.Status,
		Fields: fields,
		Length: int64(len(errorText(p.Status)) + 1),
		Close:  p.Close,
	}
	if body.text != "" {
		head.Length = int64(len(body.text))
	}
	if p.Fixed != nil {
		head.Fixed = p.Fixed.lines
	}
	if p.Fixed == nil || !p.Fixed.dated {
		head.Date = AppendDate(date[:0], p.Unix)
	}
	dst = head.Append(dst)
	switch {
	case p.NoBody:
		return dst
	case body.text != "":
		return append(dst, body.text...)
	}
	return AppendErrorText(dst, p.Status)
}

// AppendErrorText appends the body of an error response: the reason phrase of the status and a line feed.
func AppendErrorText(dst []byte, status int) []byte {
	dst = append(dst, errorText(status)...)
	return append(dst, '\n')
}

func errorText(status int) string {
	if text := StatusText(status); text != "" {
		return text
	}
	return "Error"
}
