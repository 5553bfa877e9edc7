package bufio

// Input holds the bytes that were read from one connection and are not consumed yet. The zero value is empty and ready
// for use.
//
// A turn of a connection consists of Reserve, a read, and Commit; then Unread and Discard as often as needed; and
// Settle at the end.
type Input struct {
	buf  []byte // scratch, a separate buffer, or nil
	r, w int    // buf[r:w] is unread
}

// Len returns the number of unread bytes.
func (in *Input) Len() int { return in.w - in.r }

// Unread returns the unread bytes, as a view.
func (in *Input) Unread() []byte { return in.buf[in.r:in.w] }

// Discard consumes the first n unread bytes. It panics if there are fewer.
func (in *Input) Discard(n int) {
	if n < 0 || n > in.Len() {
		panic("bufio: Discard beyond the unread bytes")
	}
	in.r += n
}

// Reserve returns room for at least max(n, 1) bytes after the unread bytes, to be read into before Commit. If nothing
// is unread and n ≤ ScratchSize, the room is the whole scratch buffer of p. In that case Settle or Release must be
// called on this Input before Reserve is called on another Input of p; otherwise Reserve panics. All views become
// invalid.
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

// Commit adds the first n bytes of the room of the last Reserve to the unread bytes. It panics if the room is smaller.
func (in *Input) Commit(n int) {
	if n < 0 || n > len(in.buf)-in.w {
		panic("bufio: Commit beyond the reserved room")
	}
	in.w += n
}

// Settle must be called before the loop turns to another connection. It moves unread bytes from the scratch buffer to a
// separate buffer, returns a buffer without unread bytes to p, and replaces a buffer that is mostly empty with a
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

// Release drops all unread bytes and returns the buffer to p. The Input may be used again.
func (in *Input) Release(p *Pool) {
	in.drop(p)
	in.buf, in.r, in.w = nil, 0, 0
}

// useScratch makes the scratch buffer the buffer of an Input without unread bytes.
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

// move replaces the buffer with a separate one of at least size bytes, and moves the unread bytes there.
func (in *Input) move(p *Pool, size int) {
	b := p.get(size)
	unread := copy(b, in.buf[in.r:in.w])
	in.drop(p)
	in.buf, in.r, in.w = b, 0, unread
}

// drop returns the buffer to p but leaves the fields unchanged.
func (in *Input) drop(p *Pool) {
	switch {
	case in.buf == nil:
	case p.isScratch(in.buf):
		p.leaveScratch()
	default:
		p.put(in.buf)
	}
}
