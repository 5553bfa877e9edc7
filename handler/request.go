package handler

import (
	"context"
	"crypto/tls"
	"io"
	"iter"
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// Request is a request as seen by a Handler. It is an io.Reader of the request body.
//
// All slices that it returns are read-only views and are valid until Serve returns. After that, a Request is empty, and Read returns
// ErrEnded.
type Request struct{ *requestState }

// requestState is what a Request refers to until Serve returns.
type requestState struct {
	head     *httpparse.Head
	listener int

	e       *loopExchange    // on the loop
	x       backend.Exchange // on the loop: for the addresses
	body    []byte           // on the loop: the whole body
	trailer []byte           // on the loop: the trailer section
	off     int              // how many bytes of body were read
	src     source           // elsewhere: where the body comes from
	taken   int64            // elsewhere: how many bytes of the body Read has returned
}

// endedRequest is the state of each Request after Serve.
var endedRequest = &requestState{head: new(httpparse.Head), src: endedSource{}}

// source provides what a Request outside the loop does not hold itself.
type source interface {
	read(p []byte) (int, error)
	trailerSection() []byte
	context() context.Context
	addrs() (local, remote netip.AddrPort)
	tlsState() *backend.TLSState
}

// endedSource is the source of endedRequest.
type endedSource struct{}

func (endedSource) read([]byte) (int, error)              { return 0, ErrEnded }
func (endedSource) trailerSection() []byte                { return nil }
func (endedSource) context() context.Context              { return endedContext }
func (endedSource) addrs() (local, remote netip.AddrPort) { return local, remote }
func (endedSource) tlsState() *backend.TLSState           { return nil }

var endedContext = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Method returns the method as sent. It is case-sensitive (RFC 9110 §9.1).
func (r *Request) Method() []byte { return r.head.Bytes(r.head.Method) }

// Target returns the request target as sent (RFC 9112 §3.2).
func (r *Request) Target() []byte { return r.head.Bytes(r.head.Target) }

// Path returns the path without its leading slash, not percent-decoded. It is empty for OPTIONS *; see Asterisk.
func (r *Request) Path() []byte { return r.head.Bytes(r.head.Path) }

// Query returns the query without its question mark, not percent-decoded.
func (r *Request) Query() []byte {
	q := r.head.Bytes(r.head.Query)
	if len(q) > 0 {
		return q[1:]
	}
	return q
}

// Asterisk reports whether the request is OPTIONS *, which concerns the server as a whole (RFC 9112 §3.2.4).
func (r *Request) Asterisk() bool { return r.head.Asterisk }

// Minor returns the minor version of the peer's HTTP/1: 0 or 1.
func (r *Request) Minor() int { return int(r.head.Minor) }

// HTTP2 reports whether the request came with HTTP/2. It has the form of HTTP/1.1 then too, and Minor is 1.
func (r *Request) HTTP2() bool { return r.head.HTTP2 }

// Trace returns what is known of the request's trace, if the engine traces requests (engine.Options.Trace): its id, and the fields for
// requests that the handler itself sends. It is empty otherwise.
func (r *Request) Trace() httpparse.TraceText { return r.head.Trace }

// Host returns the value of the Host field, or the authority of an absolute target, which replaces it (RFC 9112
// §3.2.2). It is empty if an HTTP/1.0 request has no Host field.
func (r *Request) Host() []byte { return r.Field("Host") }

// Field returns the value of the first field line with this name, in any case, or nil if there is none.
func (r *Request) Field(name string) []byte {
	for _, f := range r.head.Fields {
		if httpparse.EqualFold(r.head.Name(f), name) {
			return r.head.Value(f)
		}
	}
	return nil
}

// Fields returns an iterator over the field lines in order of arrival: the name as sent, and the value.
func (r *Request) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for _, f := range r.head.Fields {
			if !yield(r.head.Name(f), r.head.Value(f)) {
				return
			}
		}
	}
}

// ContentLength returns the length of the body in bytes: 0 if there is no body, -1 if its length is not known (a
// chunked body).
func (r *Request) ContentLength() int64 { return r.head.ContentLength }

// Listener returns the number that Engine.Serve was given for the listener of the connection.
func (r *Request) Listener() int { return r.listener }

// RemoteAddr returns the client's address and port as text, in the form of http.Request.RemoteAddr, or "" on a Unix
// socket.
func (r *Request) RemoteAddr() string {
	_, remote := r.addrs()
	return addrText(remote)
}

