package websocket

import "unicode/utf8"

// More reports whether Next may find another message. It costs next to nothing.
func (c *Conn) More() bool { return c.giving && len(c.raw.Unread()) > c.in.ahead && !c.held }

// Next takes the message that follows the one which Handler.Message is called with, for a Handler that works on several at once. Only
// Message may call it, as often as it wants. It finds those that have arrived, as a whole and in one frame, and that Message would be called
// with next: none after Hold, none with a rate, none that refers to a message before it (context takeover), and none with more than
// most bytes. Whatever it does not find comes in its turn. data is a view that is valid until the next call of Next, or until Message
// returns; the view that Message was called with ends with the first call.
func (c *Conn) Next(most int) (kind Kind, data []byte, ok bool) {
	if !c.More() || c.state != connOpen || c.bucket.interval > 0 || c.raw.Full() {
		return 0, nil, false
	}
	b := c.raw.Unread()[c.in.ahead:]
	h, size, valid := parseHeader(b)
	if !valid || size == 0 || h.control() || !h.fin || h.length > uint64(max(most, 0)) || h.length > uint64(len(b)-size) {
		return 0, nil, false
	}
	if code, _ := c.fault(&h); code != 0 || h.compressed && c.in.window != nil {
		return 0, nil, false
	}
	payload := b[size : size+int(h.length)]
	unmask(payload, h.mask, 0)
	if data, ok = c.whole(&h, payload, most); !ok {
		unmask(payload, h.mask, 0) // it stays in the input, as it was
		return 0, nil, false
	}
	c.in.ahead += size + len(payload)
	c.loop.counters.in.Add(1)
	return Kind(h.opcode), data, true
}

// whole is the message in an unmasked payload. false: something is wrong with it.
func (c *Conn) whole(h *header, payload []byte, most int) (data []byte, ok bool) {
	data = payload
	if h.compressed {
		var err error
		if data, err = c.inflate(payload, min(most, int(c.maxMessage))); err != nil {
			return nil, false
		}
	}
	return data, Kind(h.opcode) != Text || utf8.Valid(data)
}
