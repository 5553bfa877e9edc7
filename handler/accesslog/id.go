package accesslog

import (
	"crypto/rand"
	"encoding/hex"
)

// IDs makes ids of requests.
type IDs interface {
	// AppendID appends an id that no other request has.
	AppendID(to []byte) []byte
}

// ValidID reports whether an id that a peer has chosen is used.
func ValidID(id []byte) bool {
	if len(id) < IDMin || len(id) > IDMax {
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

// NewIDPrefix returns a random prefix, which makes the ids of this process differ from those of others.
func NewIDPrefix() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
