package pool

import (
	"fmt"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

const (
	// headBlockMax is what a worker accepts of a request head, including the table of its field lines.
	headBlockMax = 2 << 20
	// bodyPartMax is the most bytes of a body that Start takes beyond the window.
	bodyPartMax = 1 << 20
)

var (
	errHeadTooLarge = fmt.Errorf("%w for a worker", backend.ErrHeadTooLarge)
	errBodyTooLarge = fmt.Errorf("%w for a worker", backend.ErrBodyTooLarge)
)

// headBlock is the head block of another exchange.
func (l *loop) headBlock(kind uint16, listener int) shm.HeadBlock {
	l.number++
	return shm.HeadBlock{
		Kind: kind, Listener: uint16(listener),
		Exchange: l.number*uint64(len(l.p.bells)) + uint64(l.index),
	}
}

// putRequest writes a request into the window: its head, and what has arrived of its body. file is the size of a body in a
// file, or 0.
func (c *cell) putRequest(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool, file int64) error {
	b := c.l.headBlock(shm.KindHTTP, listener)
	b.Request, b.Expect, b.File = h, h.ExpectContinue && more && len(body) == 0, file
	local, remote := x.Addrs()
	b.Local, b.Remote = shm.AddressOf(local), shm.AddressOf(remote)
	if h.Secure {
		if state := backend.TLSOf(x); state != nil { // otherwise a trusted proxy has said it
			b.TLS = state.Text
		}
	}
	switch {
	case !more:
		c.body.flags = shm.InEnd
	case backend.BodyReceived(x):
		c.body.flags = shm.InReceived
	}
	return c.put(&b, body)
}

// put writes the head block and the body from the start of the in-window on. What does not fit goes into the spill.
func (c *cell) put(b *shm.HeadBlock, body []byte) error {
	size := b.Size()
	if size > headBlockMax {
		return errHeadTooLarge
	}
	all := size + len(body)
	if all <= len(c.body.window) {
		b.Put(c.body.window)
		copy(c.body.window[size:], body)
		c.body.head = uint64(all)
		return nil
	}
	if len(body) > len(c.body.window)+bodyPartMax {
		return errBodyTooLarge
	}
	spill := make([]byte, all)
	b.Put(spill)
	copy(spill[size:], body)
	c.body.fill(spill)
	return nil
}
