package httpwrite

import "strconv"

// AppendError appends a complete response for an exchange that failed: the status, with its reason phrase as a
// text/plain body. The response tells the peer nothing else about the cause. It allocates only if dst is too small.
//
//	unix        time of day in seconds since 1970, for Date
//	retryAfter  seconds, sent as Retry-After if above 0
//	closeConn   the connection ends after this response; always so where the client speaks HTTP/1.0
//	noBody      the request was HEAD: the same head, no body
func AppendError(dst []byte, unix int64, status, retryAfter int, closeConn, noBody bool) []byte {
	var date [DateLen]byte
	var room [96]byte
	fields := AppendField(room[:0], "Content-Type", "text/plain")
	if retryAfter > 0 {
		fields = append(fields, "Retry-After: "...)
		fields = strconv.AppendInt(fields, int64(retryAfter), 10)
		fields = append(fields, "\r\n"...)
	}
	head := Head{
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
	return AppendErrorText(dst, status)
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