func (r *Request) addrs() (local, remote netip.AddrPort) {
	if r.src != nil {
		return r.src.addrs()
	}
	return r.x.Addrs()
}

// Client is the address of the client: what trusted proxies say (engine.Limits.TrustedProxies), or else that of the peer. It is not
// valid if neither is known, as on a Unix socket.
func (r *Request) Client() netip.Addr {
	if r.head.Client.IsValid() {
		return r.head.Client
	}
	_, remote := r.addrs()
	return remote.Addr()
}

// Secure reports whether the client has asked for https: the connection has TLS, or trusted proxies say so.
func (r *Request) Secure() bool { return r.head.Secure }

// TLS is what is known about the connection's TLS, or nil without. It must not be changed.
func (r *Request) TLS() *tls.ConnectionState {
	if !r.head.Secure { // saves the question in most cases
		return nil
	}
	state := (*backend.TLSState)(nil)
	if r.src != nil {
		state = r.src.tlsState()
	} else {
		state = backend.TLSOf(r.x)
	}
	if state == nil { // a trusted proxy has said it
		return nil
	}
	return &state.ConnectionState
}

// Context returns a context that is cancelled when the exchange is over or its connection is gone. On the loop it is
// never cancelled, since neither can happen while Serve runs.
//
// It is also cancelled when the peer has finished sending (FIN): most peers have closed the connection then. One that has
// closed its sending side only, and waits for the response, looks the same: what Serve writes is still sent. With
// engine.PeerEndWait the context lasts until the peer resets the connection, or something that was sent to it has not
// arrived. A handler that waits for a long time then learns of its end by writing and flushing something from time to time.
func (r *Request) Context() context.Context {
	if r.src != nil {
		return r.src.context()
	}
	return context.Background()
}

// Read reads from the body. It blocks until bytes are available, except on the loop, where the whole body is in memory.
// At the end of the body it returns io.EOF. Other errors are io.ErrUnexpectedEOF if the body is incomplete,
// ErrBodyTooLarge if it exceeds the engine's limit, ErrGone if the connection has ended, and ErrEnded after Serve.
func (r *Request) Read(p []byte) (int, error) {
	if r.src != nil {
		n, err := r.src.read(p)
		if n > 0 {
			r.taken += int64(n)
		}
		return n, err
	}
	if r.off == len(r.body) {
		return 0, io.EOF
	}
	n := copy(p, r.body[r.off:])
	r.off += n
	return n, nil
}

// Trailers returns an iterator over the trailer fields of a chunked body (RFC 9110 §6.5), in order of arrival: the name as
// sent, and the value. There are none before Read has returned io.EOF. Fields that must not be in a trailer section, such as
// Content-Length, Host and Authorization, are left out. The section is at most 8 KiB long; a longer one makes the body
// incomplete.
func (r *Request) Trailers() iter.Seq2[[]byte, []byte] {
	if r.src != nil {
		return httpparse.TrailerFields(r.src.trailerSection())
	}
	if r.off < len(r.body) {
		return httpparse.TrailerFields(nil)
	}
	return httpparse.TrailerFields(r.trailer)
}

// Body returns the rest of the body, or ErrBodyTooLarge if that is more than max bytes. It also returns errors of Read.
// On the loop the result is a view, not a copy.
func (r *Request) Body(max int) ([]byte, error) {
	if r.src == nil {
		rest := r.body[r.off:]
		if len(rest) > max {
			return nil, ErrBodyTooLarge
		}
		r.off = len(r.body)
		return rest, nil
	}
	rest := r.head.ContentLength - r.taken // below 0: not known
	if rest > int64(max) {
		return nil, ErrBodyTooLarge
	}
	return readUpTo(r, make([]byte, 0, sizeHint(rest, max)), max)
}

// sizeHint is the initial size of the buffer: the announced length, but at most first bytes, since the peer may not
// send what it announces.
func sizeHint(announced int64, max int) int {
	const first = 16 << 10
	if announced < 0 || announced > first {
		announced = first
	}
	return min(int(announced), max) + 1 // one more, to reach the end without growing
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

// copyHead makes dst a copy of src that shares no memory with it. It reuses the buffers of dst.
func copyHead(dst, src *httpparse.Head) {
	raw, fields, id, trace := dst.Raw, dst.Fields, dst.ID, dst.Trace
	*dst = *src
	dst.Raw = append(raw[:0], src.Raw...)
	dst.Fields = append(fields[:0], src.Fields...)
	dst.ID = append(id[:0], src.ID...)
	dst.Trace = append(trace[:0], src.Trace...)
}
