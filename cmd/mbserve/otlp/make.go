package otlp

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// ids gives the spans that are made the ids that their exchanges have.
type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs implements sdktrace.IDGenerator, for a trace that begins.
func (i *ids) NewIDs(context.Context) (trace.TraceID, trace.SpanID) { return i.trace, i.span }

// NewSpanID implements sdktrace.IDGenerator.
func (i *ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return i.span }

// maker makes spans of records.
type maker struct {
	tracer trace.Tracer
	ids    *ids
	kv     []attribute.KeyValue // room that is used again: spans copy what they are given
}

// make makes the span of an exchange, and, if something has answered it, one for the time that it waited for that and one for the
// answer.
func (m *maker) make(r *record) {
	ctx := context.Background()
	if r.trace.Parent != [8]byte{} {
		state, _ := trace.ParseTraceState(string(r.state)) // what it does not take is passed on, but not shown
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: r.trace.ID, SpanID: r.trace.Parent, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
		}))
	}
	m.ids.trace, m.ids.span = r.trace.ID, r.trace.Span
	method, name := methodOf(r)
	ctx, server := m.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(r.time))
	m.kv = appendAttributes(m.kv[:0], r, method)
	if kind := errorType(r); kind != "" {
		m.kv = append(m.kv, attribute.String("error.type", kind))
		server.SetStatus(codes.Error, "")
	}
	server.SetAttributes(m.kv...)
	if r.queue >= 0 {
		m.child(ctx, "queue", trace.SpanID{}, trace.SpanKindInternal, r.time.Add(r.waited), r.queue)
	}
	switch {
	case r.service >= 0:
		m.service(ctx, r, method, name)
	case r.flags&flagRefreshes != 0:
		m.child(ctx, "refresh", r.trace.Child, trace.SpanKindInternal, r.time, 0) // the parent of what the handler asks of others; when it ends is not known yet
	}
	server.End(trace.WithTimestamp(r.time.Add(r.total)))
}

// child makes a span within that of an exchange. Without an id it gets one.
func (m *maker) child(ctx context.Context, name string, id trace.SpanID, kind trace.SpanKind, at time.Time, d time.Duration, kv ...attribute.KeyValue) {
	for !id.IsValid() {
		n := rand.Uint64()
		for i := range id {
			id[i] = byte(n >> (8 * i))
		}
	}
	m.ids.span = id
	_, span := m.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(at))
	span.SetAttributes(kv...)
	span.End(trace.WithTimestamp(at.Add(d)))
}

// service makes the span of what has answered: a worker, or the server that the request was passed on to.
func (m *maker) service(ctx context.Context, r *record, method, name string) {
	at := r.time.Add(r.waited + max(r.queue, 0))
	if len(r.target) == 0 {
		m.child(ctx, "service", r.trace.Child, trace.SpanKindInternal, at, r.service)
		return
	}
	kv := addressAttributes(m.kv[:0], "server", text(r.target))
	kv = append(kv, attribute.String("http.request.method", method))
	if r.status > 0 && r.status != statusClientGone && r.sent > 0 {
		kv = append(kv, attribute.Int("http.response.status_code", r.status))
	}
	if r.sent > 1 {
		kv = append(kv, attribute.Int("http.request.resend_count", r.sent-1))
	}
	m.child(ctx, name, r.trace.Child, trace.SpanKindClient, at, r.service, kv...)
	m.kv = kv
}

// methods are those that the conventions know. Names of spans must be few.
var methods = map[string]bool{
	"GET": true, "HEAD": true, "POST": true, "PUT": true, "DELETE": true, "CONNECT": true, "OPTIONS": true, "TRACE": true, "PATCH": true, "QUERY": true,
}

// methodOf is the method as an attribute, and the name of the span.
func methodOf(r *record) (method, name string) {
	if methods[string(r.method)] {
		return string(r.method), string(r.method)
	}
	return "_OTHER", "HTTP"
}

// statusClientGone is a status of the access log for requests whose clients had gone: there was no response.
const statusClientGone = 499

// errorType says how the exchange has failed; "": it has not, or the client is at fault.
func errorType(r *record) string {
	switch {
	case r.status == statusClientGone:
		return "client_gone"
	case r.status == 0:
		return "no_response"
	case r.status >= 500:
		return strconv.Itoa(r.status)
	case r.flags&flagComplete == 0:
		return "incomplete"
	}
	return ""
}

// appendAttributes appends those of the semantic conventions for HTTP servers, as far as they are known, and some of our own. The query is not
// among them: it may have secrets.
func appendAttributes(kv []attribute.KeyValue, r *record, method string) []attribute.KeyValue {
	scheme, version := "http", "1.1"
	if r.flags&flagSecure != 0 {
		scheme = "https"
	}
	switch {
	case r.flags&flagHTTP2 != 0:
		version = "2"
	case r.flags&flagHTTP10 != 0:
		version = "1.0"
	}
	kv = append(kv, attribute.String("http.request.method", method), attribute.String("url.path", text(r.path)),
		attribute.String("url.scheme", scheme), attribute.String("network.protocol.name", "http"), attribute.String("network.protocol.version", version),
		attribute.Int64("http.response.body.size", r.bytes), attribute.String("moonbridge.request_id", text(r.id)))
	if method == "_OTHER" {
		kv = append(kv, attribute.String("http.request.method_original", text(r.method)))
	}
	if r.status > 0 && r.status != statusClientGone {
		kv = append(kv, attribute.Int("http.response.status_code", r.status))
	}
	if r.peer.IsValid() {
		kv = append(kv, attribute.String("client.address", r.peer.Addr().String()))
		if r.peer.Port() > 0 {
			kv = append(kv, attribute.Int("client.port", int(r.peer.Port())))
		}
	}
	kv = addressAttributes(kv, "server", text(r.host))
	if len(r.agent) > 0 {
		kv = append(kv, attribute.String("user_agent.original", text(r.agent)))
	}
	if len(r.cache) > 0 {
		kv = append(kv, attribute.String("moonbridge.cache", string(r.cache)))
	}
	return kv
}

// addressAttributes appends what a host and perhaps a port are.
func addressAttributes(kv []attribute.KeyValue, whose, address string) []attribute.KeyValue {
	if address == "" {
		return kv
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), ""
	}
	kv = append(kv, attribute.String(whose+".address", host))
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		kv = append(kv, attribute.Int(whose+".port", int(n)))
	}
	return kv
}

// text is what a peer has sent, as protobuf can have it.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
