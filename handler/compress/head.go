package compress

import (
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// asked is what of a request matters for its response.
type asked struct {
	coding  httpparse.Coding // the best that the client accepts; Identity: none
	must    bool             // the client refuses identity
	isHead  bool
	minor   uint8
	timed   bool   // there is a log that wants to know times
	noMatch []byte // value of If-None-Match, a copy; only if the client accepts a coding
}

// Codings are all codings that a Backend encodes and a Decoder decodes.
var Codings = httpparse.CodingsOf(httpparse.Gzip, httpparse.Brotli, httpparse.Zstd)

func (a *asked) of(h *httpparse.Head) {
	accepted := h.AcceptedCodings()
	*a = asked{
		coding: accepted.Best(Codings), isHead: h.IsHead, minor: h.Minor, timed: h.Timed(),
	}
	a.must = accepted.Refuses(httpparse.Identity)
	if a.coding == httpparse.Identity {
		return
	}
	for i := h.Find("if-none-match", 0); i >= 0; i = h.Find("if-none-match", i+1) {
		a.noMatch = append(append(a.noMatch, h.Value(h.Fields[i])...), ',')
	}
}

// verdict is what happens to a response.
type verdict uint8

const (
	leave  verdict = iota // it is sent as it is
	vary                  // it gets a Vary field: another client would get it compressed, or might
	weaken                // it is a 304 for a response that was compressed
	encode                // it is compressed
)

// judge decides what happens to the response with the head h, before anything is known of its body but its length.
func (r *rules) judge(h *httpparse.ResponseHead, a *asked) verdict {
	if h.Status == 304 {
		return r.judge304(h, a)
	}
	switch {
	case !encodable(h.Status), has(h, "content-encoding"), has(h, "content-range"), has(h, "trailer"), digested(h),
		rangeable(h), noTransform(h):
		return leave
	}
	i := h.Find("content-type", 0)
	if i < 0 || !r.compressible(h.Value(h.Fields[i])) {
		return leave
	}
	small := h.ContentLength < r.minBytes && !a.must
	switch {
	case h.ContentLength == 0 || h.ContentLength > 0 && small:
		return leave
	case a.coding == httpparse.Identity:
		return vary
	}
	return encode
}

// encodable reports whether a response with this status has a body that is a representation, or an explanation: not 204, 205,
// 206, 226 or 3xx.
func encodable(status int) bool {
	switch status {
	case 204, 205, 206, 226:
		return false
	}
	return status >= 200 && status < 300 || status >= 400 && status < 600
}

// judge304 decides about a 304. It has the Vary field that the response with the body would have (RFC 9110 §15.4.5). Most have no
// type that would tell whether that is compressed: then it has the field, since caches that do not learn of it could give a
// coding to a client that does not know it.
func (r *rules) judge304(h *httpparse.ResponseHead, a *asked) verdict {
	switch i := h.Find("content-type", 0); {
	case a.hasCompressed(h):
		return weaken
	case has(h, "content-encoding"), rangeable(h), noTransform(h), i >= 0 && !r.compressible(h.Value(h.Fields[i])):
		return leave
	}
	return vary
}

// hasCompressed recognises a client that has the compressed form, by the weak entity tag that it was given. A cache
// would not find what it has by the strong one (RFC 9111 §4.3.4).
func (a *asked) hasCompressed(h *httpparse.ResponseHead) bool {
	i := h.Find("etag", 0)
	if i < 0 || len(a.noMatch) == 0 {
		return false
	}
	tag := h.Value(h.Fields[i])
	if weak(tag) {
		return false
	}
	found := false
	for e := range httpparse.Elements(a.noMatch) {
		if string(e) == string(tag) {
			return false
		}
		found = found || weak(e) && string(e[2:]) == string(tag)
	}
	return found
}

// weak reports whether an entity tag is a weak one (RFC 9110 §8.8.3).
func weak(tag []byte) bool { return len(tag) > 2 && tag[0] == 'W' && tag[1] == '/' }

func has(h *httpparse.ResponseHead, name string) bool { return h.Find(name, 0) >= 0 }

// digested reports whether the response has a digest of its content (RFC 9530, or older), which would be wrong afterwards.
func digested(h *httpparse.ResponseHead) bool {
	return has(h, "content-digest") || has(h, "repr-digest") || has(h, "digest") || has(h, "content-md5")
}

// rangeable reports whether the client may ask for ranges of the response. They would be ranges of the form that is not
// compressed.
func rangeable(h *httpparse.ResponseHead) bool {
	i := h.Find("accept-ranges", 0)
	return i >= 0 && !httpparse.EqualFold(h.Value(h.Fields[i]), "none")
}

// noTransform reports whether the handler forbids it (RFC 9111 §5.2.2.6).
func noTransform(h *httpparse.ResponseHead) bool { return lists(h, "cache-control", "no-transform") }

// varies reports whether the response says already that it depends on Accept-Encoding (RFC 9110 §12.5.5).
func varies(h *httpparse.ResponseHead) bool {
	return lists(h, "vary", "accept-encoding") || lists(h, "vary", "*")
}

// lists reports whether an element of the field is the word.
func lists(h *httpparse.ResponseHead, name, word string) bool {
	for i := h.Find(name, 0); i >= 0; i = h.Find(name, i+1) {
		for e := range httpparse.Elements(h.Value(h.Fields[i])) {
			if httpparse.EqualFold(e, word) {
				return true
			}
		}
	}
	return false
}

const varyLine = "Vary: Accept-Encoding\r\n"

// appendVarying appends the head with a Vary field, and otherwise as it is.
func appendVarying(dst []byte, h *httpparse.ResponseHead) []byte {
	dst = append(dst, h.Raw...)
	if !varies(h) {
		dst = append(dst, varyLine...)
	}
	return append(dst, "\r\n"...)
}

// appendWeakened appends the head of a 304 with a weak entity tag.
func appendWeakened(dst []byte, h *httpparse.ResponseHead) []byte {
	dst = append(dst, h.Raw[:h.Lines]...)
	for i := range h.Fields {
		dst = appendWeakTag(dst, h, i)
	}
	if !varies(h) {
		dst = append(dst, varyLine...)
	}
	return append(dst, "\r\n"...)
}

// appendEncoded appends the head of the response in this coding, without what says where the body ends, and without the empty
// line. closes: it is to say that the connection will be closed.
func appendEncoded(dst []byte, h *httpparse.ResponseHead, c httpparse.Coding, closes bool) []byte {
	dst = append(dst, h.Raw[:h.Lines]...)
	for i, f := range h.Fields {
		if name := h.Name(f); !frames(name) && !httpparse.EqualFold(name, "accept-ranges") && !(closes && connects(name)) {
			dst = appendWeakTag(dst, h, i)
		}
	}
	if closes {
		dst = append(dst, "Connection: close\r\n"...)
	}
	if !varies(h) {
		dst = append(dst, varyLine...)
	}
	return httpwrite.AppendField(dst, "Content-Encoding", c.String())
}

// appendPlain appends the head of the response as it is sent when compression has gained nothing, in the form of
// appendEncoded.
func appendPlain(dst []byte, h *httpparse.ResponseHead) []byte {
	dst = append(dst, h.Raw[:h.Lines]...)
	for i, f := range h.Fields {
		if !frames(h.Name(f)) {
			dst = append(dst, h.Line(i)...)
		}
	}
	if !varies(h) {
		dst = append(dst, varyLine...)
	}
	return dst
}

// appendWeakTag appends the i-th line. A strong entity tag becomes a weak one, since the bytes are others (RFC 9110 §8.8.3).
func appendWeakTag(dst []byte, h *httpparse.ResponseHead, i int) []byte {
	f := h.Fields[i]
	if value := h.Value(f); httpparse.EqualFold(h.Name(f), "etag") && !weak(value) {
		return httpwrite.AppendField(dst, "ETag", "W/"+string(value))
	}
	return append(dst, h.Line(i)...)
}

// frames reports whether a field says where the body ends.
func frames(name []byte) bool {
	return httpparse.EqualFold(name, "content-length") || httpparse.EqualFold(name, "transfer-encoding")
}

func connects(name []byte) bool {
	return httpparse.EqualFold(name, "connection") || httpparse.EqualFold(name, "keep-alive")
}
