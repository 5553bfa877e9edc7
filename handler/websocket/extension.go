package websocket

import (
	"bytes"
	"strconv"

	"moonbridge/httpparse"
)

// deflateParams are the parameters of permessage-deflate (RFC 7692 §7.1), as offered by the client or as agreed.
type deflateParams struct {
	serverNoTakeover, clientNoTakeover bool
	serverBits                         uint8 // of the window for messages of the server; 0: not mentioned
	serverBitsAsked                    bool  // server_max_window_bits was offered: an answer without it declines it
	clientBits                         uint8 // of the window for messages of the client; 0: not mentioned
	clientBitsAllowed                  bool  // client_max_window_bits was offered
}

const (
	windowBitsMin = 8
	windowBitsMax = 15
)

// findDeflate returns the first offer of permessage-deflate that is valid.
func findDeflate(h *httpparse.Head) (offer deflateParams, ok bool) {
	values(h, "sec-websocket-extensions", func(element []byte) bool {
		offer, ok = parseDeflate(element)
		return !ok
	})
	return offer, ok
}

// firstDeflate is findDeflate in one field.
func firstDeflate(field []byte) (offer deflateParams, ok bool) {
	list := httpparse.NewList(field)
	for element, more := list.Next(); more && !ok; element, more = list.Next() {
		offer, ok = parseDeflate(element)
	}
	return offer, ok
}

// parseDeflate reads one offer. It is not ok if it is of another extension, or if a parameter is unknown, repeated or invalid (RFC 7692
// §7.1: such an offer is declined).
func parseDeflate(b []byte) (p deflateParams, ok bool) {
	name, rest, more := cutParam(b)
	if !httpparse.EqualFold(name, "permessage-deflate") {
		return p, false
	}
	for more {
		var param []byte
		param, rest, more = cutParam(rest)
		if !p.set(param) {
			return p, false
		}
	}
	return p, true
}

// cutParam splits b at its first semicolon. None of the values that are valid here contains one.
func cutParam(b []byte) (first, rest []byte, more bool) {
	first, rest, more = bytes.Cut(b, []byte(";"))
	return httpparse.TrimBlanks(first), rest, more
}

// set takes one parameter.
func (p *deflateParams) set(param []byte) bool {
	name, value, valued := bytes.Cut(param, []byte("="))
	name, value = httpparse.TrimBlanks(name), httpparse.TrimBlanks(value)
	switch {
	case httpparse.EqualFold(name, "server_no_context_takeover"):
		return !valued && once(&p.serverNoTakeover)
	case httpparse.EqualFold(name, "client_no_context_takeover"):
		return !valued && once(&p.clientNoTakeover)
	case httpparse.EqualFold(name, "server_max_window_bits"):
		bits, ok := windowBits(value)
		ok = ok && p.serverBits == 0
		p.serverBits = bits
		return ok
	case httpparse.EqualFold(name, "client_max_window_bits"):
		if !once(&p.clientBitsAllowed) {
			return false
		}
		if !valued {
			return true
		}
		bits, ok := windowBits(value)
		p.clientBits = bits
		return ok
	}
	return false
}

// once sets a flag that must not be set already.
func once(flag *bool) bool {
	if *flag {
		return false
	}
	*flag = true
	return true
}

// windowBits reads a value from 8 to 15, without leading zeros, perhaps as a quoted string.
func windowBits(value []byte) (bits uint8, ok bool) {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	n, err := strconv.ParseUint(string(value), 10, 8)
	return uint8(n), err == nil && value[0] != '0' && n >= windowBitsMin && n <= windowBitsMax
}

// agree answers an offer. The result says what both sides do.
func (o *Compression) agree(offer deflateParams) (p deflateParams) {
	bits := o.windowBits()
	p.serverNoTakeover = offer.serverNoTakeover || !o.Takeover
	p.clientNoTakeover = offer.clientNoTakeover || !o.Takeover
	p.serverBits, p.clientBits = windowBitsMax, windowBitsMax
	if offer.serverBits != 0 {
		p.serverBits, p.serverBitsAsked = offer.serverBits, true
	}
	if o.Takeover {
		p.serverBits = min(p.serverBits, bits)
	}
	switch {
	case offer.clientBits != 0:
		p.clientBits = min(offer.clientBits, bits)
	case offer.clientBitsAllowed:
		p.clientBits = bits
	case bits < windowBitsMax:
		p.clientNoTakeover = true // its window would need more memory than allowed, and it cannot be told to use less
	}
	p.clientBitsAllowed = offer.clientBitsAllowed
	return p
}

// String is the value of Sec-WebSocket-Extensions that states p.
func (p deflateParams) String() string {
	s := "permessage-deflate"
	if p.serverNoTakeover {
		s += "; server_no_context_takeover"
	}
	if p.clientNoTakeover {
		s += "; client_no_context_takeover"
	}
	if p.serverBits < windowBitsMax || p.serverBitsAsked {
		s += "; server_max_window_bits=" + strconv.Itoa(int(p.serverBits))
	}
	if p.clientBitsAllowed && p.clientBits < windowBitsMax {
		s += "; client_max_window_bits=" + strconv.Itoa(int(p.clientBits))
	}
	return s
}
