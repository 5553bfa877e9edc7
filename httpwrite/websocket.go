package httpwrite

import (
	"crypto/sha1"
	"encoding/base64"
)

// The lengths of Sec-WebSocket-Key, the base64 of 16 bytes, and of Sec-WebSocket-Accept, the base64 of a SHA-1 (RFC 6455 §4).
const (
	WebSocketKeyLen    = 24
	WebSocketAcceptLen = 28
)

const webSocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// WebSocketAccept is the value of Sec-WebSocket-Accept in the answer to a request with this key (RFC 6455 §4.2.2).
func WebSocketAccept(key []byte) (accept [WebSocketAcceptLen]byte) {
	sum := sha1.Sum(append(append(make([]byte, 0, WebSocketKeyLen+len(webSocketGUID)), key...), webSocketGUID...))
	base64.StdEncoding.Encode(accept[:], sum[:])
	return accept
}
