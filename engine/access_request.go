package engine

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"

	"moonbridge/httpparse"
)

// setHead copies what the log needs of a request's head: its views end with the call of the backend.
func (a *accessRecord) setHead(h *httpparse.Head, l *loop) {
	a.b = a.b[:0] // a head whose body was awaited is parsed twice
	a.minor = int(h.Minor)
	a.add(partMethod, h.Bytes(h.Method), accessMethodMax)
	a.add(partTarget, h.Bytes(h.Target), accessTargetMax)
	var referer, agent, id []byte
	for _, f := range h.Fields {
		// The length comes first: most fields are none of the three.
		switch f.NameLen {
		case uint32(len("referer")):
			firstValue(&referer, h, f, "referer")
		case uint32(len("user-agent")):
			firstValue(&agent, h, f, "user-agent")
		case uint32(len("x-request-id")):
			firstValue(&id, h, f, "x-request-id")
		}
	}
	a.add(partReferer, referer, accessRefererMax)
	a.add(partAgent, agent, accessAgentMax)
	if validID(id) {
		a.add(partID, id, requestIDMax)
	} else {
		a.setOwnID(l)
	}
}

// firstValue sets *value to the value of field f, if f has that name and is the first with it.
func firstValue(value *[]byte, h *httpparse.Head, f httpparse.Field, lowerName string) {
	if *value == nil && httpparse.EqualFold(h.Raw[f.NameOff:f.NameOff+f.NameLen], lowerName) {
		*value = h.Raw[f.ValueOff : f.ValueOff+f.ValueLen]
	}
}

// validID reports whether an id that a peer has chosen is used.
func validID(id []byte) bool {
	if len(id) < requestIDMin || len(id) > requestIDMax {
		return false
	}
	for _, b := range id {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_', b == '.':
		default:
			return false
		}
	}
	return true
}

// setOwnID makes an id: the prefix of the process, the loop, and a number of the loop.
func (a *accessRecord) setOwnID(l *loop) {
	l.lastID++
	a.b = append(a.b, l.e.idPrefix...)
	a.b = append(a.b, '-')
	a.b = strconv.AppendInt(a.b, int64(l.index), 10)
	a.b = append(a.b, '-')
	a.b = strconv.AppendUint(a.b, l.lastID, 10)
	a.ends[partID] = uint16(len(a.b))
}

// newIDPrefix returns a random prefix, which makes the ids of this process differ from those of others.
func newIDPrefix() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
