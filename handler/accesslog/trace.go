package accesslog

import "moonbridge/httpparse"

// Trace says which trace an exchange belongs to (W3C Trace Context).
type Trace struct {
	ID     [16]byte // of the trace
	Parent [8]byte  // the span that has sent the request; zero: the trace begins with it
	Span   [8]byte  // of the exchange
	// Child is the span of whoever answers, and so the parent of what that sends itself: a child of Span if Tracing.Children is set and
	// the trace is recorded, otherwise Span.
	Child [8]byte
	Flags byte // httpparse.TraceSampled: it is recorded; httpparse.TraceRandom
}

// Sampled reports whether the trace is recorded.
func (t *Trace) Sampled() bool { return t.Flags&httpparse.TraceSampled != 0 }

// AppendText appends what the handler is told, without a tracestate: see httpparse.TraceText.
func (t *Trace) AppendText(to []byte) []byte {
	p := httpparse.Traceparent{Trace: t.ID, Span: t.Child, Flags: t.Flags}
	return p.Append(to)
}
