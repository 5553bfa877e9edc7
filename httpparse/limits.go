package httpparse

// Limits bounds a request head. The zero value and a nil pointer stand for the defaults.
type Limits struct {
	// HeadBytes is the largest size of a head in bytes, including empty lines before the request line and the empty
	// line at the end. 0 means DefaultHeadBytes; more than 1 GiB counts as 1 GiB. A larger head is refused with 431.
	HeadBytes int
	// Fields is the largest number of field lines in a head. 0 means DefaultFields. A head with more is refused with
	// 431.
	Fields int
	// TargetBytes is the largest size of a request target in bytes. 0 means DefaultTargetBytes. A longer target is
	// refused with 414, or with 431 if HeadBytes is reached first.
	TargetBytes int
	// Connect accepts CONNECT (RFC 9110 §9.3.6). Without it, such a request is refused with 501.
	Connect bool
}

const (
	// DefaultHeadBytes is the documented default of request_header_size_limit.
	DefaultHeadBytes = 1 << 20
	// DefaultFields is far above what clients send (browsers: about 20), and keeps Head.Fields at 16 kB.
	DefaultFields = 1000
	// DefaultTargetBytes is eight times the minimum that RFC 9112 §3 recommends (8000 bytes).
	DefaultTargetBytes = 64 << 10

	// headBytesCeiling keeps every offset in a head well within the range of a Span.
	headBytesCeiling = 1 << 30
	// methodBytesMax bounds a method. The longest one in the IANA registry has 17 bytes (UPDATEREDIRECTREF). A method
	// longer than this limit is answered with 501 (RFC 9112 §3) before its end is seen.
	methodBytesMax = 32
	// emptyLinesMax bounds the empty lines before a request. RFC 9112 §2.2 asks servers to ignore at least one, since
	// broken clients send one after a body. A client that sends more than this limit only wastes our time.
	emptyLinesMax = 4
)

// HeadBytesMax returns the effective HeadBytes.
func (l *Limits) HeadBytesMax() int {
	if l == nil || l.HeadBytes <= 0 {
		return DefaultHeadBytes
	}
	return min(l.HeadBytes, headBytesCeiling)
}

func (l *Limits) connect() bool { return l != nil && l.Connect }

// FieldsMax returns the effective Fields.
func (l *Limits) FieldsMax() int {
	if l == nil || l.Fields <= 0 {
		return DefaultFields
	}
	return l.Fields
}

// TargetBytesMax returns the effective TargetBytes.
func (l *Limits) TargetBytesMax() int {
	if l == nil || l.TargetBytes <= 0 {
		return DefaultTargetBytes
	}
	return min(l.TargetBytes, headBytesCeiling)
}
