package handler

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// httpWriter is the http.ResponseWriter over a Response. It also is an http.Flusher, an io.StringWriter, and has what
// http.ResponseController looks for, besides Hijack.
type httpWriter struct {
	w        *Response
	header   http.Header
	wrote    bool     // WriteHeader was called for the final response
	trailers []string // names that were announced
}

// Header is the map of fields. Changes after WriteHeader have no effect, but for trailers.
func (hw *httpWriter) Header() http.Header { return hw.header }

// WriteHeader sends an interim response, or fixes status and fields of the final one. Like that of net/http it panics if
// status has not three digits, and does nothing if called again.
func (hw *httpWriter) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic("handler: invalid WriteHeader code")
	}
	if hw.wrote {
		return
	}
	if status < 200 {
		hw.interim(status)
		return
	}
	hw.wrote = true
	if hw.w.Status(status) != nil {
		return // the exchange is over
	}
	hw.trailers = trailerNames(hw.header)
	hw.setFields(false)
	if !hw.has("Content-Type") && hw.header.Get("Content-Encoding") == "" {
		hw.w.sniff = http.DetectContentType
	}
}

// interim sends an interim response, with what the map holds now. 100 is the server's own, on the first read of the body;
// 101 would need a Hijack.
func (hw *httpWriter) interim(status int) {
	if status < 102 {
		return
	}
	hw.setFields(true)
	hw.w.Interim(status)
	hw.w.clearFields()
}

// has says whether a field is there, even as an empty list: so net/http has its own fields suppressed.
func (hw *httpWriter) has(name string) bool {
	_, ok := hw.header[name]
	return ok
}

// setFields copies the map into the response, in alphabetical order, so that the same handler sends the same bytes. As in
// net/http a field that cannot be sent is left out, while CR and LF in a value become blanks.
func (hw *httpWriter) setFields(interim bool) {
	var room [16]string
	names := room[:0]
	for name := range hw.header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasPrefix(name, http.TrailerPrefix) || slices.Contains(hw.trailers, name) {
			continue
		}
		if interim && (name == "Content-Length" || name == "Connection") {
			continue // RFC 9110 §8.6
		}
		for _, value := range hw.header[name] {
			hw.w.Add(name, oneLine(value))
		}
	}
	if dates, ok := hw.header["Date"]; ok && len(dates) == 0 {
		hw.w.dated = true
	}
}

// oneLine is value without line ends.
func oneLine(value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return value
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
}

// Write adds to the body, after a WriteHeader(200) if there was none.
func (hw *httpWriter) Write(p []byte) (int, error) {
	hw.ensureHeader()
	n, err := hw.w.Write(p)
	return n, httpError(err)
}

// WriteString is Write for a string.
func (hw *httpWriter) WriteString(s string) (int, error) { return hw.Write(bytesOf(s)) }

func (hw *httpWriter) ensureHeader() {
	if !hw.wrote {
		hw.WriteHeader(http.StatusOK)
	}
}

// httpError translates errors that handlers for net/http may look for.
func httpError(err error) error {
	switch err {
	case ErrBodiless:
		return http.ErrBodyNotAllowed
	case ErrLength:
		return http.ErrContentLength
	}
	return err
}

// Flush sends what there is.
func (hw *httpWriter) Flush() { hw.FlushError() }

// FlushError is Flush, with the error.
func (hw *httpWriter) FlushError() error {
	hw.ensureHeader()
	return hw.w.Flush()
}

// EnableFullDuplex needs nothing: request and response are independent anyway.
func (hw *httpWriter) EnableFullDuplex() error { return nil }

// SetReadDeadline is for http.ResponseController.
func (hw *httpWriter) SetReadDeadline(at time.Time) error {
	e, ok := hw.w.out.(*blockingExchange)
	if !ok {
		return http.ErrNotSupported
	}
	e.setDeadline(&e.readBy, at)
	return nil
}

// SetWriteDeadline is for http.ResponseController. After it has passed, the response can only be broken off.
func (hw *httpWriter) SetWriteDeadline(at time.Time) error {
	e, ok := hw.w.out.(*blockingExchange)
	if !ok {
		return http.ErrNotSupported
	}
	e.setDeadline(&e.sendBy, at)
	return nil
}

// finish adds what the handler has left to do, and the trailers.
func (hw *httpWriter) finish() {
	hw.ensureHeader()
	for _, name := range hw.trailers {
		for _, value := range hw.header[name] {
			hw.w.AddTrailer(name, oneLine(value))
		}
	}
	for name, values := range hw.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			for _, value := range values {
				hw.w.AddTrailer(name, oneLine(value))
			}
		}
	}
}
