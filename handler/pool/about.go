package pool

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"unsafe"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/logging"
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

// about says which exchange a log line is about. What is not known is empty.
type about struct {
	kind         uint16 // shm.Kind*; 0: not known
	client       netip.AddrPort
	method, path string
	interval     string
	main         string
	id, trace    string // of the request, and of its trace
	window       []byte // what the in-window began with, for a Crash
}

// attrs is what is known, for the log.
func (a *about) attrs() (attrs []slog.Attr) {
	if a.client.IsValid() {
		client := netip.AddrPortFrom(a.client.Addr().Unmap(), a.client.Port())
		attrs = append(attrs, slog.String("client", client.String()))
	}
	for _, f := range [...]struct{ key, value string }{
		{"method", a.method}, {"path", a.path}, {"interval", a.interval}, {"main", a.main}, {"request_id", a.id},
		{"trace_id", a.trace},
	} {
		if f.value != "" {
			attrs = append(attrs, slog.String(f.key, f.value))
		}
	}
	return attrs
}

// String describes it as the worker's own messages do: "GET /path", "interval name", "main name",
// "connection".
func (a *about) String() string {
	switch a.kind {
	case shm.KindInterval:
		return "interval " + a.interval
	case shm.KindMain:
		return "main " + a.main
	case shm.KindSocket:
		return "connection"
	case shm.KindWebSocket:
		return "websocket"
	case shm.KindHTTP:
		return a.method + " " + a.path
	}
	return ""
}

// about says what is known about the exchange in the cell.
func (c *cell) about() *about {
	if c.kept != nil {
		return c.kept
	}
	a := &about{}
	if !c.body.holdsHead() {
		if c.x != nil {
			_, a.client = c.x.Addrs()
		}
		return a
	}
	a.kind = c.kind
	// On some systems workers can write to the window: nothing in it is trusted.
	var h shm.Head
	copy(shm.Bytes(&h), c.body.window)
	a.client = h.Remote.AddrPort()
	size := uint32(len(c.body.window))
	raw := part(c.body.window, h.RawOff, min(h.RawLen, size-min(h.RawOff, size)))
	switch c.kind {
	case shm.KindInterval:
		a.interval = logging.Quoted(raw, namedMax)
	case shm.KindMain:
		a.main = logging.Quoted(raw, namedMax)
	case shm.KindHTTP:
		a.method = logging.Quoted(part(raw, h.MethodOff, h.MethodLen), namedMax)
		a.path = "/" + logging.Quoted(part(raw, h.PathOff, h.PathLen), namedMax)
		a.trace = traceOf(c.body.window, &h)
		if a.id = logging.Quoted(part(c.body.window, h.IDOff, h.IDLen), namedMax); a.id == "" {
			a.id = c.ownID(&h, raw)
		}
	}
	return a
}

// ownID names a request that has come without an id, as its worker does (mb_request_id in handler/worker/core_origin.c).
func (c *cell) ownID(h *shm.Head, raw []byte) string {
	var f shm.Field
	size := uint32(unsafe.Sizeof(f))
	for at := uint32(unsafe.Sizeof(*h)); at+size <= h.RawOff; at += size {
		line := part(c.body.window, at, size)
		if line == nil {
			break
		}
		copy(shm.Bytes(&f), line)
		if httpparse.EqualFold(part(raw, f.NameOff, f.NameLen), "x-request-id") {
			if id := part(raw, f.ValueOff, f.ValueLen); accesslog.ValidID(id) {
				return string(id)
			}
			break
		}
	}
	return fmt.Sprintf("%010x-%d-%d", c.l.p.mem.Header().IDPrefix, c.l.p.index, h.Exchange)
}

// traceOf is the id of the trace of a request, which is between the request and its id.
func traceOf(window []byte, h *shm.Head) string {
	at := uint64(h.RawOff) + uint64(h.RawLen)
	if at > uint64(h.IDOff) {
		return ""
	}
	return logging.Quoted(httpparse.TraceText(part(window, uint32(at), h.IDOff-uint32(at))).TraceID(), namedMax)
}

// keepAbout is called before bytes are put into the in-window: they may overwrite the head if the worker has taken it.
func (c *cell) keepAbout() {
	recorded := c.l.p.h.crashes != nil
	named := recorded || c.l.p.spec.Options.RequestTimeout > 0 || c.peer.handler != nil
	if named && c.body.tail > 0 && c.kept == nil && c.body.holdsHead() {
		c.kept = c.about()
		if recorded {
			c.kept.window = bytes.Clone(c.body.window[:min(c.body.head, crashKeptMax)])
		}
	}
}

// namedMax is how many bytes of a method or a path are logged.
const namedMax = 200

// part is n bytes of b; nil if there are no such bytes.
func part(b []byte, off, n uint32) []byte {
	if uint64(off)+uint64(n) > uint64(len(b)) {
		return nil
	}
	return b[off:][:n]
}
