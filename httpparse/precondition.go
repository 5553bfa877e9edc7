package httpparse

import "bytes"

// Conditions are the fields of a request that make it conditional (RFC 9110 §13) or ask for a part of the representation
// (§14). A nil slice means that there is no such field. The slices are views of the head, except that several lines of
// If-Match or If-None-Match are joined in memory of their own. A second line of another field makes the field invalid: it is left
// out, except that If-Range then is empty, and matches nothing.
type Conditions struct {
	IfMatch, IfNoneMatch               []byte
	IfModifiedSince, IfUnmodifiedSince []byte
	IfRange, Range                     []byte
}

// None reports whether the request has none of the fields.
func (c *Conditions) None() bool {
	return c.IfMatch == nil && c.IfNoneMatch == nil && c.IfModifiedSince == nil && c.IfUnmodifiedSince == nil &&
		c.IfRange == nil && c.Range == nil
}

// Conditions returns the fields of h that make the request conditional or ask for ranges.
func (h *Head) Conditions() Conditions {
	var s conditionScan
	for _, f := range h.Fields {
		// One comparison is enough for most fields: all six names begin with I or R.
		if first := lower(h.Raw[f.NameOff]); first == 'i' || first == 'r' {
			s.add(h.Name(f), h.Value(f))
		}
	}
	return s.Conditions
}

// conditionScan collects Conditions from field lines.
type conditionScan struct {
	Conditions
	twice [3]bool // fields that may have one line, and had more
}

// add takes one field line into account.
func (c *conditionScan) add(name, value []byte) {
	value = value[:len(value):len(value)]
	switch {
	case EqualFold(name, "If-Match"):
		c.IfMatch = joinLines(c.IfMatch, value)
	case EqualFold(name, "If-None-Match"):
		c.IfNoneMatch = joinLines(c.IfNoneMatch, value)
	case EqualFold(name, "If-Modified-Since"):
		single(&c.IfModifiedSince, &c.twice[0], value)
	case EqualFold(name, "If-Unmodified-Since"):
		single(&c.IfUnmodifiedSince, &c.twice[1], value)
	case EqualFold(name, "If-Range"):
		if c.IfRange != nil {
			value = value[:0]
		}
		c.IfRange = value
	case EqualFold(name, "Range"):
		single(&c.Range, &c.twice[2], value)
	}
}

// joinLines joins the lines of a list field (RFC 9110 §5.3).
func joinLines(before, value []byte) []byte {
	if before == nil {
		return value
	}
	return append(append(before[:len(before):len(before)], ", "...), value...)
}

func single(field *[]byte, twice *bool, value []byte) {
	if *field != nil || *twice {
		*field, *twice = nil, true
		return
	}
	*field = value
}

// Validators are what is known about the current representation of a resource (RFC 9110 §8.8).
type Validators struct {
	// ETag is the entity tag as it is sent, with its quotes and perhaps W/; empty: there is none.
	ETag string
	// Modified is the time of the last modification in seconds since 1970, as it is sent in Last-Modified. HasModified says
	// whether there is one.
	Modified    int64
	HasModified bool
	// Young says that the representation may change again within the second that Modified names, which makes that a weak
	// validator (RFC 9110 §8.8.2.2).
	Young bool
}

// Verdict is what the preconditions of a request decide.
type Verdict uint8

const (
	// Perform: the request is performed as if it were not conditional.
	Perform Verdict = iota
	// NotModified: the answer is 304.
	NotModified
	// PreconditionFailed: the answer is 412.
	PreconditionFailed
)

