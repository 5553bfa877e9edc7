package engine

import (
	"log/slog"

	"moonbridge/handler/logging"
)

// A record of TLS may bring no data: it has a new key (RFC 8446 §4.6.3), nothing but padding (§5.4), or a warning (RFC 5246 §7.2). A
// new key takes some 4 µs. crypto/tls ends a connection after 16 such records in a row, but one byte of data between them begins a new
// row, so one client could keep a processor busy. Therefore the engine bounds how many come in a second. It cannot see what is in a
// record, but it sees how many records there are, and how many of them have brought data.

const (
	// barrenMost is how many records of a peer may bring no data within barrenWindowMS. If all have new keys, they take a millisecond,
	// about as much as a handshake. An honest peer changes its key after gigabytes. GnuTLS allows eight new keys in a second.
	barrenMost     = 256
	barrenWindowMS = 1000
)

// records follows the records of a peer.
type records struct {
	header uint8  // bytes of the header that have come
	body   uint16 // bytes of the record that have not

	// ended are the records that have ended, less those that have brought data, since all of them were read. It is less than nothing
	// while those that the handshake has left are read, or parts of a large one.
	ended  int
	barren int // those that have brought no data in the window of time
	since  uint64
}

// pass counts the records that end in p, the next bytes of the peer.
func (r *records) pass(p []byte) {
	for len(p) > 0 {
		if r.header < tlsHeaderBytes {
			r.body = r.body<<8 | uint16(p[0]) // at last its length
			p = p[1:]
			r.header++
		} else {
			n := min(len(p), int(r.body))
			p = p[n:]
			r.body -= uint16(n)
		}
		if r.header == tlsHeaderBytes && r.body == 0 {
			r.header = 0
			r.ended++
		}
	}
}

// begin forgets the records of the handshake.
func (r *records) begin() { r.ended = 0 }

// brought: a record, or a part of one, has brought data.
func (r *records) brought() { r.ended-- }

// tooMany is called when all complete records were read. It reports whether too many have brought no data.
func (r *records) tooMany(nowMS uint64, most int) bool {
	n := r.ended
	r.ended = 0
	if n <= 0 {
		return false
	}
	if nowMS-r.since >= barrenWindowMS {
		r.since, r.barren = nowMS, 0
	}
	r.barren += n
	return r.barren > most
}

// Messages and causes of the log.
const (
	tlsConnsEnded = "TLS connections ended"

	causeTLSBarren = "too many records without data"
)

// countBarren counts a connection that is ended because of its records.
func (l *loop) countBarren(c *tlsConn) {
	l.e.tally.Add(logging.Event{Level: slog.LevelInfo, Message: tlsConnsEnded, Cause: causeTLSBarren}, func() []slog.Attr {
		if c.dialed {
			return []slog.Attr{slog.String("target", c.peer.String())}
		}
		return clientAttr(c.peer)
	})
}
