package websocket

import (
	"encoding/base64"
	"fmt"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Refusal is why a request is not an opening handshake, with the response that it should get.
type Refusal struct {
	Status int
	Cause  string
	Fields string // field lines that belong to the status, each with its CR LF
}

func (r *Refusal) Error() string { return "websocket: " + r.Cause }

var (
	errNotUpgrade = &Refusal{426, "the request does not ask for WebSocket", upgradeFields}
	errVersion    = &Refusal{426, "the client asks for another version of WebSocket than 13", upgradeFields}
	errMethod     = &Refusal{405, "the method of an opening handshake is GET", "Allow: GET\r\n"}
	errKey        = &Refusal{400, "Sec-WebSocket-Key is not the base64 of 16 bytes", ""}
)

// upgradeFields are the fields of a 426 response (RFC 9110 §15.5.22, RFC 6455 §4.4).
const upgradeFields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

// Handshake is what a client asks for in its opening handshake (RFC 6455 §4.1).
type Handshake struct {
	accept  [httpwrite.WebSocketAcceptLen]byte
	deflate deflateParams
	offered bool // deflate was offered in a way that can be accepted
}

const keyLen = httpwrite.WebSocketKeyLen

// Check reads the opening handshake of a request. refusal is nil if it is one.
func Check(h *httpparse.Head) (s Handshake, refusal *Refusal) {
	switch {
	case h.Minor == 0 || !h.Upgrade || !lists(h, "upgrade", "websocket"):
		return s, errNotUpgrade
	case string(h.Bytes(h.Method)) != "GET":
		return s, errMethod
	case string(only(h, "sec-websocket-version")) != "13":
		return s, errVersion
	}
	if refusal = s.setKey(only(h, "sec-websocket-key")); refusal == nil {
		s.deflate, s.offered = findDeflate(h)
	}
	return s, refusal
}

// NewHandshake is Check for a request of which only the key and one field of extensions are known, and that the rest is right.
func NewHandshake(key, extensions []byte) (s Handshake, refusal *Refusal) {
	if refusal = s.setKey(key); refusal == nil {
		s.deflate, s.offered = firstDeflate(extensions)
	}
	return s, refusal
}

func (s *Handshake) setKey(key []byte) *Refusal {
	if len(key) != keyLen {
		return errKey // Decode panics if it has no room for all
	}
	var raw [keyLen]byte // more than 16: Decode needs room for the whole
	if n, err := base64.StdEncoding.Strict().Decode(raw[:], key); err != nil || n != 16 {
		return errKey
	}
	s.accept = httpwrite.WebSocketAccept(key)
	return nil
}

// only is the value of a field that must occur once, or nil.
func only(h *httpparse.Head, name string) []byte {
	i := h.Find(name, 0)
	if i < 0 || h.Find(name, i+1) >= 0 {
		return nil
	}
	return h.Value(h.Fields[i])
}

// values calls yield for each element of the lists in the fields with this name, until it returns false.
func values(h *httpparse.Head, name string, yield func(element []byte) bool) {
	for i := h.Find(name, 0); i >= 0; i = h.Find(name, i+1) {
		list := httpparse.NewList(h.Value(h.Fields[i]))
		for element, ok := list.Next(); ok; element, ok = list.Next() {
			if !yield(element) {
				return
			}
		}
	}
}

// lists reports whether a list in the fields with this name has the word.
func lists(h *httpparse.Head, name, word string) (found bool) {
	values(h, name, func(element []byte) bool {
		found = httpparse.EqualFold(element, word)
		return !found
	})
	return found
}

// Protocol is the first of the supported subprotocols that the client offers (RFC 6455 §1.9), or "".
func Protocol(h *httpparse.Head, supported []string) string {
	for _, p := range supported {
		found := false
		values(h, "sec-websocket-protocol", func(element []byte) bool {
			found = string(element) == p // they are case-sensitive
			return !found
		})
		if found {
			return p
		}
	}
	return ""
}

// ValidProtocol reports whether name can be the name of a subprotocol: a token.
func ValidProtocol(name string) bool { return httpparse.IsToken(name) }

// appendHead appends the 101 response. fields are further field lines, each with its CR LF.
func (s *Handshake) appendHead(b []byte, protocol, extension, fields string) []byte {
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = append(append(b, s.accept[:]...), "\r\n"...)
	if protocol != "" {
		b = fmt.Appendf(b, "Sec-WebSocket-Protocol: %s\r\n", protocol)
	}
	if extension != "" {
		b = fmt.Appendf(b, "Sec-WebSocket-Extensions: %s\r\n", extension)
	}
	return append(append(b, fields...), "\r\n"...)
}
