package backend

import (
	"net/netip"
	"time"
)

// Preface is what a proxy in front of the server sends at the start of every connection, before anything else: for example a
// header of the PROXY protocol, see package proxyproto.
type Preface struct {
	// Parse looks at the first bytes of a connection, of which there are at least one. n is how many of them are the preface, or 0
	// as long as p may be the start of one. local and remote take the place of the connection's own addresses if both are valid.
	// An error resets the connection; its text is a cause for the log, so it should be one of few. Calls on different loops overlap.
	Parse func(p []byte) (n int, local, remote netip.AddrPort, err error)
	// Bytes is the length of the longest preface.
	Bytes int
	// Timeout is how long after its start a connection may be without a complete preface.
	Timeout time.Duration
}
