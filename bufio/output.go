package bufio

// Output holds the bytes to be sent on one connection that the kernel has not accepted yet. The zero value is empty and
// ready for use.
type Output struct {
	buf  []byte // nil while empty
	r, w int    // buf[r:w] is unsent
}

// Len returns the number of unsent bytes.
func (out *Output) Len() int { return out.w - out.r }

// Unsent returns the unsent bytes, as a view.
func (out *Output) Unsent() []byte { return out.buf[out.r:out.w] }

// Append copies b to the end of the unsent bytes.
func (out *Output) Append(p *Pool, b []byte) {
	if len(b) == 0 {
		return
	}
	out.w += copy(out.room(p, len(b)), b)
}

// Discard removes the first n unsent bytes, which were sent. If none are left, it returns the buffer to p. It panics if
// there are fewer than n unsent bytes.
func (out *Output) Discard(p *Pool, n int) {
	if n < 0 || n > out.Len() {
		panic("bufio: Discard beyond the unsent bytes")
	}
	out.r += n
	if out.r == out.w {
		out.Release(p)
	}
}

// Release drops all unsent bytes and returns the buffer to p. The Output may be used again.
func (out *Output) Release(p *Pool) {
	if out.buf != nil {
		p.put(out.buf)
	}
	out.buf, out.r, out.w = nil, 0, 0
}

// room returns room for n bytes after the unsent ones. Unsent bytes are moved to the front of their buffer only if at
// least as many bytes have been sent since. So alternate appending and sending costs at most one more copy of each
// byte.
func (out *Output) room(p *Pool, n int) []byte {
	unsent := out.Len()
	switch {
	case len(out.buf)-out.w >= n:
	case len(out.buf)-unsent >= n && out.r >= unsent:
		copy(out.buf, out.buf[out.r:out.w])
		out.r, out.w = 0, unsent
	default:
		b := p.get(unsent + max(n, unsent))
		copy(b, out.buf[out.r:out.w])
		if out.buf != nil {
			p.put(out.buf)
		}
		out.buf, out.r, out.w = b, 0, unsent
	}
	return out.buf[out.w:]
}
