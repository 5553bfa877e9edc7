package websocket

import "unicode/utf8"

// corkMax is how many bytes are collected while input is parsed, before they are written.
const corkMax = 16 << 10

// smallMax is up to which size a payload is copied next to its header: a call that writes two slices costs more.
const smallMax = 1 << 10

// Send sends a message. It keeps no reference to data. The connection is closed if the peer takes too little of what it is sent: see
// Options.MaxHeld, and Full.
func (c *Conn) Send(kind Kind, data []byte) error {
	switch {
	case c.state != connOpen:
		return ErrClosed
	case kind == Text && !utf8.Valid(data):
		return ErrText
	case c.behind(len(data)):
		c.Close(CodeTryLater, "")
		return ErrBehind
	}
	bits := byte(bitFin) | byte(kind)
	if c.packed && len(data) >= c.e.deflate.min() && len(data) <= c.deflate.compressMax() {
		if packed := c.pack(data); c.out != nil || len(packed) < len(data) {
			data, bits = packed, bits|bitCompressed
		}
	}
	c.loop.counters.out.Add(1)
	c.write(appendHeader(c.loop.header[:0], bits, len(data)), data)
	return nil
}

// AppendFrame appends the frame of a message, as SendFrames takes it.
func AppendFrame(b []byte, kind Kind, data []byte) []byte {
	return append(appendHeader(b, bitFin|byte(kind), len(data)), data...)
}

// SendFrames sends frames of AppendFrame, one after the other, which many connections may share. What they contain is not checked and
// not compressed.
func (c *Conn) SendFrames(frames []byte) error {
	switch {
	case c.state != connOpen:
		return ErrClosed
	case c.behind(len(frames)):
		c.Close(CodeTryLater, "")
		return ErrBehind
	}
	c.loop.counters.out.Add(countFrames(frames))
	c.write(nil, frames)
	return nil
}

// pack compresses data into the buffer of the loop.
func (c *Conn) pack(data []byte) []byte {
	w := c.out
	if w == nil {
		w = &c.loop.noWindow
	}
	packed := c.e.deflate.compress(c.loop.packed[:0], data, c.deflate.serverBits, w)
	if c.loop.packed = packed[:0]; cap(packed) > sharedMax {
		c.loop.packed = nil
	}
	return packed
}

// behind reports whether n more bytes are too many for the peer. Until the connection is Full, which is when its messages are no longer passed
// on, one more message of any size may wait: an answer to a message is not too much.
func (c *Conn) behind(n int) bool {
	held := c.raw.Held()
	return held > c.e.bounds.Output && held+n > c.e.o.MaxHeld
}

// Full reports whether the peer does not take what is sent to it, so that no message comes either. A Handler that has the method
// Room(*Conn) is told when it does again.
func (c *Conn) Full() bool { return c.state != connOpen || c.raw.Full() }

// Held is the number of bytes that wait for the peer.
func (c *Conn) Held() int { return c.raw.Held() }

// write writes a frame, or collects it while parse runs. header may be the buffer of the loop.
func (c *Conn) write(header, payload []byte) {
	collects := c.parsing || c.corked
	if !collects && len(payload) <= smallMax {
		c.loop.small = append(append(c.loop.small[:0], header...), payload...)
		c.raw.Write(c.loop.small)
		return
	}
	if !collects || len(payload) > corkMax {
		c.flush()
		c.raw.Writev(header, payload)
		return
	}
	c.loop.out = append(append(c.loop.out, header...), payload...)
	if len(c.loop.out) > corkMax {
		c.flush()
	}
}

// flush writes what was collected.
func (c *Conn) flush() {
	if len(c.loop.out) > 0 && (c.parsing || c.corked) {
		c.raw.Write(c.loop.out)
		c.loop.out = c.loop.out[:0]
	}
}

// Cork has what is sent until Uncork written together, up to 16 KiB at a time. Both belong into one call of the loop: nothing is sent on
// another connection between them.
func (c *Conn) Cork() { c.corked = true }

// Uncork writes what was sent since Cork.
func (c *Conn) Uncork() {
	if !c.parsing {
		c.flush()
	}
	c.corked = false
}

// IsOpen reports whether messages can still be sent.
func (c *Conn) IsOpen() bool { return c.state == connOpen }
