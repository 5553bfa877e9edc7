package httpwrite

import "strconv"

// statusText holds the reason phrases of the codes in IANA's HTTP Status Code Registry. 418 is registered as unused;
// its phrase here is the well-known one.
var statusText = map[int]string{
	100: "Continue",
	101: "Switching Protocols",
	102: "Processing",
	103: "Early Hints",
	104: "Upload Resumption Supported",

	200: "OK",
	201: "Created",
	202: "Accepted",
	203: "Non-Authoritative Information",
	204: "No Content",
	205: "Reset Content",
	206: "Partial Content",
	207: "Multi-Status",
	208: "Already Reported",
	226: "IM Used",

	300: "Multiple Choices",
	301: "Moved Permanently",
	302: "Found",
	303: "See Other",
	304: "Not Modified",
	305: "Use Proxy",
	307: "Temporary Redirect",
	308: "Permanent Redirect",

	400: "Bad Request",
	401: "Unauthorized",
	402: "Payment Required",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	406: "Not Acceptable",
	407: "Proxy Authentication Required",
	408: "Request Timeout",
	409: "Conflict",
	410: "Gone",
	411: "Length Required",
	412: "Precondition Failed",
	413: "Content Too Large",
	414: "URI Too Long",
	415: "Unsupported Media Type",
	416: "Range Not Satisfiable",
	417: "Expectation Failed",
	418: "I'm a teapot",
	421: "Misdirected Request",
	422: "Unprocessable Content",
	423: "Locked",
	424: "Failed Dependency",
	425: "Too Early",
	426: "Upgrade Required",
	428: "Precondition Required",
	429: "Too Many Requests",
	431: "Request Header Fields Too Large",
	451: "Unavailable For Legal Reasons",

	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
	505: "HTTP Version Not Supported",
	506: "Variant Also Negotiates",
	507: "Insufficient Storage",
	508: "Loop Detected",
	510: "Not Extended",
	511: "Network Authentication Required",
}

// StatusText returns the reason phrase of a registered status code, or "" for any other code.
func StatusText(status int) string { return statusText[status] }

// statusLines holds the status line of every code from 100 to 599, since every response needs one.
var statusLines = func() (lines [500]string) {
	for i := range lines {
		lines[i] = statusLine(100 + i)
	}
	return lines
}()

// statusLine builds a status line. The space after the code is required even if there is no phrase (RFC 9112 §4). The
// version is always our own, not that of the request (RFC 9110 §6.2).
func statusLine(status int) string {
	return "HTTP/1.1 " + strconv.Itoa(status) + " " + statusText[status] + "\r\n"
}

// appendStatusLine appends the status line for a three-digit code.
func appendStatusLine(dst []byte, status int) []byte {
	if i := status - 100; i >= 0 && i < len(statusLines) {
		return append(dst, statusLines[i]...)
	}
	return append(dst, statusLine(status)...)
}

// Bodiless reports whether a response with this status has no body, whatever the request method (RFC 9110 §6.4.1). 205
// is included, although it has a length, of 0 (RFC 9110 §15.3.6).
func Bodiless(status int) bool {
	return status < 200 || status == 204 || status == 205 || status == 304
}
