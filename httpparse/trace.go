package httpparse

import "encoding/hex"

// Trace Context is how traces go from one program to the next: https://www.w3.org/TR/trace-context/ ("TC" below).

// TraceparentLen is the length of a traceparent of version 00.
const TraceparentLen = 55

// TracestateMax bounds a tracestate that is passed on, in bytes. TC §3.3.1.5 wants at least 512.
const TracestateMax = 2 << 10

const (
	tracestateMembers  = 32  // TC §3.3.1.1
	tracestateKey      = 256 // TC §3.3.1.3.1
	tracestateTenant   = 241 // of a key with a system
	tracestateSystem   = 14
	tracestateValueLen = 256 // TC §3.3.1.3.2
)

// TraceSampled is the flag of a trace that whoever began it has recorded. TraceRandom says that the last seven bytes of its id are
// random (TC level 2).
const (
	TraceSampled = 1
	TraceRandom  = 2
)

// Traceparent is what a traceparent field says.
type Traceparent struct {
	Trace [16]byte
	Span  [8]byte // that has sent the request
	Flags byte    // TraceSampled, TraceRandom; others are dropped
}

// ParseTraceparent parses the value of a field (TC §3.2.2). ok is false if it is invalid: a new trace begins then. Higher versions
// are read like version 00, as far as that goes.
func ParseTraceparent(value []byte) (t Traceparent, ok bool) {
	if len(value) < TraceparentLen || value[2] != '-' || value[35] != '-' || value[52] != '-' {
		return t, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], value[:2]) || version[0] == 0xff ||
		!lowerHex(t.Trace[:], value[3:35]) || !lowerHex(t.Span[:], value[36:52]) || !lowerHex(flags[:], value[53:55]) {
		return Traceparent{}, false
	}
	switch {
	case len(value) > TraceparentLen && (version[0] == 0 || value[TraceparentLen] != '-'):
		return Traceparent{}, false
	case t.Trace == [16]byte{} || t.Span == [8]byte{}:
		return Traceparent{}, false
	}
	t.Flags = flags[0] & (TraceSampled | TraceRandom)
	return t, true
}

// lowerHex decodes text, which must have lower-case digits and twice the length of to.
func lowerHex(to, text []byte) bool {
	for i := range to {
		a, b := hexValues[text[2*i]], hexValues[text[2*i+1]]
		if a|b > 15 {
			return false
		}
		to[i] = a<<4 | b
	}
	return true
}

// hexValues has the values of lower-case hexadecimal digits, and 0xff for all other bytes.
var hexValues = func() (v [256]byte) {
	for i := range v {
		v[i] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		v[c] = byte(i)
	}
	return v
}()

// Append appends the value of a field of version 00: TraceparentLen bytes.
func (t *Traceparent) Append(to []byte) []byte {
	to = hex.AppendEncode(append(to, "00-"...), t.Trace[:])
	to = hex.AppendEncode(append(to, '-'), t.Span[:])
	return hex.AppendEncode(append(to, '-'), []byte{t.Flags})
}

// AppendTracestate appends the tracestate fields of h as one list, without empty members (TC §3.3.1). ok is false if a member is
// invalid, if there are two with the same key, more than 32 of them, or more than TracestateMax bytes; then nothing is passed on, and
// to is returned as it was.
func (h *Head) AppendTracestate(to []byte) (list []byte, ok bool) {
	begin, n := len(to), 0
	list = to
	for i := h.Find("tracestate", 0); i >= 0; i = h.Find("tracestate", i+1) {
		for rest := h.Value(h.Fields[i]); len(rest) > 0; {
			end := 0
			for end < len(rest) && rest[end] != ',' {
				end++
			}
			member := TrimBlanks(rest[:end])
			rest = rest[min(end+1, len(rest)):]
			if len(member) == 0 {
				continue
			}
			key := tracestateKeyLen(member)
			n++
			if key == 0 || n > tracestateMembers || hasKey(list[begin:], member[:key+1]) ||
				len(list)-begin+1+len(member) > TracestateMax {
				return to, false
			}
			if len(list) > begin {
				list = append(list, ',')
			}
			list = append(list, member...)
		}
	}
	return list, true
}

// hasKey reports whether a list that was checked has a member that begins with key, which ends with an equals sign.
func hasKey(list, key []byte) bool {
	for i := 0; i+len(key) <= len(list); i++ {
		if (i == 0 || list[i-1] == ',') && string(list[i:i+len(key)]) == string(key) {
			return true
		}
	}
	return false
}

// tracestateKeyLen is the length of the key of a member, or 0 if the member is invalid.
func tracestateKeyLen(member []byte) int {
	n := 0
	for n < len(member) && member[n] != '=' {
		n++
	}
	if n == len(member) || !isTracestateKey(member[:n]) {
		return 0
	}
	value := member[n+1:]
	if len(value) == 0 || len(value) > tracestateValueLen {
		return 0
	}
	for _, c := range value {
		if c < ' ' || c > '~' || c == '=' {
			return 0
		}
	}
	return n
}

// isTracestateKey: a simple key begins with a letter; one with a system has a tenant before it, which may begin with a digit.
func isTracestateKey(key []byte) bool {
	at := -1
	for i, c := range key {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '-', c == '*', c == '/':
		case c == '@' && at < 0:
			at = i
		default:
			return false
		}
	}
	isLetter := func(c byte) bool { return 'a' <= c && c <= 'z' }
	if at < 0 {
		return len(key) > 0 && len(key) <= tracestateKey && isLetter(key[0])
	}
	system := key[at+1:]
	return at > 0 && at <= tracestateTenant && (isLetter(key[0]) || '0' <= key[0] && key[0] <= '9') &&
		len(system) > 0 && len(system) <= tracestateSystem && isLetter(system[0])
}

// TraceText is what a request's handler has to know of its trace: the traceparent for what it sends itself, in TraceparentLen bytes,
// and after it the tracestate for the same, if there is one. It is empty if the request is not traced.
type TraceText []byte

// TraceID returns the id of the trace, 32 digits, as a view; nil: the request is not traced.
func (t TraceText) TraceID() []byte {
	if len(t) < TraceparentLen {
		return nil
	}
	return t[3:35]
}

// Traceparent returns the value of the field; nil: the request is not traced.
func (t TraceText) Traceparent() []byte {
	if len(t) < TraceparentLen {
		return nil
	}
	return t[:TraceparentLen]
}

// Tracestate returns the value of the field, or nil.
func (t TraceText) Tracestate() []byte {
	if len(t) <= TraceparentLen {
		return nil
	}
	return t[TraceparentLen:]
}
