package websocket

// control takes a control frame, which has arrived as a whole. A close frame waits for the end of Hold, so that the answers to
// earlier messages can still be sent.
func (c *Conn) control(h *header, b []byte, size int) bool {
	if h.opcode == opClose && c.held && c.state == connOpen {
		return false
	}
	payload := b[size : size+int(h.length)]
	unmask(payload, h.mask, 0)
	switch {
	case h.opcode == opClose:
		c.closeFrame(payload)
	case h.opcode == opPing && c.state == connOpen:
		c.write(appendHeader(c.loop.header[:0], bitFin|opPong, len(payload)), payload)
	}
	c.discard(size + len(payload))
	return c.state != connClosed
}

// closeFrame takes the peer's close frame, and answers it if this side has not sent one (RFC 6455 §5.5.1).
func (c *Conn) closeFrame(payload []byte) {
	code, reason, fault := parseClose(payload)
	switch {
	case c.state == connClosing:
	case fault != 0:
		c.fail(fault, "close frame")
		return
	default:
		c.write(appendClose(c.loop.header[:0], code, ""), nil)
	}
	c.end(ByClient, code, reason)
	c.flush()
	c.raw.Close()
}

// Close sends a close frame, after everything that was sent. A code that ValidCode does not accept is left out, with the reason, as if
// it was CodeNone; of the reason 123 bytes are sent at most. Messages that come from then on are dropped. The connection ends when the peer has answered, or when it has neither answered nor
// taken more of what was sent before for the time Options.Close.
func (c *Conn) Close(code int, reason string) {
	if c.state != connOpen {
		return
	}
	if !ValidCode(code) {
		code, reason = CodeNone, ""
	}
	c.state = connClosing
	c.code, c.reason = code, shorten(reason)
	c.forget()
	c.awaitAnswer()
	c.write(appendClose(c.loop.header[:0], code, c.reason), nil)
	c.again() // what Hold has kept is dropped now
}

// fail ends the connection because of what the peer has sent. It returns false.
func (c *Conn) fail(code int, reason string) bool {
	if c.state == connOpen {
		c.write(appendClose(c.loop.header[:0], code, reason), nil)
	}
	c.end(causeOf(code), code, reason)
	c.flush()
	c.raw.Close()
	return false
}

// end tells the Handler, once, that the connection is over. The frame that came first counts, if there was one.
func (c *Conn) end(cause Cause, code int, reason string) {
	if c.state == connClosed {
		return
	}
	if c.state == connClosing {
		cause, code, reason = causeOf(c.code), c.code, c.reason
	}
	c.loop.counters.closed[cause].Add(1)
	c.state = connClosed
	c.forget()
	c.in.window, c.out = nil, nil
	c.unwatch()
	c.tellClose(code, reason)
}
