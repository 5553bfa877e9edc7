package engine

// split says how the first record of a handshake was divided into smaller ones, which the peer may do too (RFC 8446 §5.1): the
// transcript of the handshake has messages, not records. crypto/tls keeps its buffer for a record as large as the first one has made
// it, for as long as the connection lives. A ClientHello with a key for X25519MLKEM768 has 1.7 KB. In pieces of at most splitBytes, each
// of them read by itself, it leaves 528 bytes, as a shorter one does.
//
// The message is put together in another buffer, which doubles when it is full. So the pieces have the same size, and their number is a
// power of two: then the buffer becomes hardly larger than the message.
type split struct {
	piece int // bytes of each piece but the last, with its header
	end   int // of the last piece
}

const (
	tlsHeaderBytes = 5
	// splitBytes is the most of a piece, with its header: bytes.MinRead, what crypto/tls has room for in any case.
	splitBytes = 512
	// splitMax bounds the records that are divided.
	splitMax = 4 << 10
)

// splitFirst divides the record that p begins with, which is complete, unless it is short or very long.
func splitFirst(p []byte) (split, []byte) {
	n := int(p[3])<<8 | int(p[4])
	if n <= splitBytes-tlsHeaderBytes || n > splitMax {
		return split{}, p
	}
	pieces := 2
	for (n+pieces-1)/pieces > splitBytes-tlsHeaderBytes {
		pieces *= 2
	}
	size := (n + pieces - 1) / pieces
	out := make([]byte, 0, len(p)+pieces*tlsHeaderBytes)
	for from := 0; from < n; from += size {
		part := p[tlsHeaderBytes+from : tlsHeaderBytes+min(n, from+size)]
		out = append(append(out, p[0], p[1], p[2], byte(len(part)>>8), byte(len(part))), part...)
	}
	return split{piece: tlsHeaderBytes + size, end: len(out)}, append(out, p[tlsHeaderBytes+n:]...)
}

// next is what is read next of in, of which used bytes were read: not more than one piece.
func (s split) next(in []byte, used int) []byte {
	if used >= s.end {
		return in[used:]
	}
	return in[used:min(s.end, (used/s.piece+1)*s.piece)]
}
