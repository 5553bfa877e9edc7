package bus

import (
	"encoding/binary"
	"errors"

	"moonbridge/handler/channel"
)

// An entry of the log is a batch: a version, who has appended it, the how-manieth of theirs it is, and messages.
type batch struct {
	origin  uint64 // chosen at random by a Bus
	number  uint64 // counted from 1
	entries []channel.Entry

	// fixed: it may be in the log already, appended by another process or before a connection broke. So its number stands for what it has.
	fixed bool
}

const (
	// batchVersion is the first byte of a batch.
	batchVersion = 1
	// batchMessages bounds the messages of a batch: one less than there are places in an entry. The last place stands for its end.
	batchMessages = 255
	// placeBits is how many bits of a place in the log say which message of an entry it is.
	placeBits = 8
	// batchBytes is when a batch is full. One message may be larger.
	batchBytes = 64 << 10
	// flagBinary is that of a message whose data is not text.
	flagBinary = 1
)

var errBatch = errors.New("malformed entry")

func (b *batch) append(dst []byte) []byte {
	dst = append(dst, batchVersion)
	dst = binary.BigEndian.AppendUint64(dst, b.origin)
	dst = binary.AppendUvarint(dst, b.number)
	for i := range b.entries {
		e, flags := &b.entries[i], byte(0)
		if e.Post.Binary {
			flags |= flagBinary
		}
		dst = append(dst, flags)
		for _, s := range [...]string{e.Channel, e.Post.Event, e.Post.ID, e.Post.Key, e.Post.Data} {
			dst = binary.AppendUvarint(dst, uint64(len(s)))
			dst = append(dst, s...)
		}
	}
	return dst
}

// parseBatch reads a batch. It shares no memory with data.
func parseBatch(data []byte) (*batch, error) {
	if len(data) < 9 || data[0] != batchVersion {
		return nil, errBatch
	}
	b := &batch{origin: binary.BigEndian.Uint64(data[1:])}
	number, n := binary.Uvarint(data[9:])
	if n <= 0 || number == 0 {
		return nil, errBatch
	}
	b.number = number
	for data = data[9+n:]; len(data) > 0; {
		if len(b.entries) == batchMessages {
			return nil, errBatch
		}
		var e channel.Entry
		e.Post.Binary = data[0]&flagBinary != 0
		data = data[1:]
		for _, s := range [...]*string{&e.Channel, &e.Post.Event, &e.Post.ID, &e.Post.Key, &e.Post.Data} {
			length, n := binary.Uvarint(data)
			if n <= 0 || length > uint64(len(data)-n) {
				return nil, errBatch
			}
			end := n + int(length)
			*s, data = string(data[n:end]), data[end:]
		}
		b.entries = append(b.entries, e)
	}
	return b, nil
}
