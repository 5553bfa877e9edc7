package otlp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"moonbridge/handler/accesslog"
)

// A record is what the queue holds of an exchange: its length, a head of fixed size, and texts, each with its length before it. It is
// read by the same process.

const (
	flagComplete = 1 << iota
	flagSecure
	flagHTTP2
	flagHTTP10
	flagRefreshes
)

// record is what is needed of an exchange. Its texts are views.
type record struct {
	time                  time.Time
	waited                time.Duration // for the body, before the queue
	queue, service, total time.Duration
	bytes                 int64
	status                int
	flags                 byte
	peer                  netip.AddrPort
	trace                 accesslog.Trace
	sent                  int // how often it was passed on to target

	method, path, agent, id, host, state, cache, target []byte
}

func (r *record) texts() [8]*[]byte {
	return [...]*[]byte{&r.method, &r.path, &r.agent, &r.id, &r.host, &r.state, &r.cache, &r.target}
}

// appendEntry appends the record of an exchange.
func appendEntry(b []byte, a *accesslog.Entry) []byte {
	begin := len(b)
	b = append(b, 0, 0, 0, 0)
	le := binary.LittleEndian
	for _, n := range [...]int64{a.Time.UnixNano(), int64(a.Waited), int64(a.Queue), int64(a.Service), int64(a.Total), a.Bytes} {
		b = le.AppendUint64(b, uint64(n))
	}
	b = le.AppendUint16(b, uint16(a.Status))
	b = le.AppendUint16(b, uint16(min(a.Sent, 0xffff)))
	b = append(b, flagsOf(a))
	b = le.AppendUint16(b, a.Peer.Port())
	ip := a.Peer.Addr().As16()
	if !a.Peer.IsValid() {
		ip = [16]byte{}
	}
	b = append(b, ip[:]...)
	t := a.Trace
	b = append(append(append(append(append(b, t.ID[:]...), t.Parent[:]...), t.Span[:]...), t.Child[:]...), t.Flags)
	path := pathOf(a.Target)
	for _, text := range [...][]byte{a.Method, path, a.UserAgent, a.ID, a.Host, a.State} {
		b = append(le.AppendUint16(b, uint16(len(text))), text...)
	}
	b = append(le.AppendUint16(b, uint16(len(a.Cache))), a.Cache...)
	b = append(le.AppendUint16(b, uint16(len(a.Upstream))), a.Upstream...)
	le.PutUint32(b[begin:], uint32(len(b)-begin))
	return b
}

// pathOf is the path of a target, without the query, which may have secrets.
func pathOf(target []byte) []byte {
	path, _, _ := bytes.Cut(target, []byte("?"))
	if _, rest, absolute := bytes.Cut(path, []byte("://")); absolute && path[0] != '/' { // RFC 9112 §3.2.2
		if i := bytes.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
		return []byte("/")
	}
	return path
}

func flagsOf(a *accesslog.Entry) (flags byte) {
	for _, f := range [...]struct {
		is  bool
		bit byte
	}{{a.Complete, flagComplete}, {a.Secure, flagSecure}, {a.HTTP2, flagHTTP2}, {a.Minor == 0, flagHTTP10}, {a.Refreshes, flagRefreshes}} {
		if f.is {
			flags |= f.bit
		}
	}
	return flags
}

// reader takes a record apart.
type reader struct {
	b  []byte
	ok bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.ok = false
		return make([]byte, n)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) int64() int64 { return int64(binary.LittleEndian.Uint64(r.take(8))) }
func (r *reader) uint16() int  { return int(binary.LittleEndian.Uint16(r.take(2))) }

// read reads the record that p begins with, and returns what follows it. Its texts are views of p.
func (r *record) read(p []byte) (rest []byte, ok bool) {
	if len(p) < 4 {
		return nil, false
	}
	size := int(binary.LittleEndian.Uint32(p))
	if size < 4 || size > len(p) {
		return nil, false
	}
	in := reader{p[4:size], true}
	r.time = time.Unix(0, in.int64())
	r.waited = time.Duration(in.int64())
	r.queue, r.service, r.total = time.Duration(in.int64()), time.Duration(in.int64()), time.Duration(in.int64())
	r.bytes = in.int64()
	r.status, r.sent = in.uint16(), in.uint16()
	r.flags = in.take(1)[0]
	port := in.uint16()
	ip := netip.AddrFrom16([16]byte(in.take(16)))
	r.peer = netip.AddrPort{}
	if !ip.IsUnspecified() {
		r.peer = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	}
	r.trace.ID = [16]byte(in.take(16))
	r.trace.Parent, r.trace.Span, r.trace.Child = [8]byte(in.take(8)), [8]byte(in.take(8)), [8]byte(in.take(8))
	r.trace.Flags = in.take(1)[0]
	for _, to := range r.texts() {
		*to = in.take(in.uint16())
	}
	return p[size:], in.ok && len(in.b) == 0
}
