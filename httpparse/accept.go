package httpparse

// Coding is a content coding (RFC 9110 §8.4.1) that this server knows. The order is that of preference: of two that a client
// likes equally, the greater one is used.
type Coding uint8

const (
	Identity Coding = iota // no coding
	Gzip
	Brotli
	Zstd
	codings int = iota
)

// String returns the name of the coding in Content-Encoding.
func (c Coding) String() string { return [codings]string{"identity", "gzip", "br", "zstd"}[c] }

// CodingOf returns the coding with this name, in any case. ok is false if it is not a known one.
func CodingOf(name []byte) (c Coding, ok bool) {
	switch {
	case EqualFold(name, "gzip"), EqualFold(name, "x-gzip"): // RFC 9110 §8.4.1.3
		return Gzip, true
	case EqualFold(name, "br"):
		return Brotli, true
	case EqualFold(name, "zstd"):
		return Zstd, true
	case EqualFold(name, "identity"):
		return Identity, true
	}
	return Identity, false
}

// Codings is a set of content codings.
type Codings uint8

// CodingsOf returns the set of these codings.
func CodingsOf(cs ...Coding) (s Codings) {
	for _, c := range cs {
		s |= 1 << c
	}
	return s
}

// Has reports whether c is in the set.
func (s Codings) Has(c Coding) bool { return s>>c&1 != 0 }

// AppendNames appends the names of the codings, the preferred ones first, as Accept-Encoding lists them. Identity is named only
// if it is the only one.
func (s Codings) AppendNames(dst []byte) []byte {
	start := len(dst)
	for c := Coding(codings - 1); c > Identity; c-- {
		if s.Has(c) {
			if len(dst) > start {
				dst = append(dst, ", "...)
			}
			dst = append(dst, c.String()...)
		}
	}
	if len(dst) == start {
		dst = append(dst, Identity.String()...)
	}
	return dst
}

// ContentCoding returns the coding of the request body (RFC 9110 §8.4). ok is false if it is not a known one, or if there are
// several.
func (h *Head) ContentCoding() (c Coding, ok bool) {
	seen := false
	for i := h.Find("content-encoding", 0); i >= 0; i = h.Find("content-encoding", i+1) {
		list := NewList(h.Value(h.Fields[i]))
		for e, more := list.Next(); more; e, more = list.Next() {
			one, known := CodingOf(e)
			if !known || seen && one != Identity {
				return Identity, false
			}
			if one != Identity {
				c, seen = one, true
			}
		}
	}
	return c, true
}

// Acceptance says how much a client likes each coding: the weight in thousandths plus one, or 0 if it does not accept it. The
// zero value accepts nothing.
type Acceptance [codings]uint16

// onlyIdentity is what a client accepts that does not say anything, or nothing that can be understood.
var onlyIdentity = Acceptance{Identity: 1}

// AcceptedCodings evaluates Accept-Encoding (RFC 9110 §12.5.3). By that section a client that does not send the field accepts
// everything. In practice such clients cannot decode anything, so they get identity. So do clients that send a malformed
// field.
func (h *Head) AcceptedCodings() Acceptance {
	i := h.Find("accept-encoding", 0)
	if i < 0 {
		return onlyIdentity
	}
	var w weights
	for ; i >= 0; i = h.Find("accept-encoding", i+1) {
		list := NewList(h.Value(h.Fields[i]))
		for e, ok := list.Next(); ok; e, ok = list.Next() {
			if !w.add(e) {
				return onlyIdentity
			}
		}
	}
	return w.acceptance()
}

// Only reports whether the client accepts nothing but identity.
func (a Acceptance) Only() bool { return a == Acceptance{Identity: a[Identity]} }

// Refuses reports whether the client does not accept c.
func (a Acceptance) Refuses(c Coding) bool { return a[c] == 0 }

// Best returns the coding of offered that the client likes best. It is Identity, offered or not, if none is acceptable: a
// representation that the client did not ask for is more useful than 406.
func (a Acceptance) Best(offered Codings) Coding {
	best, weight := Identity, uint16(0)
	for c := range Coding(codings) {
		if (offered | 1<<Identity).Has(c) && a[c] > 0 && a[c] >= weight {
			best, weight = c, a[c]
		}
	}
	return best
}

// weights are those that the field states, in thousandths.
type weights struct {
	of    [codings]weight
	other weight // of "*"
}

type weight struct {
	q     uint16
	given bool
}

// add adds an element of the field. It returns false if the element is malformed.
func (w *weights) add(element []byte) bool {
	n := TokenLen(element)
	q, ok := parseWeight(element[n:])
	if n == 0 || !ok {
		return false
	}
	name := element[:n]
	if string(name) == "*" {
		w.other.lower(q)
	} else if c, known := CodingOf(name); known {
		w.of[c].lower(q)
	}
	return true
}

// lower sets the weight. Of several the lowest counts.
func (w *weight) lower(q uint16) {
	if !w.given || q < w.q {
		*w = weight{q, true}
	}
}

// acceptance is what the weights say together. Identity is acceptable unless it is excluded, but every coding that is
// mentioned comes before it if it is not.
func (w *weights) acceptance() (a Acceptance) {
	for c := range a {
		own := w.of[c]
		if !own.given {
			own = w.other
		}
		switch {
		case own.q > 0:
			a[c] = own.q + 1
		case !own.given && Coding(c) == Identity:
			a[c] = 1
		}
	}
	return a
}

// parseWeight parses what follows the name of a coding: nothing, or a weight (RFC 9110 §12.4.2).
func parseWeight(b []byte) (q uint16, ok bool) {
	b = TrimBlanks(b)
	if len(b) == 0 {
		return 1000, true
	}
	if b[0] != ';' {
		return 0, false
	}
	b = TrimBlanks(b[1:])
	if len(b) < 3 || lower(b[0]) != 'q' || b[1] != '=' {
		return 0, false
	}
	return parseQValue(b[2:])
}

// parseQValue parses a qvalue: from 0 to 1, with at most three digits after the point.
func parseQValue(b []byte) (q uint16, ok bool) {
	if len(b) > len("0.000") || b[0] != '0' && b[0] != '1' || len(b) > 1 && b[1] != '.' {
		return 0, false
	}
	q = uint16(b[0]-'0') * 1000
	unit := uint16(100)
	for _, c := range b[min(len(b), 2):] {
		if c < '0' || c > '9' {
			return 0, false
		}
		q += uint16(c-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}
