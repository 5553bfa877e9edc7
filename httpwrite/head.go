package httpwrite

// Continue is the interim response to Expect: 100-continue (RFC 9110 §10.1.1).
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// Special values of Head.Length.
const (
	// LengthNone means that no field states the length. Either there is no body, or it ends with the connection (RFC
	// 9112 §6.3).
	LengthNone int64 = -1
	// LengthChunked means Transfer-Encoding: chunked (RFC 9112 §7.1).
	LengthChunked int64 = -2
)

// Head is the content of a response head. All response heads that Go code sends are built by its Append.
type Head struct {
	Status    int    // three digits
	Date      []byte // in the form of AppendDate; empty: no Date field
	Fields    []byte // the handler's field lines, already checked, each with its CR LF
	Fixed     string // further field lines in the same form
	Length    int64  // bytes of body, LengthNone or LengthChunked
	Close     bool   // Connection: close
	KeepAlive bool   // Connection: keep-alive, needed only for HTTP/1.0 clients (RFC 9112 §9.3)
	Upgrade   bool   // Connection: Upgrade, for an Upgrade field in Fields (RFC 9110 §7.8)
}

// Append appends the head, including the empty line at its end.
func (h *Head) Append(dst []byte) []byte {
	dst = appendStatusLine(dst, h.Status)
	if len(h.Date) > 0 {
		dst = AppendField(dst, "Date", h.Date)
	}
	dst = append(dst, h.Fields...)
	dst = append(dst, h.Fixed...)
	switch {
	case h.Length >= 0:
		dst = AppendNumber(dst, "Content-Length", h.Length)
	case h.Length == LengthChunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case h.Upgrade:
		dst = h.appendUpgrade(dst)
	case h.Close:
		dst = append(dst, "Connection: close\r\n"...)
	case h.KeepAlive:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendUpgrade appends a Connection field with the option Upgrade, and the option that says what becomes of the connection.
func (h *Head) appendUpgrade(dst []byte) []byte {
	switch {
	case h.Close:
		return append(dst, "Connection: close, Upgrade\r\n"...)
	case h.KeepAlive:
		return append(dst, "Connection: keep-alive, Upgrade\r\n"...)
	}
	return append(dst, "Connection: Upgrade\r\n"...)
}
