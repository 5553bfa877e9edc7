package websocket

import "encoding/binary"

// Kind is what a message contains.
type Kind uint8

// The kinds of messages, which are their opcodes.
const (
	Text   Kind = 1 // UTF-8
	Binary Kind = 2
)

// The other opcodes (RFC 6455 §11.8).
const (
	opContinuation = 0
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

const (
	bitFin        = 0x80
	bitCompressed = 0x40 // RSV1 of permessage-deflate
	bitsReserved  = 0x30
	bitMasked     = 0x80

	controlMax   = 125 // bytes of payload in a control frame
	headerMax    = 10  // bytes of the header of a frame without mask
	lengthInTwo  = 126 // the length follows in two bytes
	lengthInMore = 127 // in eight bytes
)

// header is the header of a frame (RFC 6455 §5.2).
type header struct {
	fin, compressed bool
	reserved        bool // a bit is set that has no meaning
	masked          bool
	opcode          uint8
	length          uint64
	mask            [4]byte
}

func (h *header) control() bool { return h.opcode >= opClose }

// parseHeader reads the header at the start of b. size is its length in bytes, or 0 if b does not have all of it. valid is false for
// a length that is not in its shortest form, or beyond 2^63.
func parseHeader(b []byte) (h header, size int, valid bool) {
	if len(b) < 2 {
		return h, 0, true
	}
	h = header{
		fin: b[0]&bitFin != 0, compressed: b[0]&bitCompressed != 0, reserved: b[0]&bitsReserved != 0,
		masked: b[1]&bitMasked != 0, opcode: b[0] & 0xf, length: uint64(b[1] &^ bitMasked),
	}
	size = 2 + lengthBytes(h.length)
	at := size
	if h.masked {
		size += len(h.mask)
	}
	if len(b) < size {
		return h, 0, true
	}
	copy(h.mask[:], b[at:size])
	switch h.length {
	case lengthInTwo:
		h.length = uint64(binary.BigEndian.Uint16(b[2:]))
		return h, size, h.length >= lengthInTwo
	case lengthInMore:
		h.length = binary.BigEndian.Uint64(b[2:])
		return h, size, h.length >= 1<<16 && h.length < 1<<63
	}
	return h, size, true
}

// lengthBytes is how many bytes of length follow the first two bytes of a header.
func lengthBytes(first uint64) int {
	switch first {
	case lengthInTwo:
		return 2
	case lengthInMore:
		return 8
	}
	return 0
}

// appendHeader appends the header of an unmasked frame. bits are bitFin, bitCompressed and the opcode.
func appendHeader(b []byte, bits byte, length int) []byte {
	switch {
	case length < lengthInTwo:
		return append(b, bits, byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, bits, lengthInTwo), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(b, bits, lengthInMore), uint64(length))
}

// unmask applies a mask to b, whose first byte is the payload's byte at position at. It is its own inverse.
func unmask(b []byte, mask [4]byte, at uint64) {
	var key [8]byte
	for i := range key {
		key[i] = mask[(at+uint64(i))&3]
	}
	k := binary.LittleEndian.Uint64(key[:])
	for len(b) >= 32 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		binary.LittleEndian.PutUint64(b[8:], binary.LittleEndian.Uint64(b[8:])^k)
		binary.LittleEndian.PutUint64(b[16:], binary.LittleEndian.Uint64(b[16:])^k)
		binary.LittleEndian.PutUint64(b[24:], binary.LittleEndian.Uint64(b[24:])^k)
		b = b[32:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i]
	}
}
