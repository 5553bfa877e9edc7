package bus

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/gob"

	"moonbridge/handler/channel"
)

// handed is what a Bus of another process goes on with: it appends what waits here, under the same origin, so that the order stays and
// a batch that is there twice is not taken twice.
type handed struct {
	Origin, Number uint64
	Sending, Queue []channel.Entry
	Seen           map[uint64]uint64
}

var _ channel.Movable = (*Bus)(nil)

// HandOver implements channel.Movable. The hub is still given what the log has.
func (b *Bus) HandOver() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handed = &handed{Origin: b.origin, Number: b.number, Queue: b.queue, Seen: b.seen.all()}
	if b.sending != nil {
		b.handed.Sending = b.sending.entries
	}
	var state bytes.Buffer
	gob.NewEncoder(&state).Encode(b.handed) // of numbers and strings: there is no error
	b.sending, b.queue, b.waiting = nil, nil, 0
	b.tellEmpty()
	return state.Bytes()
}

// Stay implements channel.Movable. What was handed over is appended here after all, under another origin, since the other process may have
// appended some of it.
func (b *Bus) Stay() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handed == nil {
		return
	}
	b.queue = append(b.handed.Sending, b.handed.Queue...)
	b.origin, b.number, b.handed = newOrigin(), 0, nil
	b.waiting = 0
	for i := range b.queue {
		b.waiting += sizeOf(&b.queue[i])
	}
	b.wake()
}

// TakeOver implements channel.Movable. It is called before Start.
func (b *Bus) TakeOver(state []byte) error {
	var h handed
	if err := gob.NewDecoder(bytes.NewReader(state)).Decode(&h); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.origin, b.number = h.Origin, h.Number
	b.seen = origins{now: h.Seen}
	if len(h.Sending) > 0 {
		b.sending = &batch{h.Origin, h.Number, h.Sending}
	}
	b.queue = append(h.Queue, b.queue...)
	for _, list := range [...][]channel.Entry{h.Sending, h.Queue} {
		for i := range list {
			b.waiting += sizeOf(&list[i])
		}
	}
	b.wake()
	return nil
}

func newOrigin() uint64 {
	var r [8]byte
	rand.Read(r[:])
	return binary.BigEndian.Uint64(r[:])
}
