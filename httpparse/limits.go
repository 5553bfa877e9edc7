package httpparse

// Limits bounds a request head. The zero value, and a nil pointer, stand for the defaults.
type Limits struct {
	// HeadBytes is the most bytes of a head from the first (an empty line before the request line included) to the end
	// of the empty line after it. 0: DefaultHeadBytes; more than 1 GiB counts as 1 GiB. Beyond it: 431.
	HeadBytes int
	// Fields is the most field lines of a head. 0: DefaultFields. Beyond it: 431.
	Fields int
	// TargetBytes is the most bytes of a request target. 0: DefaultTargetBytes. Beyond it: 414, or 431 if HeadBytes
	// ends first.
	TargetBytes int
}

const (
	// DefaultHeadBytes is the documented default of request_header_size_limit.
	DefaultHeadBytes = 1 << 20
	// DefaultFields is far above what clients send (browsers: about 20), and keeps Head.Fields at 16 kB.
	DefaultFields = 1000
	// DefaultTargetBytes is eight times what RFC 9112 §3 wants supported at the least (8000 bytes).
	DefaultTargetBytes = 64 << 10

	// headBytesCeiling keeps every place in a head well inside a Span.
	headBytesCeiling = 1 << 30
	// methodBytesMax: the longest method in the IANA registry has 17 bytes (UPDATEREDIRECTREF). Longer ones than this are
	// answered 501 (RFC 9112 §3) before their end has been seen.
	methodBytesMax = 32
	// emptyLinesMax: RFC 9112 §2.2 asks to ignore at least one empty line before a request. Broken clients send one
	// after a body; whoever sends more than these only keeps us busy.
	emptyLinesMax = 4
)

// HeadBytesMax is the effective HeadBytes.
func (l *Limits) HeadBytesMax() int {
	if l == nil || l.HeadBytes <= 0 {
		return DefaultHeadBytes
	}
	return min(l.HeadBytes, headBytesCeiling)
}

// FieldsMax is the effective Fields.
func (l *Limits) FieldsMax() int {
	if l == nil || l.Fields <= 0 {
		return DefaultFields
	}
	return l.Fields
}

// TargetBytesMax is the effective TargetBytes.
func (l *Limits) TargetBytesMax() int {
	if l == nil || l.TargetBytes <= 0 {
		return DefaultTargetBytes
	}
	return min(l.TargetBytes, headBytesCeiling)
}
