package shm

import (
	"net/netip"
	"unsafe"

	"moonbridge/httpparse"
)

// HeadBlock describes an exchange to the worker. Put writes it to the start of the in-window: a Head, the field lines, the
// request as the peer sent it, what is known of its trace, the request's id, and what is known of its TLS with a NUL at the end. The body follows.
type HeadBlock struct {
	Kind          uint16 // Kind*
	Listener      uint16
	Exchange      uint64
	Local, Remote Address

	Request *httpparse.Head // KindHTTP. Its Persistent says whether the server is willing to keep the connection
	Expect  bool            // the peer waits for an answer to Expect: 100-continue (RFC 9110 §10.1.1)
	TLS     []byte          // KindHTTP, KindSocket: what is known of the connection's TLS, without a NUL; empty: nothing
	File    int64           // bytes of the body if it is in a file, which is not empty; 0: the body follows the block

	Logged bool // KindSocket: requests on the connection are for the access log

	Name string // KindInterval, KindMain: the name of the listener. KindWebSocket: a WSEvent
}

const headSize = int(unsafe.Sizeof(Head{}))

// The field lines of a request are copied as they are, which needs the same layout on both sides.
var _ = Field(httpparse.Field{})

// end is where the last part ends. Padding follows, so that the body is aligned.
func (b *HeadBlock) end() int {
	n := headSize + len(b.Name)
	if r := b.Request; r != nil {
		n += len(sliceBytes(r.Fields)) + len(r.Raw) + len(r.Trace) + len(r.ID)
	}
	if len(b.TLS) > 0 {
		n += len(b.TLS) + 1
	}
	return n
}

// Size is the length of the block in bytes. The caller has to compare it with what a worker accepts.
func (b *HeadBlock) Size() int { return (b.end() + 7) &^ 7 }

// Put writes the block to the start of to, which must have room for Size bytes. It writes every byte once, and allocates
// nothing.
func (b *HeadBlock) Put(to []byte) {
	size := b.Size()
	h := view[Head](to, 0)
	*h = Head{
		Size: uint32(size), Kind: b.Kind, Listener: b.Listener, Exchange: b.Exchange,
		RawOff: uint32(headSize), RawLen: uint32(len(b.Name)),
		Local: b.Local, Remote: b.Remote,
	}
	switch {
	case b.Logged:
		h.Flags = HeadLogged
	case b.Kind == KindWebSocket:
		h.Flags = HeadHasBody
	}
	n := headSize + copy(to[headSize:], b.Name)
	if r := b.Request; r != nil {
		h.Flags = b.flags()
		h.NFields = uint32(len(r.Fields))
		h.ContentLength = uint64(r.ContentLength) // LengthUnknown is -1 there and all ones here
		if b.File > 0 {
			h.Flags |= HeadBodyFile
			h.ContentLength = uint64(b.File)
		}
		if r.Client.IsValid() {
			h.Client = AddressOf(netip.AddrPortFrom(r.Client, 0))
		}
		h.MethodOff, h.MethodLen = r.Method.Off, r.Method.Len
		h.PathOff, h.PathLen = r.Path.Off, r.Path.Len
		h.QueryOff, h.QueryLen = r.Query.Off, r.Query.Len
		n += copy(to[n:], sliceBytes(r.Fields))
		h.RawOff, h.RawLen = uint32(n), uint32(len(r.Raw))
		n += copy(to[n:], r.Raw)
		n += copy(to[n:], r.Trace)
		h.IDOff, h.IDLen = uint32(n), uint32(len(r.ID))
		n += copy(to[n:], r.ID)
	}
	if len(b.TLS) > 0 {
		h.Flags |= HeadTLS
		if b.Request == nil {
			h.IDOff = uint32(n)
		}
		n += copy(to[n:], b.TLS)
		to[n] = 0
		n++
	}
	clear(to[n:size])
}

func (b *HeadBlock) flags() (flags uint32) {
	r := b.Request
	for _, f := range [...]struct {
		is  bool
		bit uint32
	}{
		{r.IsHead, HeadIsHead},
		{r.Minor == 0, HeadHTTP10},
		{r.Persistent, HeadKeepalive},
		{b.Expect, HeadExpect},
		{r.Asterisk, HeadAsterisk},
		{r.Chunked || r.ContentLength != 0, HeadHasBody},
		{r.Secure, HeadSecure},
		{r.HTTP2, HeadHTTP2},
		{r.Timed(), HeadLogged},
	} {
		if f.is {
			flags |= f.bit
		}
	}
	return flags
}

// AddrPort is the address in the form that AddressOf has converted; not valid if there is none.
func (a *Address) AddrPort() netip.AddrPort {
	switch a.Family {
	case 4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a.IP[:4])), a.Port)
	case 6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.IP), a.Port)
	}
	return netip.AddrPort{}
}

// AddressOf converts one end of a connection. The zero AddrPort has family 0.
func AddressOf(a netip.AddrPort) (to Address) {
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
