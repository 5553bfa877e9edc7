package bufio

// Input is what was read from one connection and is not consumed yet. The zero value is empty and ready.
//
// One turn of a connection: Reserve, read, Commit; Unread and Discard as often as it takes; at the end Settle.
type Input struct {
	buf  []byte // scratch, a buffer of its own, or nil
	r, w int    // buf[r:w] is unread
}

// Len is the number of unread bytes.
func (in *Input) Len() int { return in.w - in.r }

// Unread returns the unread bytes, a view.
func (in *Input) Unread() []byte { return in.buf[in.r:in.w] }

// Discard consumes the first n unread bytes. It panics if there are fewer.
func (in *Input) Discard(n int) {
	if n < 0 || n > in.Len() {
		panic("bufio: Discard beyond the unread bytes")
	}
	in.r += n
}

// Reserve returns room for at least n bytes (at least one) behind the unread bytes, to read into before Commit. With
// nothing unread and n ≤ ScratchSize that is the whole scratch buffer of p; then no other Input of p may call Reserve
// before Settle or Release was called on this one. All views become invalid.
func (in *Input) Reserve(p *Pool, n int) []byte {
	n = max(n, 1)
	unread := in.Len()
	switch {
	case unread == 0 && n <= len(p.scratch):
		in.useScratch(p)
	case in.buf == nil:
		in.move(p, n)
	case len(in.buf)-in.w >= n:
	case len(in.buf)-unread >= n:
		copy(in.buf, in.buf[in.r:in.w])
		in.r, in.w = 0, unread
	default:
		in.move(p, unread+n)
	}
	return in.buf[in.w:]
}

// Commit says that n bytes were read into the room of the last Reserve.
func (in *Input) Commit(n int) {
	if n < 0 || n > len(in.buf)-in.w {
		panic("bufio: Commit beyond the reserved room")
	}
	in.w += n
}

// Settle must be called when the loop turns from this connection to another. It moves unread bytes out of the scratch
// buffer into one of their own, gives a buffer without unread bytes back, and changes a buffer that is mostly empty for a
// smaller one. All views become invalid.
func (in *Input) Settle(p *Pool) {
	unread := in.Len()
	switch {
	case in.buf == nil:
	case unread == 0:
		in.Release(p)
	case p.isScratch(in.buf) || roundUp(unread) < len(in.buf)/4:
		in.move(p, unread)
	}
}

// Release drops all unread bytes and gives the buffer back. The Input may be used again.
func (in *Input) Release(p *Pool) {
	in.drop(p)
	in.buf, in.r, in.w = nil, 0, 0
}

// useScratch makes scratch the buffer of an Input without unread bytes.
func (in *Input) useScratch(p *Pool) {
	if p.reader != in {
		if p.reader != nil {
			panic("bufio: Reserve while another Input is not settled")
		}
		in.drop(p)
		in.buf = p.scratch
		p.reader = in
	}
	in.r, in.w = 0, 0
}

// move changes the buffer for one of its own with at least size bytes, and takes the unread bytes along.
func (in *Input) move(p *Pool, size int) {
	b := p.get(size)
	unread := copy(b, in.buf[in.r:in.w])
	in.drop(p)
	in.buf, in.r, in.w = b, 0, unread
}

// drop gives the buffer back but leaves the fields as they are.
func (in *Input) drop(p *Pool) {
	switch {
	case in.buf == nil:
	case p.isScratch(in.buf):
		p.leaveScratch()
	default:
		p.put(in.buf)
	}
}
