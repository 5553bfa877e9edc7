package httpparse

import "math"

// special records the fields that decide the framing and whether the connection persists.
type special struct {
	host, connection, length, coding, expect mark
}

// mark records where a field occurs.
type mark struct {
	first uint32 // index into Head.Fields, if count > 0
	count uint32
}

func (m *mark) add(i int) {
	if m.count == 0 {
		m.first = uint32(i)
	}
	m.count++
}

// note records field line i if its name is one of the special ones.
func (s *special) note(name []byte, i int) {
	switch len(name) {
	case len("host"):
		if name[0]|0x20 == 'h' && EqualFold(name, "host") {
			s.host.add(i)
		}
	case len("expect"):
		if name[0]|0x20 == 'e' && EqualFold(name, "expect") {
			s.expect.add(i)
		}
	case len("connection"):
		if name[0]|0x20 == 'c' && EqualFold(name, "connection") {
			s.connection.add(i)
		}
	case len("content-length"):
		if name[0]|0x20 == 'c' && EqualFold(name, "content-length") {
			s.length.add(i)
		}
	case len("transfer-encoding"):
		if name[0]|0x20 == 't' && EqualFold(name, "transfer-encoding") {
			s.coding.add(i)
		}
	}
}

// decideFraming is the only place that decides what body follows the head and whether the connection persists. It
// refuses everything that could be understood in two ways: another server in the chain that understands it differently
// would take part of a body for a request (RFC 9112 §11.2).
func decideFraming(h *Head, s *special) *Error {
	if err := h.decideHost(s.host); err != nil {
		return err
	}
	h.ContentLength, h.Chunked = 0, false
	if s.length.count|s.coding.count != 0 {
		if err := h.decideBody(s); err != nil {
			return err
		}
	}
	h.Persistent, h.Upgrade = h.Minor > 0, false
	if s.connection.count > 0 {
		h.decidePersistent(s.connection)
	}
	if h.Connect {
		// A client may send the bytes of its tunnel without waiting for the response. If that refuses the tunnel, they must
		// not be taken for requests.
		h.Persistent = false
	}
	h.ExpectContinue = false
	if s.expect.count > 0 && h.Minor > 0 {
		return h.decideExpect(s.expect)
	}
	return nil
}

// decideHost checks Host (RFC 9112 §3.2): exactly one in HTTP/1.1, at most one in HTTP/1.0, with a valid value, which
// may be empty. If the target is in absolute form, its authority replaces the value (RFC 9112 §3.2.2), so that code
// that reads the host need not know the form. So does the target of CONNECT. An HTTP/1.0 request without the field has nothing to replace.
func (h *Head) decideHost(host mark) *Error {
	switch {
	case host.count > 1:
		return errHostTwice
	case host.count == 0 && h.Minor > 0:
		return errHostMissing
	case host.count == 0:
		return nil
	}
	f := &h.Fields[host.first]
	if f.ValueLen > 0 && !ValidAuthority(h.Value(*f)) {
		return errHost
	}
	if h.Connect {
		f.ValueOff, f.ValueLen = h.Target.Off, h.Target.Len
		return nil
	}
	if h.Raw[h.Target.Off] != '/' {
		if a := absoluteAuthority(h.Bytes(h.Target)); a.Len > 0 {
			f.ValueOff, f.ValueLen = h.Target.Off+a.Off, a.Len
		}
	}
	return nil
}

// decideBody sets ContentLength and Chunked from Content-Length and Transfer-Encoding (RFC 9112 §6.3).
func (h *Head) decideBody(s *special) *Error {
	if s.coding.count > 0 {
		// RFC 9112 §6.1 also allows a server to accept these two cases and close afterwards. Every known smuggling
		// attack uses them.
		if h.Minor == 0 {
			return errCoding10
		}
		if s.length.count > 0 {
			return errLengthAndCoding
		}
		return h.decideCoding(s.coding)
	}
	// RFC 9110 §8.6 allows equal values to be collapsed. Only a broken client repeats the field, and refusing cannot be
	// wrong.
	if s.length.count > 1 {
		return errLengthTwice
	}
	value := h.Value(h.Fields[s.length.first])
	if len(value) == 0 {
		return errLength
	}
	var n int64
	large := false
	for _, c := range value {
		d := int64(c) - '0'
		if d < 0 || d > 9 {
			return errLength
		}
		if n > (math.MaxInt64-d)/10 {
			large = true
			continue
		}
		n = n*10 + d
	}
	if large {
		return errLengthLarge
	}
	h.ContentLength = n
	return nil
}

// decideCoding accepts only a single line with exactly "chunked". It refuses an unknown coding with 501 (RFC 9112
// §6.1), and a known one that is used wrongly with 400 (RFC 9112 §6.3, §7).
func (h *Head) decideCoding(coding mark) *Error {
	if coding.count == 1 && EqualFold(h.Value(h.Fields[coding.first]), "chunked") {
		h.Chunked, h.ContentLength = true, LengthUnknown
		return nil
	}
	chunked, unknown := 0, 0
	last := false
	for i := h.Find("transfer-encoding", int(coding.first)); i >= 0; i = h.Find("transfer-encoding", i+1) {
		list := NewList(h.Value(h.Fields[i]))
		for e, ok := list.Next(); ok; e, ok = list.Next() {
			name := e[:TokenLen(e)]
			last = EqualFold(name, "chunked")
			switch {
			case len(name) == 0 || len(name) < len(e) && (last || e[len(name)] != ';' && !isBlank(e[len(name)])):
				return errCoding // not a coding, or chunked with a parameter
			case last:
				chunked++
			default:
				unknown++
			}
		}
	}
	switch {
	case chunked > 1 || chunked == 1 && !last:
		return errCodingOrder
	case unknown > 0:
		return errCodingUnknown
	}
	// No coding at all, or chunked next to empty elements.
	return errCoding
}

// TokenLen is the number of token bytes at the start of b.
func TokenLen(b []byte) int {
	n := 0
	for n < len(b) && class[b[n]]&classToken != 0 {
		n++
	}
	return n
}

// decidePersistent looks for the options close and keep-alive (RFC 9112 §9.3), of which close wins, and for upgrade (RFC 9110
// §7.8).
func (h *Head) decidePersistent(connection mark) {
	for i := int(connection.first); i >= 0; i = h.Find("connection", i+1) {
		list := NewList(h.Value(h.Fields[i]))
		for e, ok := list.Next(); ok; e, ok = list.Next() {
			if EqualFold(e, "close") {
				h.Persistent = false
				return
			}
			if EqualFold(e, "keep-alive") {
				h.Persistent = true
			}
			if EqualFold(e, "upgrade") {
				h.Upgrade = true
			}
		}
		if connection.count == 1 {
			return
		}
	}
}

// decideExpect accepts 100-continue and refuses all other expectations (RFC 9110 §10.1.1). It does not set
// ExpectContinue if there is no body, since the client then has nothing to continue with.
func (h *Head) decideExpect(expect mark) *Error {
	for i := int(expect.first); i >= 0; i = h.Find("expect", i+1) {
		list := NewList(h.Value(h.Fields[i]))
		for e, ok := list.Next(); ok; e, ok = list.Next() {
			if !EqualFold(e, "100-continue") {
				return errExpect
			}
			h.ExpectContinue = h.ContentLength != 0
		}
	}
	return nil
}
