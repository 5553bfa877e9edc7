package engine

import "bytes"

// Limits.Always: the engine puts fields into the heads of backends. An exchange of such a listener begins with extras that say so,
// so that others do not ask.

const (
	// headJoined is how many bytes of a response are copied together with its status line and the fields.
	headJoined = 4 << 10
	// heldMax bounds what is held of a response without a complete status line. Workers output a window at a time.
	heldMax = 128 << 10
)

var lineEnd = []byte("\r\n")

// completes reports whether the final head is still to get fields.
func (x *exchange) completes() bool { return x.extras != nil && x.extras.always != nil }

// takeHead is takeOutput for a response whose final head has not begun.
func (c *conn) takeHead(nowMS uint64, a, b []byte, last bool) int {
	if i := finalLine(a); i > 0 && len(c.exchange.extras.held) == 0 {
		return c.takeCompleted(nowMS, i, a, b, last)
	}
	x := c.exchange.extra()
	x.held = append(append(x.held, a...), b...)
	c.sendHeld(nowMS)
	return len(a) + len(b)
}

// finalLine returns the length of the status line that p begins with. 0: it is incomplete, or that of an interim response.
func finalLine(p []byte) int {
	if len(p) <= statusAt || isInterim(p) {
		return 0
	}
	i := bytes.Index(p, lineEnd)
	if i < 0 {
		return 0
	}
	return i + len(lineEnd)
}

// isInterim reports whether p begins an interim response (RFC 9110 §15.2). 101 is final in this respect.
func isInterim(p []byte) bool {
	return len(p) > statusAt && p[statusAt] == '1' && !bytes.HasPrefix(p[statusAt:], []byte("101"))
}

// takeCompleted is takeOutput for a and b, where a begins with the final status line, of i bytes.
func (c *conn) takeCompleted(nowMS uint64, i int, a, b []byte, last bool) int {
	always := c.exchange.extras.always
	head := append(append(c.l.headRoom[:0], a[:i]...), always...)
	own := len(head)
	rest := a[i:]
	n := min(len(rest), headJoined)
	if len(b) > 0 {
		n = len(rest)
	}
	head, rest = append(head, rest[:n]...), rest[n:]
	if len(rest) == 0 {
		rest = b
	}
	c.l.headRoom = head
	n = c.takeOutput(nowMS, head, rest, last)
	if n == 0 {
		return 0
	}
	c.exchange.completed()
	if n < own {
		c.keepWhole(head[n:own])
		n = own
	}
	return n - len(always)
}

// sendHeld sends the heads that are complete: interim ones as they are, and what begins with the final one, as far as it has come, with the
// fields.
func (c *conn) sendHeld(nowMS uint64) {
	x := c.exchange.extras
	for len(x.held) > statusAt {
		n := 0
		if isInterim(x.held) {
			if n = bytes.Index(x.held, headEnd) + len(headEnd); n < len(headEnd) {
				break
			}
			c.send(x.held[:n])
			x.held = x.held[n:]
			continue
		}
		if n = finalLine(x.held); n == 0 {
			break
		}
		c.sendCompleted(n)
		break
	}
	if len(x.held) > heldMax {
		c.breakOff()
		x.held = nil
	}
	c.updateDeadline(nowMS)
}

func (c *conn) sendCompleted(n int) {
	x := c.exchange.extras
	head := append(append([]byte(nil), x.held[:n]...), x.always...)
	c.send(append(head, x.held[n:]...))
	x.held = nil
	c.exchange.completed()
}

// completed: the final head has its fields.
func (x *exchange) completed() {
	x.begun = true
	if x.extras.shared {
		x.extras = nil
	} else {
		x.extras.always = nil
	}
}

var headEnd = []byte("\r\n\r\n")
