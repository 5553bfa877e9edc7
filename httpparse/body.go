package httpparse

import "errors"

// Body tracks one request body while it arrives: how its end is found (RFC 9112 §6.3), how much is missing, whether it
// is too large, and whether the peer waits for 100 (Continue). It moves bytes between buffers of the caller and does no
// I/O. The zero value is a complete body; Begin starts another one. A Body never allocates.
type Body struct {
	framing bodyFraming
	expect  bool  // Expect: 100-continue is not answered yet (RFC 9110 §10.1.1)
	left    int64 // bodyLength: bytes missing; bodyChunked: largest number of data bytes
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
	Bytes int64 // largest number of data bytes; a larger body is refused with 413
	// Await is the largest body of known length that is read completely before a handler is called, so that a slow peer
	// does not occupy the handler.
	Await int64
	Whole bool // a larger body, or one of unknown length, is read completely too
	// Codings are the content codings (RFC 9110 §8.4) of which a body may have one. Any other body is refused with 415. 0:
	// nothing is refused.
	Codings Codings
}

// AwaitWhole is what Begin returns for a body whose bytes do not wait in one piece after the head.
const AwaitWhole = -1

// Begin starts the body of the request h. follow is the number of bytes after the head that have arrived.
//
//   - await > 0: wait until that many bytes have arrived after the head, then call Begin again. This does not happen
//     with Expect: 100-continue, because the peer then waits for an answer.
//   - AwaitWhole, which only BodyLimits.Whole allows: Move or Take the body to its end before a handler is called. Begin is not
//     called again.
//   - An error, always an *Error: the body exceeds its limit, or has a content coding that it must not have.
func (b *Body) Begin(h *Head, follow int, lim *BodyLimits) (await int, err error) {
	*b = Body{expect: h.ExpectContinue && follow == 0}
	length := h.ContentLength
	switch {
	case length != 0 && lim.Codings != 0 && !lim.allow(h):
		return 0, errBodyCoding
	case length > lim.Bytes:
		return 0, errBodyLarge
	case h.Chunked:
		b.framing, b.left = bodyChunked, lim.Bytes
		return lim.rest(), nil
	case length > 0:
		b.framing, b.left = bodyLength, length
		switch {
		case length <= int64(follow):
		case length <= lim.Await && !h.ExpectContinue:
			return int(length), nil
		default:
			return lim.rest(), nil
		}
	}
	return 0, nil
}

// allow reports whether the body may have the content coding that it has.
func (lim *BodyLimits) allow(h *Head) bool {
	c, ok := h.ContentCoding()
	return ok && (c == Identity || lim.Codings.Has(c))
}

// rest is what Begin returns for a body that Await does not cover.
func (lim *BodyLimits) rest() int {
	if lim.Whole {
		return AwaitWhole
	}
	return 0
}

// Missing reports whether a part of the body has not arrived yet. While it is missing, the next request cannot be told
// from the body.
func (b *Body) Missing() bool { return b.framing != bodyNone }

// Left is how many bytes are missing of a body of known length. For a chunked body it is 0.
func (b *Body) Left() int64 {
	if b.framing != bodyLength {
		return 0
	}
	return b.left
}

// Expecting reports whether the peer is waiting for 100 (Continue).
func (b *Body) Expecting() bool { return b.expect }

// Continue reports whether 100 (Continue) is to be sent now, and records that it has been.
func (b *Body) Continue() bool {
	was := b.expect
	b.expect = false
	return was
}

// Abort drops the rest of the body, because it will not arrive or is not wanted.
func (b *Body) Abort() { b.framing = bodyNone }

// Take returns the part of src that belongs to a body of known length, and counts it. A chunked body has no such part;
// Move decodes it.
func (b *Body) Take(src []byte) []byte {
	src = b.Direct(src)
	b.Took(len(src))
	return src
}

// Direct returns the part of room into which the next bytes of the connection may be read directly, before Took is
// called. It is empty unless the length of the body is known.
func (b *Body) Direct(room []byte) []byte {
	if b.framing != bodyLength {
		return nil
	}
	return room[:min(int64(len(room)), b.left)]
}

// Took counts n bytes that were read into the slice returned by Direct.
func (b *Body) Took(n int) {
	if n == 0 {
		return
	}
	b.expect = false
	if b.left -= int64(n); b.left == 0 {
		b.framing = bodyNone
	}
}

// Move writes data of the body to x and, when x is full, to y. src holds the bytes that the connection has sent. Move
// takes all of them unless the body ends (see Missing) or x and y are full.
//
// An error is an *Error: the body is invalid or, with Status 413, too large. The data written before it is valid. The
// rest of the body is dropped, and the start of the next request is unknown.
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
	if err == nil && b.chunked.Total() > b.left {
		err = errBodyLarge
	}
	if done || err != nil {
		b.framing = bodyNone
	}
	b.expect = false
	return written, consumed, err
}

// StatusOf returns the status of the answer to an error of this package, or 400 for any other error.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 400
}
