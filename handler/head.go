package handler

import "strconv"

// Continue is the interim response to Expect: 100-continue (RFC 9110 §10.1.1).
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// Values of ResponseHead.Length besides a number of bytes.
const (
	// LengthNone: no field speaks of the length. Either there is no body, or it ends with the connection.
	LengthNone int64 = -1
	// LengthChunked: Transfer-Encoding: chunked.
	LengthChunked int64 = -2
)

// ResponseHead is what the head of a response consists of. All response heads that Go code sends are built here.
type ResponseHead struct {
	Status    int    // three digits
	Date      []byte // as AppendDate writes it; empty: no Date field
	Fields    []byte // the handler's field lines, each with its CR LF, checked (AppendField does not check)
	Length    int64  // bytes of body, LengthNone or LengthChunked
	Close     bool   // Connection: close
	KeepAlive bool   // Connection: keep-alive, which only a client of HTTP/1.0 needs to be told
}

// Append appends the head with the empty line at its end.
func (h *ResponseHead) Append(dst []byte) []byte {
	dst = appendStatusLine(dst, h.Status)
	if len(h.Date) > 0 {
		dst = append(dst, "Date: "...)
		dst = append(dst, h.Date...)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, h.Fields...)
	switch {
	case h.Length >= 0:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, h.Length, 10)
		dst = append(dst, "\r\n"...)
	case h.Length == LengthChunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case h.Close:
		dst = append(dst, "Connection: close\r\n"...)
	case h.KeepAlive:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// AppendField appends a field line. It is for names and values that are known to be right; see CheckField.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// AppendError appends a whole response to an exchange that failed: the status and its text as text/plain, and nothing
// else that could tell the peer about the cause.
//
//	unix        time of day in seconds since 1970, for Date
//	retryAfter  seconds, sent as Retry-After if above 0
//	closeConn   the connection ends after this response; always so where the client speaks HTTP/1.0
//	noBody      the request was HEAD: the same head, no body
func AppendError(dst []byte, unix int64, status, retryAfter int, closeConn, noBody bool) []byte {
	var date [dateLen]byte
	var room [96]byte
	fields := AppendField(room[:0], "Content-Type", "text/plain")
	if retryAfter > 0 {
		fields = append(fields, "Retry-After: "...)
		fields = strconv.AppendInt(fields, int64(retryAfter), 10)
		fields = append(fields, "\r\n"...)
	}
	head := ResponseHead{
		Status: status,
		Date:   AppendDate(date[:0], unix),
		Fields: fields,
		Length: int64(len(errorText(status)) + 1),
		Close:  closeConn,
	}
	dst = head.Append(dst)
	if noBody {
		return dst
	}
	return appendErrorText(dst, status)
}

// appendErrorText appends the body of an error response.
func appendErrorText(dst []byte, status int) []byte {
	dst = append(dst, errorText(status)...)
	return append(dst, '\n')
}

func errorText(status int) string {
	if text := StatusText(status); text != "" {
		return text
	}
	return "Error"
}
