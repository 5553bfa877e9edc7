package tcpproxy

import (
	"encoding/binary"
	"errors"
)

var errMalformed = errors.New("malformed ClientHello")

const (
	recordHeader     = 5       // type, version, length
	recordMax        = 1 << 14 // bytes of a record before encryption (RFC 8446 §5.1)
	recordsMax       = 16      // records of a ClientHello: more look like an attempt to keep us busy
	handshake        = 22      // type of a record
	clientHello      = 1       // type of a handshake message
	serverNameID     = 0       // type of an extension
	hostName         = 0       // type of a server name
	handshakeHeader  = 4       // type, length
	serverNameMax    = 255
	randomAndVersion = 34
)

// serverName finds the server name in the ClientHello that p starts with (RFC 8446 §4.1.2, RFC 6066 §3). need is 0 if the result is
// known, otherwise the number of bytes with which it is worth to look again. name is a view of p or a copy; it is empty if there
// is none.
func serverName(p []byte) (name []byte, need int, err error) {
	message, need, err := firstMessage(p)
	if need > 0 || err != nil {
		return nil, need, err
	}
	r := reader{b: message[handshakeHeader:]}
	r.take(randomAndVersion)
	r.take(int(r.number(1))) // session ID
	r.take(int(r.number(2))) // cipher suites
	r.take(int(r.number(1))) // compression methods
	if r.bad {
		return nil, 0, errMalformed
	}
	if len(r.b) == 0 {
		return nil, 0, nil // no extensions, as in TLS 1.0
	}
	return nameIn(r.take(int(r.number(2))), &r)
}

// firstMessage returns the handshake message that p starts with. It may be in several records.
func firstMessage(p []byte) (message []byte, need int, err error) {
	at, whole := 0, handshakeHeader // whole: bytes of the message, as far as that is known
	for range recordsMax {
		if err := startsWrong(p[at:]); err != nil {
			return nil, 0, err
		}
		if len(p) < at+recordHeader {
			return nil, at + recordHeader, nil
		}
		size := int(binary.BigEndian.Uint16(p[at+3:]))
		if size == 0 || size > recordMax {
			return nil, 0, errMalformed
		}
		at += recordHeader
		part := p[at:min(at+size, len(p))]
		if message == nil {
			message = part[:len(part):len(part)] // a copy is made if there is another record
		} else {
			message = append(message, part...)
		}
		if len(message) > 0 && message[0] != clientHello {
			return nil, 0, errMalformed
		}
		if len(message) >= handshakeHeader {
			whole = handshakeHeader + int(binary.BigEndian.Uint32(message)&0xffffff)
		}
		switch {
		case len(message) >= whole:
			return message[:whole], 0, nil
		case len(part) < size:
			return nil, min(at+size, len(p)+whole-len(message)), nil
		}
		at += size
	}
	return nil, 0, errMalformed
}

// startsWrong says whether the header of a record, as far as it is there, is not one of a handshake in SSL 3 or TLS.
func startsWrong(p []byte) error {
	if len(p) > 0 && p[0] != handshake || len(p) > 1 && p[1] != 3 {
		return errMalformed
	}
	return nil
}

// nameIn finds the server name in extensions. all is what they were taken from.
func nameIn(extensions []byte, all *reader) (name []byte, need int, err error) {
	r := reader{b: extensions, bad: all.bad || len(all.b) > 0}
	for len(r.b) > 0 && !r.bad {
		id := r.number(2)
		data := r.take(int(r.number(2)))
		if id != serverNameID || r.bad {
			continue
		}
		list := reader{b: data}
		names := reader{b: list.take(int(list.number(2)))}
		kind := names.number(1)
		name = names.take(int(names.number(2)))
		if list.bad || len(list.b) > 0 || names.bad || kind != hostName || !isHostName(name) {
			return nil, 0, errMalformed
		}
	}
	if r.bad {
		return nil, 0, errMalformed
	}
	return name, 0, nil
}

// isHostName reports whether name may be looked up in a table: printable ASCII, without what is special in addresses and patterns.
func isHostName(name []byte) bool {
	for _, c := range name {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return 0 < len(name) && len(name) <= serverNameMax
}

// reader takes bytes from the front of b. If there are too few, it is bad from then on, and returns nothing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

// number is the next n bytes as a number.
func (r *reader) number(n int) (v uint) {
	for _, c := range r.take(n) {
		v = v<<8 | uint(c)
	}
	return v
}
