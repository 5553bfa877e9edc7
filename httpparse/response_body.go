package httpparse

// ResponseBody follows the body of a response to its end (RFC 9112 §6.3), and removes the chunked coding. The zero value is
// a response without a body. A ResponseBody never allocates.
type ResponseBody struct {
	framing bodyFraming
	left    int64 // bodyLength: bytes missing
	chunked Chunked
}

// bodyToClose is the framing of a body that ends with the connection.
const bodyToClose bodyFraming = 3

// Begin starts the body of the response h. head says that the request was HEAD. After an interim response there is no body,
// but another head.
func (b *ResponseBody) Begin(h *ResponseHead, head bool) {
	to := MethodOther
	if head {
		to = MethodHead
	}
	b.start(h, h.bodyKind(to))
}

// BeginFrom starts the body of a response that a ResponseParser has parsed.
func (b *ResponseBody) BeginFrom(r *Response) { b.start(&r.ResponseHead, r.Body) }

func (b *ResponseBody) start(h *ResponseHead, kind BodyKind) {
	*b = ResponseBody{}
	switch kind {
	case BodyChunked:
		b.framing = bodyChunked
	case BodyUntilClose:
		b.framing = bodyToClose
	case BodyLength:
		b.framing, b.left = bodyLength, h.ContentLength
	}
}

// Missing reports whether a part of the body has not come yet. A body that ends with the connection is always missing
// something.
func (b *ResponseBody) Missing() bool { return b.framing != bodyNone }

// ToClose reports whether the body ends with the connection.
func (b *ResponseBody) ToClose() bool { return b.framing == bodyToClose }

// Next takes n bytes of buf. data, if not empty, is the next part of the body, a view of buf that ends at n. Call it again
// with the rest of buf, until buf is empty or the body is not Missing. Bytes after the end of the body are not taken.
//
// An error is an *Error and is final.
func (b *ResponseBody) Next(buf []byte) (data []byte, n int, err error) {
	switch b.framing {
	case bodyToClose:
		return buf, len(buf), nil
	case bodyLength:
		n = int(min(b.left, int64(len(buf))))
		if b.left -= int64(n); b.left == 0 {
			b.framing = bodyNone
		}
		return buf[:n], n, nil
	case bodyChunked:
		data, n, done, err := b.chunked.Next(buf)
		if done {
			b.framing = bodyNone
		}
		return data, n, err
	}
	return nil, 0, nil
}

// Skip is Next for n bytes of a body of known length that the caller does not have. It panics if more than that is missing.
func (b *ResponseBody) Skip(n int64) {
	if b.framing != bodyLength || n > b.left {
		panic("httpparse: Skip beyond the end of the body")
	}
	if b.left -= n; b.left == 0 {
		b.framing = bodyNone
	}
}

// End says that nothing follows: the sender has ended the response, or the connection. It returns an error, an *Error, if the
// body is incomplete.
func (b *ResponseBody) End() error {
	if b.framing != bodyNone && b.framing != bodyToClose {
		return errResponseCut
	}
	b.framing = bodyNone
	return nil
}

// TrailerLen is that of Body: how many bytes of the trailer section of a chunked body were taken so far, the empty line at its
// end included.
func (b *ResponseBody) TrailerLen() int { return b.chunked.TrailerLen() }
