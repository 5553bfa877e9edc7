package handler

import (
	"strconv"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// seal prepares the part for the wire: it adds the head, unless that has been built before, and the framing of the
// body. last means that nothing follows.
func (w *Response) seal(last bool) {
	if !w.headOut {
		w.buildHead(last)
	}
	n := int64(len(w.data)-w.base) + w.fileBytes()
	switch {
	case w.isHead || httpwrite.Bodiless(w.status):
		w.data = w.data[:w.base]
		w.dropFiles()
	case w.chunked:
		// RFC 9112 §7.1. A chunk of size 0 would end the body.
		if n > 0 {
			w.prefix = strconv.AppendInt(w.prefix, n, 16)
			w.prefix = append(w.prefix, "\r\n"...)
			w.data = append(w.data, "\r\n"...)
		}
		if last {
			w.data = append(w.data, "0\r\n"...)
			w.data = append(w.data, w.trailers...)
			w.data = append(w.data, "\r\n"...)
		}
	}
}

// buildHead appends the head to the prefix. whole means that the part holds the whole body.
func (w *Response) buildHead(whole bool) {
	w.status = w.statusOr200()
	if w.sniff != nil && len(w.data) > w.base && !httpwrite.Bodiless(w.status) {
		w.fields = httpwrite.AppendField(w.fields, "Content-Type", w.sniff(w.data[w.base:]))
	}
	length, delimited := w.framing(whole)
	persistent := w.persistent && !w.close && delimited
	if persistent && whole && w.out.unread() {
		// The engine will close the connection rather than read the rest of the body, so the peer should be told (RFC
		// 9112 §9.6).
		persistent = false
	}
	h := httpwrite.Head{
		Status:    w.status,
		Fields:    w.fields,
		Length:    length,
		Close:     !persistent,
		KeepAlive: persistent && w.minor == 0,
		Upgrade:   w.upgrade && w.has("Upgrade"), // RFC 9110 §7.8: an option without its field says nothing
	}
	if !w.dated {
		h.Date = w.out.date()
	}
	w.prefix = h.Append(w.prefix)
	w.headOut = true
	w.chunked = length == httpwrite.LengthChunked
	if !persistent {
		w.end = backend.EndClose
	}
}

// framing decides how the length of the body is stated (RFC 9112 §6). delimited is false if the body ends only with the
// connection.
func (w *Response) framing(whole bool) (length int64, delimited bool) {
	switch {
	case w.tunnels():
		return httpwrite.LengthNone, false
	case w.status == 205:
		return 0, true // RFC 9110 §15.3.6
	case w.status == 204:
		return httpwrite.LengthNone, true // RFC 9110 §8.6: must not be sent
	case w.status == 304, w.length >= 0:
		return max(w.length, httpwrite.LengthNone), true
	case whole && w.isHead && w.written == 0:
		// The handler has omitted the body, so its length is not known (RFC 9110 §8.6).
		return httpwrite.LengthNone, true
	case whole && (len(w.trailers) == 0 || w.minor == 0):
		return w.written, true
	case w.minor > 0:
		return httpwrite.LengthChunked, true
	}
	return httpwrite.LengthNone, w.isHead
}

// tunnels reports whether the response makes a tunnel of the connection. Its head must not state a length (RFC 9110 §9.3.6).
func (w *Response) tunnels() bool { return w.connect && w.status/100 == 2 }

// finish ends a response whose handler has returned: it seals the rest, and w accepts nothing more. It returns false if
// the body is incomplete or does not match its Content-Length; there is then nothing to send.
func (w *Response) finish() bool {
	w.ended = true
	if w.fault != "" || w.short() {
		return false
	}
	w.seal(true)
	return true
}

// has reports whether a field was added. It is not meant for those that the server sends itself.
func (w *Response) has(name string) bool { return httpparse.HasField(w.fields, name) }

// whole reports whether the client has the whole response once what is sealed is sent, whatever the handler still does.
func (w *Response) whole() bool {
	return w.headOut && (w.isHead || httpwrite.Bodiless(w.status) || w.length >= 0 && w.written == w.length)
}

// short reports whether the body is shorter than the Content-Length that was set.
func (w *Response) short() bool {
	return w.length > w.written && !w.isHead && !httpwrite.Bodiless(w.statusOr200())
}
