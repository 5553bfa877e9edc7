package bus

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/gob"
	"slices"

	"moonbridge/handler/channel"
)

// handed is what a Bus of another process goes on with. It appends what waits here in the batches that are made here, so the same batch may
// be appended by both: by this process before, or if the other one dies. It is taken once, since those who read know its number.
type handed struct {
	Origin  uint64 // of this process
	Heir    uint64 // of what the other one appends of its own
	Batches []handedBatch
	Seen    map[uint64]uint64
}

type handedBatch struct {
	Origin, Number uint64
	Entries        []channel.Entry
}

var _ channel.Movable = (*Bus)(nil)

// HandOver implements channel.Movable. The hub is still given what the log has.
func (b *Bus) HandOver() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := &handed{Origin: b.origin, Heir: newOrigin(), Seen: b.seen.all()}
	if b.sending != nil {
		h.add(b.sending)
	}
	for _, one := range b.first {
		h.add(one)
	}
	for len(b.queue) > 0 {
		h.add(b.cut())
	}
	var state bytes.Buffer
	gob.NewEncoder(&state).Encode(h) // of numbers and strings: there is no error
	b.handed, b.others = h, append(b.others, h.Heir)
	b.sending, b.first, b.waiting = nil, nil, 0
	b.tellEmpty()
	return state.Bytes()
}

func (h *handed) add(one *batch) {
	h.Batches = append(h.Batches, handedBatch{one.origin, one.number, one.entries})
}

// Stay implements channel.Movable. What was handed over is appended here after all.
func (b *Bus) Stay(since []channel.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handed == nil {
		return
	}
	b.queue = append(b.queue, since...)
	b.waiting += sizeOfAll(since)
	b.appendFirst(b.handed.Batches)
	b.handed = nil
}

// appendFirst has batches appended before all others. Under mu.
func (b *Bus) appendFirst(list []handedBatch) {
	for _, one := range list {
		b.first = append(b.first, &batch{one.Origin, one.Number, one.Entries, true})
		b.waiting += sizeOfAll(one.Entries)
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
	b.origin, b.seen = h.Heir, origins{now: h.Seen}
	b.others = append(b.others, h.Origin)
	for _, one := range h.Batches {
		if !slices.Contains(b.others, one.Origin) {
			b.others = append(b.others, one.Origin)
		}
	}
	b.appendFirst(h.Batches)
	return nil
}

func newOrigin() uint64 {
	var r [8]byte
	rand.Read(r[:])
	return binary.BigEndian.Uint64(r[:])
}
