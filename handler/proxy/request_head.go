package proxy

import (
	"bytes"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// buildHead makes the head that is sent to the target, in e.out.
func (e *exchange) buildHead(h *httpparse.Head) error {
	if err := e.l.hop.Reset(h.Raw, h.Fields); err != nil {
		return ErrHead
	}
	left, err := e.forwards(h)
	if err != nil {
		return err
	}
	q := &e.request
	out := append(e.out[:0], h.Bytes(h.Method)...)
	out = append(out, ' ')
	if q.target != nil {
		out = append(out, q.target...)
	} else {
		out = appendTarget(out, h)
	}
	out = append(out, " HTTP/1.1\r\n"...)
	e.lineLen, e.hostAt = len(out)-2, len(out)
	host := clientHost(h)
	if line := e.hostLine(host); line != nil {
		out = httpwrite.AppendField(out, "Host", line)
		e.hostAt = -1
	}
	f := facts{trusted: e.trusted(), counted: left >= 0}
	out = e.appendFields(out, h, &f)
	out = append(out, q.edits.lines...)
	out = e.appendTrace(out, h)
	if !e.l.config.Forward.None {
		f.scheme = e.scheme(h)
		out = e.appendForwarded(out, &f, host)
	}
	if via := e.l.config.Via; via != "" && !q.edits.decides("Via") {
		out = append(append(appendVersion(append(out, "Via: "...), h), ' '), via...)
		out = append(out, "\r\n"...)
	}
	if left >= 0 {
		out = httpwrite.AppendNumber(out, "Max-Forwards", left)
	}
	out = e.appendFraming(out, h)
	out = e.appendConnection(out, h, &f)
	e.out = append(out, "\r\n"...)
	e.headLen = len(e.out)
	return nil
}

// appendVersion appends the version of HTTP that the client has used (RFC 9110 §7.6.3).
func appendVersion(out []byte, h *httpparse.Head) []byte {
	if h.HTTP2 {
		return append(out, '2', '.', '0')
	}
	return append(out, '1', '.', '0'+h.Minor)
}

// appendTarget appends the target in origin form, or * (RFC 9112 §3.2).
func appendTarget(out []byte, h *httpparse.Head) []byte {
	target := h.Bytes(h.Target)
	switch {
	case h.Asterisk:
		return append(out, '*')
	case target[0] == '/':
		return append(out, target...)
	}
	out = append(append(out, '/'), h.Bytes(h.Path)...)
	return append(out, h.Bytes(h.Query)...)
}

// clientHost is the host that the client has sent, or nil. For an absolute target, the parser has put its authority there.
func clientHost(h *httpparse.Head) []byte {
	if i := h.Find("host", 0); i >= 0 {
		return h.Value(h.Fields[i])
	}
	return nil
}

// hostLine is the value of Host, or nil if it is the address of the target, which is not known yet.
func (e *exchange) hostLine(client []byte) []byte {
	switch {
	case e.request.host != "":
		return []byte(e.request.host)
	case e.l.config.Host == HostTarget || len(client) == 0:
		return nil
	}
	return client
}

// facts are what fields say that concern this side of the proxy.
type facts struct {
	trusted  bool // the client is a proxy that may be trusted
	trailers bool // TE: trailers
	counted  bool // Max-Forwards is not passed on as it is
	scheme   string

	// What a trusted client has sent.
	proto, host bool   // X-Forwarded-Proto, X-Forwarded-Host
	for_        []byte // X-Forwarded-For, all lines
	forwarded   []byte // Forwarded, all lines
}

// appendFields appends the fields of the client that are passed on. Mostly these are long runs of lines, which are copied whole.
func (e *exchange) appendFields(out []byte, h *httpparse.Head, f *facts) []byte {
	from := -1 // start of a run
	for i := range h.Fields {
		field := h.Fields[i]
		if e.passes(h, field, f) {
			if from < 0 {
				from = int(field.NameOff)
			}
			continue
		}
		if from >= 0 {
			out = append(out, h.Raw[from:field.NameOff]...)
			from = -1
		}
	}
	if from >= 0 {
		out = append(out, h.Raw[from:]...)
	}
	return out
}

// passes reports whether a field of the client is passed on as it is.
func (e *exchange) passes(h *httpparse.Head, field httpparse.Field, f *facts) bool {
	name := h.Name(field)
	c := e.l.config
	switch len(name) {
	case len("TE"):
		if httpparse.EqualFold(name, "te") {
			f.trailers = f.trailers || listHas(h.Value(field), "trailers")
			return false
		}
	case len("Host"):
		if httpparse.EqualFold(name, "host") {
			return false
		}
	case len("Expect"):
		if httpparse.EqualFold(name, "expect") {
			return false
		}
	case len("Max-Forwards"):
		if f.counted && httpparse.EqualFold(name, "max-forwards") {
			return false
		}
	case len("Trailer"):
		if httpparse.EqualFold(name, "trailer") {
			return e.chunked
		}
	case len("traceparent"):
		if len(h.Trace) > 0 && httpparse.EqualFold(name, "traceparent") {
			return false
		}
	case len("tracestate"):
		if len(h.Trace) > 0 && httpparse.EqualFold(name, "tracestate") {
			return false
		}
	case len("Content-Length"):
		if httpparse.EqualFold(name, "content-length") {
			return false
		}
	}
	if len(e.request.edits.names) > 0 && e.request.edits.drops(name) {
		return false
	}
	if !c.Forward.None && aboutClient(name) {
		return f.passesForwarded(h, field, name) // whatever Connection names: see there
	}
	return !e.l.hop.Drop(name) && (c.Underscores || bytes.IndexByte(name, '_') < 0)
}

// listHas reports whether a comma-separated value has an element, whatever its parameters.
func listHas(value []byte, want string) bool {
	for element := range httpparse.Elements(value) {
		element, _, _ = bytes.Cut(element, []byte(";"))
		if httpparse.EqualFold(httpparse.TrimBlanks(element), want) {
			return true
		}
	}
	return false
}

// appendTrace appends the place of the request in its trace, if the engine traces it. Otherwise the fields of the client are passed on,
// as a participant does that does not take part (https://www.w3.org/TR/trace-context/ §3.4). What Config.Edit has set stays.
func (e *exchange) appendTrace(out []byte, h *httpparse.Head) []byte {
	if len(h.Trace) == 0 {
		return out
	}
	edits := &e.request.edits
	if !edits.drops([]byte("traceparent")) {
		out = append(append(append(out, "traceparent: "...), h.Trace.Traceparent()...), "\r\n"...)
	}
	if state := h.Trace.Tracestate(); state != nil && !edits.drops([]byte("tracestate")) {
		out = append(append(append(out, "tracestate: "...), state...), "\r\n"...)
	}
	return out
}

// appendFraming appends what says where the body ends. It is not copied from the client, so that the target cannot understand it
// differently from us.
func (e *exchange) appendFraming(out []byte, h *httpparse.Head) []byte {
	switch {
	case e.chunked:
		return append(out, "Transfer-Encoding: chunked\r\n"...)
	case h.Chunked || h.ContentLength > 0 || h.Find("content-length", 0) >= 0:
		return httpwrite.AppendNumber(out, "Content-Length", e.length)
	}
	return out
}

// appendConnection appends the fields about the connection to the target.
func (e *exchange) appendConnection(out []byte, h *httpparse.Head, f *facts) []byte {
	e.trailers = f.trailers && h.Minor > 0
	e.upgrade = e.asksUpgrade(h)
	switch {
	case e.upgrade != "" && e.trailers:
		out = append(out, "Connection: upgrade, TE\r\nTE: trailers\r\n"...)
	case e.upgrade != "":
		out = append(out, "Connection: upgrade\r\n"...)
	case e.trailers:
		out = append(out, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	if e.upgrade != "" {
		out = httpwrite.AppendField(out, "Upgrade", e.upgrade)
	}
	if e.expect && e.l.config.PassExpect {
		out = append(out, "Expect: 100-continue\r\n"...)
	}
	return out
}

// asksUpgrade returns the protocol that the client asks for, if it may: exactly one, in a request of HTTP/1.1.
func (e *exchange) asksUpgrade(h *httpparse.Head) string {
	if !h.Upgrade || h.Minor == 0 || len(e.l.config.Upgrade) == 0 {
		return ""
	}
	i := h.Find("upgrade", 0)
	if i < 0 || h.Find("upgrade", i+1) >= 0 {
		return ""
	}
	value := h.Value(h.Fields[i])
	for _, name := range e.l.config.Upgrade {
		if httpparse.EqualFold(value, name) {
			return name
		}
	}
	return ""
}

// trusted reports whether the client is a proxy whose fields count.
func (e *exchange) trusted() bool {
	list := e.l.config.Forward.Trusted
	if list == nil {
		return false
	}
	_, remote := e.x.Addrs()
	return list.Has(remote.Addr())
}

// scheme is the scheme that the client uses.
func (e *exchange) scheme(h *httpparse.Head) string {
	switch {
	case e.l.config.Forward.Proto != "":
		return e.l.config.Forward.Proto
	case h.Secure || backend.TLSOf(e.x) != nil:
		return "https"
	}
	return "http"
}
