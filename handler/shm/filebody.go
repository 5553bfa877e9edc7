package shm

import (
	"encoding/binary"
	"errors"
	"math"
)

// FileBody is the body of a response that a worker sends from a file: the content of MsgFile.
type FileBody struct {
	Loop, Cell uint32 // which exchange it is for
	Gen        uint32 // low half of its place in the queue
	Parts      []FilePart
	Closing    []byte // text after the last part
}

// FilePart is text, and then Length bytes of the file from Offset.
type FilePart struct {
	Before         []byte
	Offset, Length int64 // Length is at least 1
}

// FilePartsMax is the largest number of parts of a FileBody.
const FilePartsMax = 64

// fileBytesMax bounds the sum of the lengths of all parts, so that a reader can count with it.
const fileBytesMax = 1 << 62

var errFileBody = errors.New("malformed body in a file")

// Append appends the content of the message: four numbers and those of the parts, then all texts.
func (b *FileBody) Append(dst []byte) []byte {
	put := binary.LittleEndian.AppendUint32
	dst = put(put(put(put(dst, b.Loop), b.Cell), b.Gen), uint32(len(b.Parts)))
	for _, p := range b.Parts {
		dst = put(dst, uint32(len(p.Before)))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Offset))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Length))
	}
	for _, p := range b.Parts {
		dst = append(dst, p.Before...)
	}
	return append(dst, b.Closing...)
}

const (
	fileBodyHead = 4 * 4
	filePartHead = 4 + 8 + 8
)

// ReadFileBody reads the content of a message. It checks everything that does not depend on the exchange and the file. The texts
// are views of m.
func ReadFileBody(m []byte) (b FileBody, err error) {
	if len(m) < fileBodyHead {
		return b, errFileBody
	}
	number := binary.LittleEndian.Uint32
	b.Loop, b.Cell, b.Gen = number(m), number(m[4:]), number(m[8:])
	n := number(m[12:])
	heads := m[fileBodyHead:]
	if n < 1 || n > FilePartsMax || len(heads) < int(n)*filePartHead {
		return b, errFileBody
	}
	left := int64(fileBytesMax)
	heads, texts := heads[:n*filePartHead], heads[n*filePartHead:]
	for ; len(heads) > 0; heads = heads[filePartHead:] {
		text := number(heads)
		p := FilePart{Offset: int64(binary.LittleEndian.Uint64(heads[4:])), Length: int64(binary.LittleEndian.Uint64(heads[12:]))}
		if uint64(text) > uint64(len(texts)) || p.Offset < 0 || p.Length < 1 || p.Offset > math.MaxInt64-p.Length || p.Length > left {
			return b, errFileBody
		}
		left -= p.Length
		p.Before, texts = texts[:text], texts[text:]
		b.Parts = append(b.Parts, p)
	}
	b.Closing = texts
	return b, nil
}