// Evaluate decides on the preconditions of a request in the order of RFC 9110 §13.2.2. get says that the method is GET or HEAD;
// for OPTIONS, CONNECT and TRACE preconditions have no meaning, and Evaluate must not be called. exists says that the resource
// has a current representation. now is the time in seconds since 1970; it decides on the century of old dates.
//
// Preconditions count only if the answer without them would have the status 2xx or 412 (§13.2.1).
func (c *Conditions) Evaluate(get, exists bool, v *Validators, now int64) Verdict {
	switch {
	case c.IfMatch != nil:
		if !listMatches(c.IfMatch, exists, v.ETag, true) {
			return PreconditionFailed
		}
	case c.IfUnmodifiedSince != nil && v.HasModified:
		if t, ok := ParseDate(c.IfUnmodifiedSince, now); ok && v.Modified > t {
			return PreconditionFailed
		}
	}
	switch {
	case c.IfNoneMatch != nil:
		if listMatches(c.IfNoneMatch, exists, v.ETag, false) {
			if get {
				return NotModified
			}
			return PreconditionFailed
		}
	case c.IfModifiedSince != nil && get && v.HasModified:
		if t, ok := ParseDate(c.IfModifiedSince, now); ok && v.Modified <= t {
			return NotModified
		}
	}
	return Perform
}

// RangeApplies reports whether a Range field is to be obeyed: there is one, and If-Range, if there is one, names exactly the
// current representation by a strong validator (RFC 9110 §13.1.5).
func (c *Conditions) RangeApplies(v *Validators, now int64) bool {
	switch {
	case c.Range == nil:
		return false
	case c.IfRange == nil:
		return true
	}
	if len(c.IfRange) > 0 && (c.IfRange[0] == '"' || c.IfRange[0] == 'W') {
		if tag, rest := entityTag(c.IfRange); tag != nil && len(rest) == 0 {
			return StrongMatch(tag, v.ETag)
		}
	}
	t, ok := ParseDate(c.IfRange, now)
	return ok && v.HasModified && !v.Young && t == v.Modified
}

// listMatches reports whether the value of If-Match or If-None-Match names the current representation.
func listMatches(value []byte, exists bool, etag string, strong bool) bool {
	if string(value) == "*" {
		return exists
	}
	for len(value) > 0 {
		tag, rest := entityTag(value)
		switch {
		case tag == nil:
			value = afterComma(value) // an empty element, or a malformed one, which matches nothing
			continue
		case strong && StrongMatch(tag, etag), !strong && WeakMatch(tag, etag):
			return true
		}
		value = afterComma(rest)
	}
	return false
}

// entityTag returns the entity tag that b begins with, after blanks, and what follows the blanks after it. tag is nil if there
// is none that is followed by a comma or the end. An entity tag is no quoted string: it may contain a comma, and a backslash
// does not escape anything (RFC 9110 §8.8.3).
func entityTag(b []byte) (tag, rest []byte) {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	n := 0
	if len(b) > 1 && b[0] == 'W' && b[1] == '/' { // the case matters
		n = 2
	}
	if n == len(b) || b[n] != '"' {
		return nil, b
	}
	for n++; n < len(b) && b[n] != '"'; n++ {
		if b[n] <= ' ' || b[n] == 0x7f {
			return nil, b
		}
	}
	if n == len(b) {
		return nil, b
	}
	tag, rest = b[:n+1], b[n+1:]
	for len(rest) > 0 && isBlank(rest[0]) {
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0] != ',' {
		return nil, b
	}
	return tag, rest
}

// afterComma returns what follows the first comma of b.
func afterComma(b []byte) []byte {
	_, rest, _ := bytes.Cut(b, []byte(","))
	return rest
}

// StrongMatch reports whether two entity tags are equal, and neither is weak (RFC 9110 §8.8.3.2).
func StrongMatch[A, B []byte | string](a A, b B) bool {
	return len(a) > 0 && a[0] == '"' && string(a) == string(b)
}

// WeakMatch reports whether two entity tags are equal, whether or not they are weak (RFC 9110 §8.8.3.2).
func WeakMatch[A, B []byte | string](a A, b B) bool {
	return len(a) > 0 && string(opaqueTag(a)) == string(opaqueTag(b))
}

func opaqueTag[T []byte | string](tag T) T {
	if len(tag) > 1 && tag[0] == 'W' && tag[1] == '/' {
		return tag[2:]
	}
	return tag
}

// ValidETag reports whether tag is an entity tag (RFC 9110 §8.8.3).
func ValidETag(tag string) bool {
	t, rest := entityTag([]byte(tag))
	return t != nil && len(rest) == 0 && len(t) == len(tag)
}
