package pool

import "moonbridge/handler/shm"

// body is the request of an exchange on its way through the in-window: the head block, then the bytes of the body. Positions
// count bytes from the start of the head block.
type body struct {
	// Immutable.
	in     *shm.InCell
	out    *shm.OutCell
	window []byte

	flags   uint32 // InCell.Flags
	head    uint64 // position after the last byte in the window
	tail    uint64 // position after the last byte that the worker has taken
	spill   []byte // what did not fit into the window and follows head
	spilled bool   // the window does not hold the request from its first byte
	ending  bool   // InEnd is to be set when the spill is in the window
	wanted  bool   // BodyWanted was called
}

// clean makes the body that of a new exchange. The bytes are put in place before it is published.
func (b *body) clean() {
	b.flags, b.head, b.spilled, b.ending, b.wanted = 0, 0, false, false, false
}

// fill puts as much of a request into the window as goes into it. The rest follows when the worker has made room.
func (b *body) fill(request []byte) {
	n := copy(b.window, request)
	b.head = uint64(n)
	b.spill, b.spilled = request[n:], true
	b.ending = b.flags&shm.InEnd != 0
	b.flags = b.flags&shm.InReceived | shm.InWantRoom
}

// publish tells the worker what there is, from the first byte on.
func (b *body) publish() {
	b.tail = 0
	b.out.InTail.Store(0)
	b.in.Flags.Store(b.flags)
	b.in.InHead.Store(b.head)
}

// room is how many bytes go into the window now.
func (b *body) room() uint64 { return uint64(len(b.window)) - (b.head - b.tail) }

// accepts reports whether there is room for bytes that are not in the spill.
func (b *body) accepts() bool { return len(b.spill) == 0 && b.room() > 0 && b.flags&shm.InEnd == 0 }

// holdsHead reports whether the window still begins with the request's head block.
func (b *body) holdsHead() bool { return b.head <= uint64(len(b.window)) }

// free is the room as two slices of the window.
func (b *body) free() (x, y []byte) { return shm.Ring(b.window, b.head, b.room()) }

// advance says that n bytes were put into the room.
func (b *body) advance(n uint64) {
	b.head += n
	if !b.holdsHead() {
		b.spilled = true
	}
	b.in.InHead.Store(b.head)
}

// readTail reads how much the worker has taken. false: that is impossible.
func (b *body) readTail() bool {
	tail := b.out.InTail.Load()
	if tail < b.tail || tail > b.head {
		return false
	}
	b.tail = tail
	return true
}

// moveSpill moves as much of the spill into the window as there is room for. The last byte of it may end the body.
func (b *body) moveSpill() {
	n := min(uint64(len(b.spill)), b.room())
	shm.RingPut(b.window, b.head, b.spill[:n])
	b.spill = b.spill[n:]
	b.advance(n)
	if len(b.spill) > 0 {
		return
	}
	b.spill = nil
	if b.ending {
		b.ending = false
		b.finish(shm.InEnd)
	}
}

// end ends the body, or has the last byte of the spill end it. It reports whether it has ended.
func (b *body) end() bool {
	if len(b.spill) > 0 {
		b.ending = true
		return false
	}
	b.finish(shm.InEnd)
	return true
}

// abort drops what is not in the window yet, and says in flags why no more will come.
func (b *body) abort(flags uint32) {
	b.spill = nil
	b.finish(flags)
}

// finish sets flags that say that no bytes follow. The worker need not report room any more.
func (b *body) finish(flags uint32) { b.setFlags(b.flags&^shm.InWantRoom | flags) }

// wantRoom says whether the worker is to report when it has made room.
func (b *body) wantRoom(want bool) {
	if want == b.wantsRoom() {
		return
	}
	b.setFlags(b.flags ^ shm.InWantRoom)
}

func (b *body) wantsRoom() bool { return b.flags&shm.InWantRoom != 0 }

func (b *body) setFlags(flags uint32) {
	b.flags = flags
	b.in.Flags.Store(flags)
}
