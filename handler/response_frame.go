package handler

import (
	"strconv"

	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
)

// seal makes of what the part holds what goes on the wire: the head, unless it was built before, and the framing of the
// body. last says that nothing follows.
func (w *Response) seal(last bool) {
	if !w.headOut {
		w.buildHead(last)
	}
	n := len(w.data) - w.base
	switch {
	case w.isHead || httpwrite.Bodiless(w.status):
		w.data = w.data[:w.base]
	case w.chunked:
		// RFC 9112 §7.1. A chunk of size 0 would end the body.
		if n > 0 {
			w.prefix = strconv.AppendInt(w.prefix, int64(n), 16)
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

// buildHead appends the head to the prefix. whole says that the part holds the whole body.
func (w *Response) buildHead(whole bool) {
	w.status = w.statusOr200()
	if w.sniff != nil && len(w.data) > w.base && !httpwrite.Bodiless(w.status) {
		w.fields = httpwrite.AppendField(w.fields, "Content-Type", w.sniff(w.data[w.base:]))
	}
	length, delimited := w.framing(whole)
	persistent := w.persistent && !w.close && delimited
	if persistent && whole && w.out.unread() {
		// The engine will close rather than read it, so the peer should know (RFC 9112 §9.6).
		persistent = false
	}
	h := httpwrite.Head{
		Status:    w.status,
		Fields:    w.fields,
		Length:    length,
		Close:     !persistent,
		KeepAlive: persistent && w.minor == 0,
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

// framing decides how the length of the body is told (RFC 9112 §6). delimited is false if only the end of the connection
// ends it.
func (w *Response) framing(whole bool) (length int64, delimited bool) {
	switch {
	case w.status == 205:
		return 0, true // RFC 9110 §15.3.6
	case w.status == 204:
		return httpwrite.LengthNone, true // RFC 9110 §8.6: must not be there
	case w.status == 304, w.length >= 0:
		return max(w.length, httpwrite.LengthNone), true
	case whole && w.isHead && w.written == 0:
		// The handler has left out the body, so its length is not known (RFC 9110 §8.6).
		return httpwrite.LengthNone, true
	case whole && (len(w.trailers) == 0 || w.minor == 0):
		return w.written, true
	case w.minor > 0:
		return httpwrite.LengthChunked, true
	}
	return httpwrite.LengthNone, w.isHead
}

// finish ends a response whose handler has returned: what remains is sealed, and w takes nothing more. It returns false
// if the body is not what the head has promised or would have to; then there is nothing to send.
func (w *Response) finish() bool {
	w.ended = true
	if w.broken || w.short() {
		return false
	}
	w.seal(true)
	return true
}

// short says that the body has not reached the Content-Length that was set.
func (w *Response) short() bool {
	return w.length > w.written && !w.isHead && !httpwrite.Bodiless(w.statusOr200())
}
