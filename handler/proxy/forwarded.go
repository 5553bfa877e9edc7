package proxy

import (
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// aboutClient reports whether a field says something of a client that a proxy before this one has seen.
func aboutClient(name []byte) bool {
	switch len(name) {
	case len("Forwarded"):
		return httpparse.EqualFold(name, "forwarded") || httpparse.EqualFold(name, "x-real-ip")
	case len("X-Forwarded-For"):
		return httpparse.EqualFold(name, "x-forwarded-for")
	case len("X-Forwarded-Host"):
		return httpparse.EqualFold(name, "x-forwarded-host") || httpparse.EqualFold(name, "x-forwarded-port")
	case len("X-Forwarded-Proto"):
		return httpparse.EqualFold(name, "x-forwarded-proto")
	case len("X-Forwarded-Prefix"):
		return httpparse.EqualFold(name, "x-forwarded-prefix")
	}
	return false
}

// passesForwarded reports whether such a field is passed on as it is. Our client's address is put at the end of the last line of
// X-Forwarded-For, so all lines are collected; the other fields are kept. Connection cannot name them: they are for the target (RFC 9110
// §7.6.1), which would take the proxy before this one for the client. Many proxies pass on what a client has put into Connection.
func (f *facts) passesForwarded(h *httpparse.Head, field httpparse.Field, name []byte) bool {
	if !f.trusted {
		return false
	}
	value := h.Value(field)
	switch {
	case httpparse.EqualFold(name, "x-forwarded-for"):
		f.for_ = appendElement(f.for_, value)
		return false
	case httpparse.EqualFold(name, "forwarded"):
		f.forwarded = appendElement(f.forwarded, value)
		return false
	case httpparse.EqualFold(name, "x-forwarded-proto"):
		f.proto = true
	case httpparse.EqualFold(name, "x-forwarded-host"):
		f.host = true
	}
	return true
}

func appendElement(list, value []byte) []byte {
	if len(value) == 0 {
		return list
	}
	if len(list) > 0 {
		list = append(list, ", "...)
	}
	return append(list, value...)
}

// appendForwarded appends what targets are told of the client. What Config.Edit has set or dropped stays so.
func (e *exchange) appendForwarded(out []byte, f *facts, host []byte) []byte {
	edits := &e.request.edits
	_, remote := e.x.Addrs()
	ip := remote.Addr()
	if (ip.IsValid() || len(f.for_) > 0) && !edits.decides("X-Forwarded-For") {
		out = append(out, "X-Forwarded-For: "...)
		if out = append(out, f.for_...); ip.IsValid() {
			if len(f.for_) > 0 {
				out = append(out, ", "...)
			}
			out = ip.AppendTo(out)
		}
		out = append(out, "\r\n"...)
	}
	if !f.proto && !edits.decides("X-Forwarded-Proto") {
		out = httpwrite.AppendField(out, "X-Forwarded-Proto", f.scheme)
	}
	if !f.host && len(host) > 0 && !edits.decides("X-Forwarded-Host") {
		out = httpwrite.AppendField(out, "X-Forwarded-Host", host)
	}
	if (e.l.config.Forward.Forwarded || len(f.forwarded) > 0) && !edits.decides("Forwarded") {
		out = e.appendRFC7239(out, f, host)
	}
	return out
}

// appendRFC7239 appends Forwarded, with an element for our client.
func (e *exchange) appendRFC7239(out []byte, f *facts, host []byte) []byte {
	out = append(out, "Forwarded: "...)
	if len(f.forwarded) > 0 {
		out = append(append(out, f.forwarded...), ", "...)
	}
	_, remote := e.x.Addrs()
	switch ip := remote.Addr(); {
	case !ip.IsValid():
		out = append(out, "for=unknown"...)
	case ip.Is4():
		out = ip.AppendTo(append(out, "for="...))
	default: // RFC 7239 §6: in brackets, and quoted because of them
		out = append(ip.AppendTo(append(out, `for="[`...)), `]"`...)
	}
	if len(host) > 0 {
		out = append(append(append(out, `;host="`...), host...), '"') // a valid authority has no quotes and no backslash
	}
	out = append(append(out, ";proto="...), f.scheme...)
	return append(out, "\r\n"...)
}
