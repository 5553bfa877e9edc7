package httpparse

import "errors"

// Body keeps track of one request body while it arrives: how its end is found (RFC 9112 §6.3), how much is missing, whether
// it is too large, and whether the peer waits for permission to send it. It moves bytes between buffers of the caller, and does no
// I/O. The zero value is a body that is complete; Begin makes it ready for another one. It never allocates.
type Body struct {
	framing bodyFraming
	expect  bool  // Expect: 100-continue is not answered yet (RFC 9110 §10.1.1)
	left    int64 // bodyLength: bytes missing
	limit   int64 // bodyChunked: the most bytes of data
	chunked Chunked
}

type bodyFraming uint8

const (
	bodyNone    bodyFraming = iota // no byte of a body is missing
	bodyLength                     // Body.left bytes are missing
	bodyChunked                    // the last chunk is missing
)

// BodyLimits bounds a request body.
type BodyLimits struct {
	Bytes int64 // the most bytes of data. Beyond it: 413
	// Await: a body of known length up to this is waited for before a handler is called. Otherwise a slow peer would hold
	// the handler.
	Await int64
}

// Begin starts with the body of the request h. follow is how many bytes are there after the head.
//
//   - await > 0: wait until that many bytes are there after the head, then call Begin again. With Expect: 100-continue this does
//     not happen, because the peer waits for the handler.
//   - An error, always an *Error: the body is above its limit.
func (b *Body) Begin(h *Head, follow int, lim *BodyLimits) (await int, err error) {
	*b = Body{limit: lim.Bytes, expect: h.ExpectContinue && follow == 0}
	length := h.ContentLength
	switch {
	case length > lim.Bytes:
		return 0, errBodyLarge
	case h.Chunked:
		b.framing = bodyChunked
	case length > 0:
		b.framing, b.left = bodyLength, length
		if length > int64(follow) && length <= lim.Await && !h.ExpectContinue {
			return int(length), nil
		}
	}
	return 0, nil
}

// Missing reports whether a part of the body is still to come. As long as it is, the next request cannot be told apart from
// the body.
func (b *Body) Missing() bool { return b.framing != bodyNone }

// Expecting reports whether the peer sends nothing until it is told to.
func (b *Body) Expecting() bool { return b.expect }

// Continue reports whether the peer has to be told to send the body. It does so once.
func (b *Body) Continue() bool {
	was := b.expect
	b.expect = false
	return was
}

// Abort gives up the body, because it does not come or is not wanted.
func (b *Body) Abort() { b.framing = bodyNone }

// Take returns the part of src that belongs to a body of known length, and counts it. A chunked body has no such part: it
// has to be decoded by Move.
func (b *Body) Take(src []byte) []byte {
	src = b.Direct(src)
	b.Took(len(src))
	return src
}

// Direct returns the part of room that the next bytes of the connection may be read into directly, before Took: it is
// empty unless the length of the body is known.
func (b *Body) Direct(room []byte) []byte {
	if b.framing != bodyLength {
		return nil
	}
	return room[:min(int64(len(room)), b.left)]
}

// Took counts n bytes that were read into what Direct has returned.
func (b *Body) Took(n int) {
	if n == 0 {
		return
	}
	b.expect = false
	if b.left -= int64(n); b.left == 0 {
		b.framing = bodyNone
	}
}

// Move writes data of the body to x, and when that is full, to y. src is what the connection has sent. Move takes all of
// it unless the body ends (Missing tells) or x and y are full.
//
// An error is an *Error: the body is invalid or, with Status 413, too large. What was written before it is valid. The body
// is given up then, since it is unknown where the next request begins.
func (b *Body) Move(x, y, src []byte) (written, consumed int, err error) {
	switch b.framing {
	case bodyLength:
		part := b.Direct(src)
		n := copy(x, part)
		n += copy(y, part[n:])
		b.Took(n)
		return n, n, nil
	case bodyChunked:
		return b.decode(x, y, src)
	}
	return 0, 0, nil
}

func (b *Body) decode(x, y, src []byte) (written, consumed int, err error) {
	written, consumed, done, err := b.chunked.Decode(x, y, src)
	if err == nil && b.chunked.Total() > b.limit {
		err = errBodyLarge
	}
	if done || err != nil {
		b.framing = bodyNone
	}
	b.expect = false
	return written, consumed, err
}

// StatusOf is the status that answers an error of this package.
func StatusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 400
}
