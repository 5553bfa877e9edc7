package engine

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"moonbridge/handler/accesslog"
	"moonbridge/httpparse"
)

// TraceFrom says whose traceparent fields are trusted.
type TraceFrom uint8

const (
	// TraceFromAny: everybody's.
	TraceFromAny TraceFrom = iota
	// TraceFromTrusted: those of peers that Limits.TrustedProxies trusts, if that is a *forwarded.Trusted or has its method Has.
	TraceFromTrusted
	// TraceFromNone: nobody's. Each request begins a trace.
	TraceFromNone
)

// Tracing gives each request whose head is valid its place in a trace (W3C Trace Context): httpparse.Head.Trace for the backend, and
// Access.Trace for the log, from which the program can make spans. The engine itself sends them nowhere.
type Tracing struct {
	From TraceFrom
	// Sample decides whether a trace is recorded. parent is the decision of whoever has sent the request, if that is trusted; begins
	// says that there is nobody. It is called on the loops. nil: what the parent has decided, and no trace that begins here.
	Sample func(id [16]byte, begins, parent bool) bool
	// Children gives each recorded exchange a second span, for what answers it: see accesslog.Trace.Child.
	Children bool
}

// peersTrusted is what an Identifier may implement for TraceFromTrusted.
type peersTrusted interface{ Has(peer netip.Addr) bool }

// tracer is what a loop has to trace requests. Without Options.Trace there is none.
type tracer struct {
	o      *Tracing
	random *rand.ChaCha8 // ids must not be guessable: they are the keys to what is recorded
}

func newTracer(o *Tracing) *tracer {
	if o == nil {
		return nil
	}
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	return &tracer{o, rand.NewChaCha8(seed)}
}

// traced is what a record knows of a trace. Its buffers are used again.
type traced struct {
	on       bool
	recorded bool // sampled, and with a child
	sent     int
	upstream string
	waited   time.Duration // for its body
	trace    accesslog.Trace
	text     []byte // httpparse.TraceText
	host     []byte
}

// clear makes it ready for another exchange.
func (d *traced) clear() { *d = traced{text: d.text[:0], host: d.host[:0]} }

// begin gives the exchange of a its place in a trace, and tells h. A head whose body was awaited comes twice: it keeps its place.
func (t *tracer) begin(a *accessRecord, h *httpparse.Head, s *service, peer netip.Addr) {
	d := &a.traced
	if !d.on {
		d.on = true
		t.place(d, h, s, peer)
		if d.recorded {
			a.At = time.Now() // the clock of records that are only counted does not follow the time of day
		}
	} else if d.recorded {
		d.waited = time.Since(a.At)
	}
	h.Trace = d.text
}

func (t *tracer) place(d *traced, h *httpparse.Head, s *service, peer netip.Addr) {
	parent, continues := t.parent(h, s, peer)
	tr := &d.trace
	tr.ID, tr.Parent, tr.Flags = parent.Trace, parent.Span, parent.Flags
	if !continues {
		t.fill(tr.ID[:8])
		t.fill(tr.ID[8:])
	}
	t.fill(tr.Span[:])
	if t.o.Sample != nil {
		tr.Flags &^= httpparse.TraceSampled
		if t.o.Sample(tr.ID, !continues, parent.Flags&httpparse.TraceSampled != 0) {
			tr.Flags |= httpparse.TraceSampled
		}
	}
	tr.Child = tr.Span
	if t.o.Children && tr.Sampled() {
		t.fill(tr.Child[:])
		d.recorded = true
		if i := h.Find("host", 0); i >= 0 {
			host := h.Value(h.Fields[i])
			d.host = append(d.host, host[:min(len(host), accesslog.HostMax)]...)
		}
	}
	d.text = tr.AppendText(d.text)
	if continues {
		d.text, _ = h.AppendTracestate(d.text)
	}
}

// parent is who has sent the request. continues is false if nobody says so, or nobody who is trusted: two fields are as good as none
// (TC §3.2.2).
func (t *tracer) parent(h *httpparse.Head, s *service, peer netip.Addr) (p httpparse.Traceparent, continues bool) {
	i := h.Find("traceparent", 0)
	switch {
	case i < 0 || h.Find("traceparent", i+1) >= 0:
		return p, false
	case t.o.From == TraceFromNone || t.o.From == TraceFromTrusted && !s.trusts(peer):
		return p, false
	}
	return httpparse.ParseTraceparent(h.Value(h.Fields[i]))
}

// trusts reports whether a peer is a trusted proxy.
func (s *service) trusts(peer netip.Addr) bool {
	p, ok := s.identifier.(peersTrusted)
	return ok && p.Has(peer)
}

// fill fills 8 bytes, which are not all zero.
func (t *tracer) fill(id []byte) {
	n := t.random.Uint64()
	for n == 0 {
		n = t.random.Uint64()
	}
	binary.NativeEndian.PutUint64(id, n)
}

// addTo sets what a log is told.
func (d *traced) addTo(e *Access) {
	if !d.on {
		return
	}
	e.Trace = &d.trace
	if len(d.host) > 0 {
		e.Host = d.host
	}
	e.Upstream, e.Sent, e.Waited = d.upstream, d.sent, d.waited
	e.State = httpparse.TraceText(d.text).Tracestate()
}
