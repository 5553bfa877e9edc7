package httpparse

// hopOptionsMax bounds the options in the Connection fields of a message. Those in use are close, keep-alive, upgrade, TE and
// HTTP2-Settings. Every field of the message is compared with every option, so a peer could make this cost much otherwise.
const hopOptionsMax = 16

// Hop finds the hop-by-hop fields of a message: those that concern one connection only, so that an intermediary removes them
// before it passes the message on (RFC 9110 §7.6.1). The zero value knows those that are always hop-by-hop. A Hop never
// allocates.
type Hop struct {
	named [hopOptionsMax][]byte // options of Connection, apart from close and keep-alive
	n     int
}

// Reset notes the fields that the Connection fields of a message name. raw and fields are Raw and Fields of a Head or a
// ResponseHead; the Hop keeps views of raw. An error is an *Error: there are too many options.
func (h *Hop) Reset(raw []byte, fields []Field) error {
	h.n = 0
	for i := find(raw, fields, "connection", 0); i >= 0; i = find(raw, fields, "connection", i+1) {
		f := fields[i]
		if err := h.add(raw[f.ValueOff : f.ValueOff+f.ValueLen]); err != nil {
			return err
		}
	}
	return nil
}

// add notes the options in one value.
func (h *Hop) add(value []byte) error {
	list := NewList(value)
	for e, ok := list.Next(); ok; e, ok = list.Next() {
		if EqualFold(e, "close") || EqualFold(e, "keep-alive") {
			continue
		}
		if h.n == hopOptionsMax {
			return errOptions
		}
		h.named[h.n] = e
		h.n++
	}
	return nil
}

// Drop reports whether a field of this name is hop-by-hop. Host and Content-Length never are: the message cannot be
// understood without them, so a Connection field that names them is an attack or a mistake.
func (h *Hop) Drop(name []byte) bool {
	if alwaysHop(name) {
		return true
	}
	for _, option := range h.named[:h.n] {
		if EqualFold(name, option) {
			return !EqualFold(name, "host") && !EqualFold(name, "content-length")
		}
	}
	return false
}

// alwaysHop reports whether a field is hop-by-hop even if no Connection field names it. RFC 9110 §7.6.1 lists most of them,
// because senders forget to name them. The fields about authentication to a proxy are for the next proxy (RFC 9110 §11.7).
func alwaysHop(name []byte) bool {
	switch len(name) {
	case len("te"):
		return EqualFold(name, "te")
	case len("upgrade"):
		return EqualFold(name, "upgrade")
	case len("connection"):
		return EqualFold(name, "connection") || EqualFold(name, "keep-alive")
	case len("proxy-connection"):
		return EqualFold(name, "proxy-connection")
	case len("transfer-encoding"):
		return EqualFold(name, "transfer-encoding")
	case len("proxy-authenticate"):
		return EqualFold(name, "proxy-authenticate")
	case len("proxy-authorization"):
		return EqualFold(name, "proxy-authorization")
	}
	return false
}
