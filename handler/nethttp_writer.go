package handler

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// httpWriter is the http.ResponseWriter for a Response. It is also an http.Flusher, http.Hijacker, http.CloseNotifier, io.ReaderFrom and
// io.StringWriter, and has the methods that http.ResponseController looks for.
type httpWriter struct {
	w        *Response
	header   http.Header
	wrote    bool     // WriteHeader was called for the final response
	hijacked bool     // Hijack has succeeded
	trailers []string // names that were announced
	ctx      context.Context
	notify   *closeNotify // of CloseNotify
}

// Header returns the map of fields. Changes after WriteHeader have no effect, except for trailers.
func (hw *httpWriter) Header() http.Header { return hw.header }

// WriteHeader sends an interim response, or sets the status and fields of the final one. As in net/http, it panics if
// status does not have three digits, and does nothing if called again.
func (hw *httpWriter) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("handler: invalid WriteHeader code %d", status))
	}
	if hw.wrote || hw.hijacked {
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		hw.interim(status)
		return
	}
	hw.wrote = true
	if status == http.StatusSwitchingProtocols {
		hw.switchProtocols()
		return
	}
	if hw.w.SetStatus(status) != nil {
		return // the exchange is over
	}
	hw.trailers = trailerNames(hw.header)
	hw.setFields(false)
	if !hw.has("Content-Type") && hw.header.Get("Content-Encoding") == "" {
		hw.w.sniff = http.DetectContentType
	}
}

// interim sends an interim response with the current fields of the map. The server sends 100 itself, on the first read
// of the body.
func (hw *httpWriter) interim(status int) {
	if status < 102 || hw.w.changeable() != nil {
		return // all that have ended share one state
	}
	hw.setFields(true)
	hw.w.Interim(status)
	hw.w.clearFields()
}

// switchProtocols keeps the head of a 101 for Hijack. Without Hijack the response is invalid.
func (hw *httpWriter) switchProtocols() {
	if hw.w.changeable() != nil {
		return
	}
	hw.w.status = http.StatusSwitchingProtocols
	hw.setFields(false)
	hw.w.fail(causeSwitch)
}

// has reports whether a field is set, even to an empty list, which in net/http suppresses a default field.
func (hw *httpWriter) has(name string) bool {
	_, ok := hw.header[name]
	return ok
}

// setFields copies the map to the response in alphabetical order, so that the same handler always sends the same bytes.
// As in net/http, invalid fields are left out, and CR and LF in a value become spaces.
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
		if hw.w.status == http.StatusNotModified && (name == "Content-Length" || name == "Content-Type") {
			continue // as in net/http (RFC 9110 §15.4.5)
		}
		for _, value := range hw.header[name] {
			hw.w.Add(name, oneLine(value))
		}
	}
	if dates, ok := hw.header["Date"]; ok && len(dates) == 0 {
		hw.w.dated = true
	}
}

// oneLine returns value with line ends replaced by spaces.
func oneLine(value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return value
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
}

// Write appends p to the body. It calls WriteHeader(200) first if WriteHeader has not been called.
func (hw *httpWriter) Write(p []byte) (int, error) {
	if hw.hijacked {
		return 0, http.ErrHijacked
	}
	hw.ensureHeader()
	n, err := hw.w.Write(p)
	return n, httpError(err)
}

// WriteString is like Write, with a string.
func (hw *httpWriter) WriteString(s string) (int, error) { return hw.Write(bytesOf(s)) }

func (hw *httpWriter) ensureHeader() {
	if !hw.wrote {
		hw.WriteHeader(http.StatusOK)
	}
}

// httpError translates errors to those that net/http handlers may check for.
func httpError(err error) error {
	switch err {
	case ErrBodiless:
		return http.ErrBodyNotAllowed
	case ErrLength:
		return http.ErrContentLength
	}
	return err
}

// Flush sends all pending bytes.
func (hw *httpWriter) Flush() { hw.FlushError() }

// FlushError is like Flush, but returns the error.
func (hw *httpWriter) FlushError() error {
	if hw.hijacked {
		return http.ErrHijacked
	}
	if hw.w.status == http.StatusSwitchingProtocols || hw.w.tunnels() && hw.w.written == 0 {
		return nil // Hijack sends the head
	}
	hw.ensureHeader()
	return hw.w.Flush()
}

// EnableFullDuplex does nothing: request and response are always independent.
func (hw *httpWriter) EnableFullDuplex() error { return nil }

// SetReadDeadline is called by http.ResponseController.
func (hw *httpWriter) SetReadDeadline(at time.Time) error {
	if e, ok := hw.w.out.(*blockingExchange); ok {
		e.setDeadline(&e.readBy, at)
		return nil
	}
	return http.ErrNotSupported
}

// SetWriteDeadline is called by http.ResponseController. After the deadline, the response can only be aborted.
func (hw *httpWriter) SetWriteDeadline(at time.Time) error {
	if e, ok := hw.w.out.(*blockingExchange); ok {
		e.setDeadline(&e.sendBy, at)
		return nil
	}
	return http.ErrNotSupported
}

// finish adds the head, if the handler has not written it, and the trailers.
func (hw *httpWriter) finish() {
	if hw.notify != nil {
		hw.notify.stop()
	}
	if hw.hijacked {
		return
	}
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
