package proxy

import (
	"errors"
	"strconv"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// errFinal: the request must not be sent on, and is answered by the proxy.
var errFinal = errors.New("Max-Forwards is 0")

// forwards returns the value of Max-Forwards for the target, or -1 if there is none to be counted. An intermediary checks the field for
// OPTIONS and TRACE, and counts it down (RFC 9110 §7.6.2). With 0 the request ends here: errFinal for OPTIONS. The proxy itself does not
// answer TRACE.
func (e *exchange) forwards(h *httpparse.Head) (left int64, err error) {
	method := string(h.Bytes(h.Method))
	if method != "OPTIONS" && method != "TRACE" {
		return -1, nil
	}
	i := h.Find("max-forwards", 0)
	if i < 0 || e.request.edits.drops([]byte("Max-Forwards")) { // Config.Edit may decide
		return -1, nil
	}
	n, err := strconv.ParseUint(string(h.Value(h.Fields[i])), 10, 63)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange), h.Find("max-forwards", i+1) >= 0:
		return 0, ErrHead
	case n > 0: // or so large that there is no number for it
		return int64(n - 1), nil
	case method == "TRACE":
		return 0, ErrMethod
	}
	return 0, errFinal
}

// answerFinal answers an OPTIONS request that ends here: there is nothing to say about the proxy.
func (e *exchange) answerFinal() {
	out := httpwrite.AppendField([]byte("HTTP/1.1 204 No Content\r\n"), "Date", e.l.date.At(e.l.Now()))
	switch {
	case e.end != backend.EndKeep:
		out = append(out, "Connection: close\r\n"...)
	case e.http10:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	e.rest, e.finished = append(append(e.rest[:0], out...), "\r\n"...), true
	e.phase = phaseBody
	e.pass(nil)
}
