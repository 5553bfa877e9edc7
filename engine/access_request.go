package engine

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// observe begins the record of the exchange whose head is h, and gives the exchange its id. Views of the head end with the
// call of the backend, so what the log needs of it is copied.
func (c *conn) observe(h *httpparse.Head) {
	a := c.access
	if a == nil {
		a = c.l.newAccess()
		c.access = a
	} else {
		a.b = a.b[:0] // the same head, parsed once more
	}
	a.minor = int(h.Minor)
	a.set(partMethod, h.Bytes(h.Method), accessMethodMax)
	a.set(partTarget, h.Bytes(h.Target), accessTargetMax)
	var referer, agent, id []byte
	for _, f := range h.Fields {
		// Names are told apart by their length first: most fields are none of the three.
		switch f.NameLen {
		case uint32(len("referer")):
			takeField(&referer, h, f, "referer")
		case uint32(len("user-agent")):
			takeField(&agent, h, f, "user-agent")
		case uint32(len("x-request-id")):
			takeField(&id, h, f, "x-request-id")
		}
	}
	a.set(partReferer, referer, accessRefererMax)
	a.set(partAgent, agent, accessAgentMax)
	if validID(id) {
		a.set(partID, id, requestIDMax)
	} else {
		c.l.setOwnID(a)
	}
	h.ID = a.part(partID)
}

// takeField takes the value of field f if it has the name and is the first of that.
func takeField(to *[]byte, h *httpparse.Head, f httpparse.Field, lower string) {
	if *to == nil && equalFold(h.Raw[f.NameOff:f.NameOff+f.NameLen], lower) {
		*to = h.Raw[f.ValueOff : f.ValueOff+f.ValueLen]
	}
}

// equalFold compares a field name with one in lower case, of the same length.
func equalFold(name []byte, lower string) bool {
	for i, b := range name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != lower[i] {
			return false
		}
	}
	return true
}

// validID says whether an id that a peer has chosen is taken over.
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

// newIDPrefix is what the ids of this process begin with, so that they differ from those of another one.
func newIDPrefix() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// setOwnID makes an id for a record: prefix, loop, and a number of the loop.
func (l *loop) setOwnID(a *access) {
	l.ids++
	a.b = append(a.b, l.e.idPrefix...)
	a.b = append(a.b, '-')
	a.b = strconv.AppendInt(a.b, int64(l.Index()), 10)
	a.b = append(a.b, '-')
	a.b = strconv.AppendUint(a.b, l.ids, 10)
	a.ends[partID] = uint16(len(a.b))
}

// noteTimes asks the backend how long the exchange has waited and run, before it forgets.
func (c *conn) noteTimes() {
	if t, ok := c.running.(backend.Timed); ok {
		c.access.queue, c.access.service = t.Times()
	}
}

// observeAnswer records a response of the engine's own, which is in errorPage. Where the request had no head that could be
// parsed, the record begins here.
func (c *conn) observeAnswer() {
	if c.access == nil {
		c.access = c.l.newAccess()
		c.l.setOwnID(c.access)
	}
	if !c.broken {
		c.access.response.write(c.l.errorPage)
	}
}
