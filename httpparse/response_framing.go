package httpparse

// Method is what the method of a request means for the body of its response (RFC 9112 §6.3).
type Method uint8

const (
	MethodOther   Method = iota // the fields of the response decide
	MethodHead                  // no body, whatever the fields say
	MethodConnect               // a 2xx response has no body: a tunnel follows its head
)

// MethodOf returns the Method of this name. Names are case-sensitive (RFC 9110 §9.1).
func MethodOf(name []byte) Method {
	switch string(name) {
	case "HEAD":
		return MethodHead
	case "CONNECT":
		return MethodConnect
	}
	return MethodOther
}

// BodyKind is how the end of the body of a response is found (RFC 9112 §6.3).
type BodyKind uint8

const (
	BodyNone       BodyKind = iota // there is no body, or it is empty
	BodyLength                     // it has ContentLength bytes
	BodyChunked                    // it ends with its last chunk and the trailer section
	BodyUntilClose                 // it ends with the connection. Whether it is complete cannot be known
	BodyTunnel                     // there is no body: the connection speaks another protocol from now on
)

// bodyKind is the only place that decides what body follows a response, by the rules of RFC 9112 §6.3 in their order.
func (h *ResponseHead) bodyKind(to Method) BodyKind {
	switch {
	case h.Status == 101, to == MethodConnect && h.Status/100 == 2:
		return BodyTunnel
	case to == MethodHead, h.Status < 200, h.Status == 204, h.Status == 304:
		return BodyNone
	case h.Chunked:
		return BodyChunked
	case h.ContentLength == LengthUnknown:
		return BodyUntilClose
	case h.ContentLength == 0:
		return BodyNone
	}
	return BodyLength
}

// Response is the head of a response that another server has sent to a request of ours.
type Response struct {
	ResponseHead
	Body BodyKind
}

// ResponseParser finds and parses the response heads of one connection to another server. It remembers only how far it has
// looked. The zero value is ready for use.
type ResponseParser struct{ p Parser }

// Reset discards an incomplete head.
func (p *ResponseParser) Reset() { p.p.Reset() }

// Parse is Parser.Parse for the response to a request with the method to. It decides what follows the head: r.Body, or another
// head if r.Interim. r.Persistent is false as well if the body ends with the connection, or if a tunnel follows.
//
// It refuses all responses of which two recipients could understand the end differently (RFC 9112 §11.1): with
// Content-Length and Transfer-Encoding together, with more than one length, with a transfer coding other than chunked, or with
// a body announced by a status that has none. It also refuses folded lines, line ends other than CR LF, control characters,
// blanks before a colon and empty lines before the status line. Any status from 100 to 999 is accepted: those above 599 are
// framed like the others, and are treated as 5xx (RFC 9110 §15).
//
// The Status of an error says what a client would be told of such a request. The client of a proxy is told 502.
func (p *ResponseParser) Parse(r *Response, buf []byte, to Method, lim *Limits) (n int, err error) {
	n, err = p.p.ParseResponse(&r.ResponseHead, buf, lim)
	if n == 0 {
		return 0, err
	}
	r.Body = r.bodyKind(to)
	if r.Body == BodyUntilClose || r.Body == BodyTunnel {
		r.Persistent = false
	}
	return n, nil
}
