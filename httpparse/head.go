package httpparse

import "net/netip"

// Span is a range of Head.Raw: offset and length in bytes.
type Span struct{ Off, Len uint32 }

// Field is one field line (RFC 9112 §5), as two ranges of Head.Raw. It has the layout of mb_field in
// handler/shm/layout.h, so that one copy hands all fields of a head to a worker.
type Field struct{ NameOff, NameLen, ValueOff, ValueLen uint32 }

// Head is a parsed request head. It can be reused: Parse overwrites all of it, but keeps the array of Fields. Raw is a
// view of the parsed bytes and is valid as long as they are.
type Head struct {
	Raw    []byte  // request line and field lines, without the empty line at the end
	Fields []Field // in the order of arrival

	Method Span
	Target Span // as sent
	Path   Span // without the leading slash, not percent-decoded
	Query  Span // with its question mark, or empty

	Minor          uint8 // HTTP/1.Minor: 0 or 1
	Asterisk       bool  // OPTIONS *: no path and no query
	Connect        bool  // method CONNECT: the target is a host and a port, and there is no path
	IsHead         bool  // method HEAD
	Persistent     bool  // the client allows further requests on the connection (RFC 9112 §9.3)
	Upgrade        bool  // Connection: upgrade: the client asks for another protocol (RFC 9110 §7.8)
	ExpectContinue bool  // Expect: 100-continue (RFC 9110 §10.1.1); only in HTTP/1.1, and if there is a body
	Chunked        bool  // the body is chunked
	ContentLength  int64 // bytes of body: 0 without a body, LengthUnknown if chunked

	// ID identifies the request in logs. The parser leaves it alone; the engine sets it before it passes the head on.
	ID []byte

	// Counted says that the request has no ID, and that somebody wants to know all the same how long it waits. The parser leaves it
	// alone.
	Counted bool

	// Trace says which trace the request belongs to. The parser leaves it alone; the engine sets it before it passes the head on, if
	// it traces requests.
	Trace TraceText

	// Client is the address of the client if trusted proxies say who that is, and Secure that it has asked for https. The parser
	// leaves them alone.
	Client netip.Addr
	Secure bool

	// JSON says that the client would rather have JSON than HTML, if the engine has looked at that. The parser leaves it alone.
	JSON bool

	// HTTP2 says that the request was made of an HTTP/2 stream, which has no second one. The parser leaves it alone.
	HTTP2 bool
}

// LengthUnknown is the ContentLength of a chunked body.
const LengthUnknown int64 = -1

// Overlaps reports whether further requests of the connection may be processed at the same time (RFC 9112 §9.3.2): the method
// is one of the safe ones (RFC 9110 §9.2.1), and there is nothing that what follows could depend on.
func (h *Head) Overlaps() bool {
	if !h.Persistent || h.Minor == 0 || h.ContentLength != 0 || h.Upgrade || h.HTTP2 {
		return false
	}
	switch string(h.Bytes(h.Method)) {
	case "GET", "HEAD", "OPTIONS":
		return true
	}
	return false
}

// Timed reports whether somebody wants to know how long the request waits and is processed.
func (h *Head) Timed() bool { return h.Counted || len(h.ID) > 0 }

// Bytes returns the bytes of s, as a view of Raw.
func (h *Head) Bytes(s Span) []byte { return h.Raw[s.Off : s.Off+s.Len] }
