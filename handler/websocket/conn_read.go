package websocket

import (
	"unicode/utf8"

	"moonbridge/handler/backend"
)

// incoming is the message that is being received.
type incoming struct {
	kind       Kind // 0: between messages
	compressed bool
	last       bool    // the frame is the last one of the message
	mask       [4]byte // of the frame
	at         uint64  // bytes of the frame's payload that were taken
	left       uint64  // bytes of it that are missing
	inFrame    bool
	text       textCheck
	data       []byte  // what has arrived, if it did not arrive at once
	window     *window // nil: the client does not take over its context
	ahead      int     // bytes of the input that messages have which the Handler is given now
}

// parse takes frames from the input until it has no whole one, or none that may be passed on now.
func (c *Conn) parse() {
	if c.parsing || c.state == connClosed {
		return
	}
	c.parsing = true
	for c.state != connClosed && !c.raw.Full() && c.step() {
	}
	c.flush()
	c.parsing = false
	if c.state != connClosed && c.raw.Ended() && !c.mayGoOn() {
		c.end(BecauseLost, CodeAbnormal, "") // without a close frame, perhaps within a frame
		c.raw.Close()
	}
}

// mayGoOn reports whether parse has left something in the input that it can take later, without more bytes.
func (c *Conn) mayGoOn() bool { return c.held || c.raw.Full() || c.bucket.waiting }

// step takes one frame, or a part of one. false: there is nothing to take now.
func (c *Conn) step() bool {
	b := c.raw.Unread()
	if c.in.inFrame {
		return len(b) > 0 && c.piece(b) || c.in.inFrame && c.in.left == 0 && c.frameEnd()
	}
	h, size, valid := parseHeader(b)
	switch {
	case !valid:
		return !c.held && c.fail(CodeProtocolError, "length of a frame")
	case size == 0:
		return false
	case c.refused(&h):
		return false
	case h.control():
		if uint64(len(b)-size) < h.length {
			return false
		}
		return c.control(&h, b, size)
	case c.state == connClosing:
		return c.skip(&h, size)
	case c.waits(&h):
		return false
	}
	return c.data(&h, b, size)
}

// discard drops input, unless a call of the Handler has ended the connection.
func (c *Conn) discard(n int) {
	if n <= len(c.raw.Unread()) {
		c.raw.Discard(n)
	}
}

// discardGiven drops the messages that the Handler was given.
func (c *Conn) discardGiven() {
	c.discard(c.in.ahead)
	c.in.ahead = 0
}

// refused reports whether a header breaks the protocol, or announces too large a message. Then it ends the connection, after the end of
// Hold: what the peer has sent before may still be answered.
func (c *Conn) refused(h *header) bool {
	code, what := c.fault(h)
	if code == 0 {
		return false
	}
	if !c.held || c.state != connOpen {
		c.fail(code, what)
	}
	return true
}

// fault is what is wrong with a header: the code of a close frame, or 0.
func (c *Conn) fault(h *header) (code int, what string) {
	data := h.opcode == opContinuation || h.opcode == uint8(Text) || h.opcode == uint8(Binary)
	switch {
	case !h.masked:
		return CodeProtocolError, "frame without mask" // RFC 6455 §5.1
	case h.reserved || h.compressed && (!c.packed || h.opcode == opContinuation || h.control()):
		return CodeProtocolError, "reserved bit"
	case h.control() && (h.opcode > opPong || !h.fin || h.length > controlMax):
		return CodeProtocolError, "control frame"
	case !h.control() && !data:
		return CodeProtocolError, "opcode"
	case h.opcode == opContinuation && c.in.kind == 0:
		return CodeProtocolError, "continuation of nothing"
	case data && h.opcode != opContinuation && c.in.kind != 0:
		return CodeProtocolError, "message within another one"
	case data && h.length > uint64(int(c.maxMessage)-len(c.in.data)):
		return CodeTooLarge, ""
	}
	return 0, ""
}

// waits reports whether a message must not begin now.
func (c *Conn) waits(h *header) bool {
	if h.opcode == opContinuation {
		return false
	}
	return c.held || !c.admit()
}

