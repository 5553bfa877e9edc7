package httpwrite

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
type Head struct {
	Status    int    // three digits
	Date      []byte // as AppendDate writes it; empty: no Date field
	Fields    []byte // the handler's field lines, each with its CR LF, checked (AppendField does not check)
	Length    int64  // bytes of body, LengthNone or LengthChunked
	Close     bool   // Connection: close
	KeepAlive bool   // Connection: keep-alive, which only a client of HTTP/1.0 needs to be told
}

// Append appends the head with the empty line at its end.
func (h *Head) Append(dst []byte) []byte {
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
