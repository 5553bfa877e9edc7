package handler

import (
	"context"
	"io"
	"iter"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// Request is a request as a Handler sees it. It is an io.Reader of the request body.
//
// All slices are views: read-only, and gone when Serve returns.
type Request struct {
	head     *httpparse.Head
	listener int

	x    backend.Exchange // on the loop: may be asked for the address
	body []byte           // on the loop: the whole of it
	off  int              // how much of body was read
	src  source           // elsewhere: what the body comes from
}

// source is what a Request asks that has not all of it at hand.
type source interface {
	read(p []byte) (int, error)
	context() context.Context
	remoteAddr() string
}

// Method is the method as sent: case matters (RFC 9110 §9.1).
func (r *Request) Method() []byte { return r.head.Bytes(r.head.Method) }

// Target is the request target as sent (RFC 9112 §3.2).
func (r *Request) Target() []byte { return r.head.Bytes(r.head.Target) }

// Path is the path without its leading slash, not percent-decoded. It is empty for OPTIONS *; see Asterisk.
func (r *Request) Path() []byte { return r.head.Bytes(r.head.Path) }

// Query is the query without its question mark, not percent-decoded.
func (r *Request) Query() []byte {
	q := r.head.Bytes(r.head.Query)
	if len(q) > 0 {
		return q[1:]
	}
	return q
}

// Asterisk says that the request is about the server as a whole: OPTIONS *.
func (r *Request) Asterisk() bool { return r.head.Asterisk }

// Minor is the minor version of HTTP/1 that the peer speaks: 0 or 1.
func (r *Request) Minor() int { return int(r.head.Minor) }

// Host is the value of the Host field, which takes over the authority of an absolute target. It is empty where
// HTTP/1.0 left it out.
func (r *Request) Host() []byte { return r.Field("Host") }

// Field is the value of the first field line of this name, in any case, and nil if there is none.
func (r *Request) Field(name string) []byte {
	for _, f := range r.head.Fields {
		if httpparse.EqualFold(r.head.Name(f), name) {
			return r.head.Value(f)
		}
	}
	return nil
}

// Fields goes through the field lines in the order of their arrival: name as sent, and value.
func (r *Request) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for _, f := range r.head.Fields {
			if !yield(r.head.Name(f), r.head.Value(f)) {
				return
			}
		}
	}
}

// ContentLength is the length of the body in bytes, 0 if there is none, -1 if the peer has not said.
func (r *Request) ContentLength() int64 { return r.head.ContentLength }

// Listener is the index of the listener that the connection came in by, in the order in which they were given to the
// engine.
func (r *Request) Listener() int { return r.listener }

// RemoteAddr is the client's address and port as text, as http.Request.RemoteAddr has it; "" on a Unix socket.
func (r *Request) RemoteAddr() string {
	if r.src != nil {
		return r.src.remoteAddr()
	}
	_, remote := r.x.Addrs()
	return addrText(remote)
}

// Context is done when the exchange is over or its connection is gone. On the loop it never is: neither can happen while
// Serve runs.
//
// A peer that only says that it will send nothing more is not gone: it may have closed one direction and wait for its
// answer. One that has closed both looks the same until something is sent to it. So a handler that waits for
// long should write and flush something now and then if it wants to know.
func (r *Request) Context() context.Context {
	if r.src != nil {
		return r.src.context()
	}
	return context.Background()
}

// Read reads from the body. It blocks until there is something, unless on the loop, where the whole body is there. After
// the body it returns io.EOF; io.ErrUnexpectedEOF if the body broke off, ErrBodyTooLarge if it did so at the
// engine's limit, ErrGone if the connection ended.
func (r *Request) Read(p []byte) (int, error) {
	if r.src != nil {
		return r.src.read(p)
	}
	if r.off == len(r.body) {
		return 0, io.EOF
	}
	n := copy(p, r.body[r.off:])
	r.off += n
	return n, nil
}

// Body returns what is left of the body, or ErrBodyTooLarge if that is above max bytes; errors of Read are passed on. On
// the loop it copies nothing.
func (r *Request) Body(max int) ([]byte, error) {
	if r.src == nil {
		rest := r.body[r.off:]
		if len(rest) > max {
			return nil, ErrBodyTooLarge
		}
		r.off = len(r.body)
		return rest, nil
	}
	if r.head.ContentLength > int64(max) {
		return nil, ErrBodyTooLarge
	}
	return readUpTo(r, make([]byte, 0, sizeHint(r.head.ContentLength, max)), max)
}

// sizeHint is how much room to begin with: as much as the peer has announced, but not before it sends that.
func sizeHint(announced int64, max int) int {
	const first = 16 << 10
	if announced < 0 || announced > first {
		announced = first
	}
	return min(int(announced), max) + 1 // one more, to meet the end without growing
}

func readUpTo(src io.Reader, b []byte, max int) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := src.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if len(b) > max {
			return nil, ErrBodyTooLarge
		}
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// copyHead makes dst a copy of src that does not share memory with it, in the room that dst has.
func copyHead(dst, src *httpparse.Head) {
	raw, fields := dst.Raw, dst.Fields
	*dst = *src
	dst.Raw = append(raw[:0], src.Raw...)
	dst.Fields = append(fields[:0], src.Fields...)
}
