package backend

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"strings"
)

// TLSState is what is known about a connection's TLS. It is made once for a connection, and must not be changed.
type TLSState struct {
	tls.ConnectionState

	// Text has what handlers in other processes are told, a line each: version, cipher suite, server name, protocol of ALPN, and of
	// the client's certificate the SHA-256 fingerprint and the subject (RFC 4514). A line without a value is empty.
	Text []byte
}

// NewTLSState completes the state of a connection.
func NewTLSState(s tls.ConnectionState) *TLSState {
	fingerprint, subject := "", ""
	if len(s.PeerCertificates) > 0 {
		sum := sha256.Sum256(s.PeerCertificates[0].Raw)
		fingerprint, subject = hex.EncodeToString(sum[:]), s.PeerCertificates[0].Subject.String()
	}
	lines := []string{
		strings.Replace(tls.VersionName(s.Version), "TLS ", "TLSv", 1), tls.CipherSuiteName(s.CipherSuite),
		s.ServerName, s.NegotiatedProtocol, fingerprint, subject,
	}
	for i, line := range lines {
		lines[i] = strings.Map(visible, line)
	}
	return &TLSState{ConnectionState: s, Text: []byte(strings.Join(lines, "\n"))}
}

// visible replaces what would be taken for the end of a line or of the text.
func visible(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}
