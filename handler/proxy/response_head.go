package proxy

import (
	"bytes"
	"strconv"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// buildResponse makes the head of the final response for the client, in room of the loop.
func (e *exchange) buildResponse(r *httpparse.Response, p *Response) []byte {
	h := &r.ResponseHead
	out, dated := e.appendResponseFields(appendStatusLine(e.l.head[:0], h), h, p)
	out = append(out, p.edits.lines...)
	if !dated && !p.edits.sets("Date") {
		out = httpwrite.AppendField(out, "Date", e.l.date.At(e.l.Now()))
	}
	out = e.appendResponseFraming(out, r)
	switch {
	case e.end != backend.EndKeep:
		out = append(out, "Connection: close\r\n"...)
	case e.http10:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	out = append(out, "\r\n"...)
	e.l.head = out
	return out
}

// appendStatusLine appends the status line, with our version (RFC 9110 §6.2) and the reason phrase of the target.
func appendStatusLine(out []byte, h *httpparse.ResponseHead) []byte {
	const status = len("HTTP/1.1 ")
	out = append(out, "HTTP/1.1 "...)
	out = append(out, h.Raw[status:status+3]...)
	out = append(out, ' ') // a target may have left it out
	out = append(out, h.Raw[h.Reason.Off:h.Reason.Off+h.Reason.Len]...)
	return append(out, "\r\n"...)
}

// appendResponseFields appends the fields that are passed on, in runs. dated: Date is among them.
func (e *exchange) appendResponseFields(out []byte, h *httpparse.ResponseHead, p *Response) (_ []byte, dated bool) {
	hop := &e.l.hop // of this head: see readHead
	from := -1
	for i := range h.Fields {
		field := h.Fields[i]
		name := h.Name(field)
		if e.passesBack(h, field, name) && !hop.Drop(name) && !(p != nil && len(p.edits.names) > 0 && p.edits.drops(name)) {
			if from < 0 {
				from = int(field.NameOff)
			}
			dated = dated || len(name) == len("Date") && httpparse.EqualFold(name, "date")
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
	return out, dated
}

// passesBack reports whether a field that is no hop-by-hop field is passed on to the client, and notes what Keep-Alive says.
func (e *exchange) passesBack(h *httpparse.ResponseHead, field httpparse.Field, name []byte) bool {
	switch len(name) {
	case len("Trailer"):
		if httpparse.EqualFold(name, "trailer") {
			return e.trailers && e.coding == codingChunked
		}
	case len("Keep-Alive"):
		if httpparse.EqualFold(name, "keep-alive") {
			e.link.told = keepAliveTime(h.Value(field))
		}
	case len("Content-Length"):
		return !httpparse.EqualFold(name, "content-length")
	}
	return true
}

// keepAliveTime is how long a connection may be kept whose target has sent this value of Keep-Alive: a second less than it says, so
// that a request is not on its way when it closes. 0: it says nothing.
func keepAliveTime(value []byte) time.Duration {
	for element := range httpparse.Elements(value) {
		name, number, _ := bytes.Cut(element, []byte("="))
		if !httpparse.EqualFold(name, "timeout") {
			continue
		}
		seconds, err := strconv.ParseUint(string(number), 10, 31)
		if err != nil {
			return 0
		}
		return max(time.Duration(seconds)*time.Second-time.Second, time.Second/2)
	}
	return 0
}

// appendResponseFraming appends what says where the body ends.
func (e *exchange) appendResponseFraming(out []byte, r *httpparse.Response) []byte {
	length := r.ContentLength
	switch {
	case r.Status == 204:
		return out
	case r.Status == 205:
		length = 0
	case r.Body != httpparse.BodyNone && e.coding == codingChunked:
		return append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if length == httpparse.LengthUnknown {
		return out
	}
	return httpwrite.AppendNumber(out, "Content-Length", length)
}

// appendLastChunk appends the end of a chunked body, with the trailer fields if the client takes them (RFC 9110 §6.5.1).
func (e *exchange) appendLastChunk(out []byte) []byte {
	out = append(out, "0\r\n"...)
	if e.trailers {
		for name, value := range httpparse.TrailerFields(e.section) {
			out = httpwrite.AppendField(out, string(name), value)
		}
	}
	return append(out, "\r\n"...)
}

// interimBytesMax bounds the interim responses of an exchange, all together: a target could send them for ever. Their number has no bound
// of its own. A target that works for long may send 102 (Processing) every few seconds.
const interimBytesMax = 16 << 10

// interim passes on the interim response that is the first n bytes of the input. 100 (Continue) is ours to send. It returns false if
// nothing more can be done now.
func (e *exchange) interim(n int) bool {
	h := &e.l.response.ResponseHead
	if e.interims += n; e.interims > interimBytesMax {
		e.attemptFailed(errInterims)
		return false
	}
	c := e.link.conn
	switch {
	case h.Status == 100:
		c.Discard(n)
		if e.expect && e.l.config.PassExpect {
			e.later(e.askBody)
		}
		return true
	case e.http10: // RFC 9110 §15.2
		c.Discard(n)
		e.updateDeadline()
		return true
	}
	e.passInterim(h, n)
	return e.phase == phaseHead && !e.blocked
}

// passInterim passes on the interim response h, which is the first n bytes of the input.
func (e *exchange) passInterim(h *httpparse.ResponseHead, n int) {
	out, _ := e.appendResponseFields(appendStatusLine(e.l.head[:0], h), h, nil)
	out = append(out, "\r\n"...)
	e.l.head = out
	e.link.conn.Discard(n)
	e.kept = false // the client has got something
	taken := e.x.Output(out, nil, false)
	if e.phase == phaseOver {
		return
	}
	e.rest = append(e.rest[:0], out[taken:]...)
	e.blocked = len(e.rest) > 0
	e.updateDeadline() // the target says that it is at work
}

// appendUpgrade appends the field lines of a 101 response.
func appendUpgrade(out []byte, protocol string) []byte {
	out = append(out, "Connection: upgrade\r\n"...)
	out = httpwrite.AppendField(out, "Upgrade", protocol)
	return append(out, "\r\n"...)
}