// data takes a data frame, whose header has size bytes.
func (c *Conn) data(h *header, b []byte, size int) bool {
	if h.opcode != opContinuation {
		c.in.kind, c.in.compressed = Kind(h.opcode), h.compressed
	}
	if payload := b[size:]; h.opcode != opContinuation && h.fin && uint64(len(payload)) >= h.length {
		payload = payload[:h.length]
		unmask(payload, h.mask, 0)
		c.in.ahead = size + len(payload)
		c.message(payload, false)
		c.discardGiven()
		return true
	}
	c.in.inFrame, c.in.last, c.in.mask, c.in.at, c.in.left = true, h.fin, h.mask, 0, h.length
	c.raw.Discard(size)
	return true
}

// piece takes what has arrived of the payload of a frame.
func (c *Conn) piece(b []byte) bool {
	b = b[:min(uint64(len(b)), c.in.left)]
	if len(b) == 0 {
		return false
	}
	unmask(b, c.in.mask, c.in.at)
	c.in.at += uint64(len(b))
	c.in.left -= uint64(len(b))
	if c.state == connOpen {
		c.collect(b)
	}
	c.discard(len(b))
	return true
}

// collect adds b to the message. What is wrong with a text is noticed at once.
func (c *Conn) collect(b []byte) {
	if c.in.kind == Text && !c.in.compressed && !c.in.text.add(b) {
		c.fail(CodeInvalidPayload, "")
		return
	}
	if !c.append(b) {
		c.fail(CodeTryLater, "")
	}
}

// frameEnd: the payload of a frame is complete.
func (c *Conn) frameEnd() bool {
	if c.held && c.state == connOpen {
		return false
	}
	c.in.inFrame = false
	if c.in.last && c.state == connOpen {
		data := c.in.data
		c.forget()
		c.message(data, true)
		c.discardGiven()
	}
	return true
}

// skip throws away a frame that came after this side's close frame.
func (c *Conn) skip(h *header, size int) bool {
	c.in.inFrame, c.in.last, c.in.mask, c.in.at, c.in.left = true, h.fin, h.mask, 0, h.length
	c.in.kind = Binary
	if h.fin {
		c.in.kind = 0
	}
	c.raw.Discard(size)
	return true
}

// message passes a complete message on. checked: a text that is not compressed was checked while it arrived.
func (c *Conn) message(data []byte, checked bool) {
	kind := c.in.kind
	c.in.kind = 0
	if c.in.compressed {
		unpacked, ok := c.unpack(data)
		if !ok {
			return
		}
		data, checked = unpacked, false
	}
	if kind == Text && !c.validText(data, checked) {
		c.fail(CodeInvalidPayload, "")
		return
	}
	c.loop.counters.in.Add(1)
	c.giving = true
	c.tellMessage(kind, data)
	c.giving = false
	if c.loop.check {
		backend.Overwrite(data)
	}
	if cap(c.loop.unpack) > sharedMax {
		c.loop.unpack = nil
	}
}

// validText checks a complete text, or the end of one whose pieces were checked.
func (c *Conn) validText(data []byte, checked bool) bool {
	if checked {
		return c.in.text.end()
	}
	return utf8.Valid(data)
}

// unpack decompresses a message into the buffer of the loop.
func (c *Conn) unpack(data []byte) (unpacked []byte, ok bool) {
	unpacked, err := c.inflate(data, int(c.maxMessage))
	switch err {
	case nil:
		return unpacked, true
	case errInflated:
		c.fail(CodeTooLarge, "")
	default:
		c.fail(CodeInvalidPayload, "compressed data")
	}
	return nil, false
}

// inflate decompresses a message of at most most bytes into the buffer of the loop.
func (c *Conn) inflate(data []byte, most int) (unpacked []byte, err error) {
	w := c.in.window
	if w == nil {
		w = &window{}
	}
	unpacked, err = c.e.deflate.inflate(c.loop.unpack[:0], data, most, w)
	c.loop.unpack = unpacked[:0]
	return unpacked, err
}

var _ backend.Stream = (*Conn)(nil)
