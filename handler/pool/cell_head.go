package pool

import (
	"fmt"
	"net/netip"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

const (
	// headBlockMax is what a worker accepts of a request head, with the table of its field lines.
	headBlockMax = 2 << 20
	// bodyPartMax is the most bytes of a body that Start takes beyond the window.
	bodyPartMax = 1 << 20
)

var (
	errHeadTooLarge = fmt.Errorf("%w for a worker", backend.ErrHeadTooLarge)
	errBodyTooLarge = fmt.Errorf("%w for a worker", backend.ErrBodyTooLarge)
)

const headSize = 112 // of shm.Head; a test compares

// putRequest writes head and body where the worker finds them.
func (c *cell) putRequest(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) error {
	l := c.l
	l.number++
	b := &l.head
	*b = shm.Head{
		Kind: shm.KindHTTP, Listener: uint16(listener),
		NFields:       uint32(len(h.Fields)),
		ContentLength: uint64(h.ContentLength), // LengthUnknown is -1 there and all ones here
		Exchange:      l.number*uint64(len(l.p.bells)) + uint64(l.index),
		RawOff:        uint32(headSize + 16*len(h.Fields)), RawLen: uint32(len(h.Raw)),
		MethodOff: h.Method.Off, MethodLen: h.Method.Len,
		PathOff: h.Path.Off, PathLen: h.Path.Len,
		QueryOff: h.Query.Off, QueryLen: h.Query.Len,
	}
	local, remote := x.Addrs()
	b.Local, b.Remote = address(local), address(remote)
	b.Flags = headFlags(h, more && len(body) == 0)
	if !more {
		c.body.flags = shm.InEnd
	}
	return c.put(b, shm.SliceBytes(h.Fields), h.Raw, h.ID, body)
}

// address is one end of a connection as workers see it.
func address(a netip.AddrPort) (to shm.Address) {
	switch ip := a.Addr(); {
	case ip.Is4():
		to.Family = 4
		b := ip.As4()
		copy(to.IP[:], b[:])
	case ip.Is6():
		to.Family = 6
		to.IP = ip.As16()
	}
	to.Port = a.Port()
	return to
}

// headFlags says in bits what the head says. expect: an answer to Expect: 100-continue is still of use (RFC 9110 §10.1.1).
func headFlags(h *httpparse.Head, expect bool) (flags uint32) {
	for _, f := range [...]struct {
		is  bool
		bit uint32
	}{
		{h.IsHead, shm.HeadIsHead},
		{h.Minor == 0, shm.HeadHTTP10},
		{h.Persistent, shm.HeadKeepalive},
		{h.ExpectContinue && expect, shm.HeadExpect},
		{h.Asterisk, shm.HeadAsterisk},
		{h.Chunked || h.ContentLength != 0, shm.HeadHasBody},
	} {
		if f.is {
			flags |= f.bit
		}
	}
	return flags
}

// put writes the parts of a request from count 0 of the in-window on. What does not fit goes into the spill.
func (c *cell) put(b *shm.Head, fields, raw, id, body []byte) error {
	end := headSize + len(fields) + len(raw) + len(id)
	size := (end + 7) &^ 7
	if size > headBlockMax {
		return errHeadTooLarge
	}
	b.Size = uint32(size)
	b.IDOff, b.IDLen = uint32(end-len(id)), uint32(len(id))
	to := c.body.window
	if size+len(body) > len(to) {
		if len(body) > len(to)+bodyPartMax {
			return errBodyTooLarge
		}
		c.body.spill = make([]byte, size+len(body))
		to = c.body.spill
	}
	n := copy(to, shm.Bytes(b))
	n += copy(to[n:], fields)
	n += copy(to[n:], raw)
	n += copy(to[n:], id)
	clear(to[n:size])
	copy(to[size:], body)
	c.body.head = uint64(size + len(body))
	if c.body.spill != nil {
		// As much of it as goes into the window; the rest follows when the worker has made room.
		n := copy(c.body.window, c.body.spill)
		c.body.head = uint64(n)
		c.body.spill = c.body.spill[n:]
		c.body.spilled = true
		c.body.ending = c.body.flags&shm.InEnd != 0
		c.body.flags = shm.InWantRoom
	}
	return nil
}
