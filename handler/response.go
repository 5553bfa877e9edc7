package handler

import (
	"bytes"
	"strconv"
	"unsafe"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Response is the response as built by a Handler: status and fields first, then the body. The head is sent with the
// first part of the body: when Config.PartMax bytes are exceeded, at Flush, or when Serve returns. On the loop it is
// always sent after Serve returns.
//
// The server sends Content-Length, Transfer-Encoding, Connection and Date itself. A handler may still set
// Content-Length, which is then enforced, Date, Connection: close, and, next to an Upgrade field, Connection: Upgrade.
//
// After Serve, all methods return ErrEnded.
type Response struct{ *responseState }

// responseState is what a Response refers to until Serve returns. It is used again for other exchanges.
type responseState struct {
	// From the request.
	minor      uint8
	isHead     bool
	persistent bool // the peer allows further requests on the connection
	connect    bool // method CONNECT

	// The head.
	status   int    // 0: not set
	fields   []byte // field lines, checked
	trailers []byte // the same, sent after a chunked body
	length   int64  // the Content-Length that was set, or -1
	dated    bool   // fields has a Date
	close    bool   // Connection: close was set
	upgrade  bool   // Connection: Upgrade was set
	sniff    func([]byte) string

	// Progress.
	headOut bool        // the head was built
	ended   bool        // Serve has returned
	chunked bool        // with headOut
	end     backend.End // with headOut
	written int64       // bytes of body that the handler has written
	ranges  int         // of files that were appended to it
	err     error       // why no more bytes can be passed on; permanent
	fault   string      // why the response is invalid, for the log

	// Bytes that are not passed on yet. The body starts at part.data[base].
	*part
	base    int
	dataMax int
	out     output
}

// part is a piece of a response on its way from the handler to the loop. prefix is sent before data, and ranges of files are sent
// within data, in their places.
type part struct {
	prefix, data []byte
	files        []fileAt
}

// output is the destination of a Response.
type output interface {
	// date returns the value of the Date field.
	date() []byte
	// unread reports whether the peer is still sending a body that the handler will not read, and that the connection will not
	// read to its end either.
	unread() bool
	// full is called when w.data has reached its limit. It makes room or returns an error.
	full(w *Response) error
	// flush passes on all pending bytes.
	flush(w *Response) error
	// passPrefix passes on w.prefix alone.
	passPrefix(w *Response) error
	// sendsFiles reports whether the connection takes ranges of files in a response, by whether it is rangeable
	// (backend.FileChooser).
	sendsFiles(rangeable bool) bool
}

// fieldsMax is the largest size of the field lines of a response. It is far above what any peer accepts; it stops a
// handler that adds fields in an endless loop.
const fieldsMax = 256 << 10

// endedResponse is the state of each Response after Serve.
var endedResponse = &responseState{ended: true}

// reset makes w the response to a request. It reuses the buffers of w.
func (w *responseState) reset(head *httpparse.Head, p *part, base, dataMax int, out output) {
	*w = responseState{
		minor:      head.Minor,
		isHead:     head.IsHead,
		persistent: head.Persistent,
		connect:    head.Connect,
		fields:     w.fields[:0],
		trailers:   w.trailers[:0],
		length:     -1,
		part:       p,
		base:       base,
		dataMax:    dataMax,
		out:        out,
	}
}

// SetStatus sets the status of the final response, from 200 to 999. It can be changed until the head is sent. Errors
// are ErrStatus, ErrHeadSent, ErrEnded, and ErrBodiless if the body has been started and the status allows none.
func (w *Response) SetStatus(status int) error {
	if err := w.changeable(); err != nil {
		return err
	}
	if status < 200 || status > 999 {
		return ErrStatus
	}
	if httpwrite.Bodiless(status) && w.written > 0 {
		return ErrBodiless
	}
	w.status = status
	return nil
}

func (w *Response) changeable() error {
	switch {
	case w.ended:
		return ErrEnded
	case w.headOut:
		return ErrHeadSent
	}
	return nil
}

// Add adds a field line. Blanks around the value are removed. Errors are httpwrite.ErrFieldName,
// httpwrite.ErrFieldValue, ErrFieldReserved (for Transfer-Encoding, and for Connection options other than close,
// keep-alive and Upgrade), ErrLength (for a Content-Length smaller than the body so far), ErrFieldsTooLarge, ErrHeadSent and
// ErrEnded.
func (w *Response) Add(name, value string) error {
	if err := w.changeable(); err != nil {
		return err
	}
	value = httpparse.TrimBlanks(value)
	if err := httpwrite.CheckField(name, value); err != nil {
		return err
	}
	switch {
	case httpparse.EqualFold(name, "Content-Length"):
		return w.setLength(value)
	case httpparse.EqualFold(name, "Transfer-Encoding"):
		return ErrFieldReserved
	case httpparse.EqualFold(name, "Connection"):
		return w.setConnection(value)
	}
	if len(w.fields)+len(name)+len(value) > fieldsMax {
		return ErrFieldsTooLarge
	}
	w.dated = w.dated || httpparse.EqualFold(name, "Date")
	w.fields = httpwrite.AppendField(w.fields, name, value)
	return nil
}

// Set replaces all field lines with this name. Its errors are those of Add; it then has no effect.
func (w *Response) Set(name, value string) error {
	switch {
	case httpparse.EqualFold(name, "Content-Length"):
		return w.replaceLength(value)
	case httpparse.EqualFold(name, "Connection"):
		return w.replaceConnection(name, value)
	}
	had := len(w.fields)
	if err := w.Add(name, value); err != nil {
		return err
	}
	w.delete(name, had)
	return nil
}

// replaceLength is Set for Content-Length, which is not among the field lines.
func (w *Response) replaceLength(value string) error {
	if err := w.changeable(); err != nil {
		return err // all that have ended share one state
	}
	length := w.length
	w.length = -1
	err := w.Add("Content-Length", value)
	if err != nil {
		w.length = length
	}
	return err
}

// replaceConnection is Set for Connection, which is not among the field lines either.
func (w *Response) replaceConnection(name, value string) error {
	if err := w.changeable(); err != nil {
		return err
	}
	closing, upgrade := w.close, w.upgrade
	w.close, w.upgrade = false, false
	err := w.Add(name, value)
	if err != nil {
		w.close, w.upgrade = closing, upgrade
	}
	return err
}

// Del removes all field lines with this name. Errors are ErrHeadSent and ErrEnded.
func (w *Response) Del(name string) error {
	if err := w.changeable(); err != nil {
		return err
	}
	switch {
	case httpparse.EqualFold(name, "Content-Length"):
		w.length = -1
	case httpparse.EqualFold(name, "Connection"):
		w.close, w.upgrade = false, false
	case httpparse.EqualFold(name, "Date"):
		w.dated = false
	}
	w.delete(name, len(w.fields))
	return nil
}

// delete removes field lines with this name from the first end bytes.
func (w *Response) delete(name string, end int) {
	for i := 0; i < end; {
		n := bytes.IndexByte(w.fields[i:], '\n') + 1 // AppendField ends each line with CR LF
		if n > len(name) && w.fields[i+len(name)] == ':' && httpparse.EqualFold(w.fields[i:i+len(name)], name) {
			w.fields = append(w.fields[:i], w.fields[i+n:]...)
			end -= n
			continue
		}
		i += n
	}
}

func (w *Response) setLength(value string) error {
	for i := range len(value) {
		if value[i] < '0' || value[i] > '9' {
			return httpwrite.ErrFieldValue
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || w.length >= 0 && w.length != n {
		return httpwrite.ErrFieldValue
	}
	if n < w.written {
		return ErrLength
	}
	w.length = n
	return nil
}

func (w *Response) setConnection(value string) error {
	closing, upgrade := false, false
	for option := range httpparse.Elements(bytesOf(value)) {
		switch {
		case httpparse.EqualFold(option, "close"):
			closing = true
		case httpparse.EqualFold(option, "Upgrade"):
			upgrade = true
		case !httpparse.EqualFold(option, "keep-alive"):
			return ErrFieldReserved
		}
	}
	w.close, w.upgrade = w.close || closing, w.upgrade || upgrade
	return nil
}

// AddTrailer adds a field line to the trailer section (RFC 9110 §6.5), which ends a chunked body. It can be called
// until Serve returns. Trailers are sent only to HTTP/1.1 peers, and only if the head has not already been sent with a
// Content-Length. Errors are those of Add, except ErrHeadSent; fields that affect framing are refused with
// ErrFieldReserved (RFC 9110 §6.5.1).
func (w *Response) AddTrailer(name, value string) error {
	if w.ended {
		return ErrEnded
	}
	value = httpparse.TrimBlanks(value)
	if err := httpwrite.CheckField(name, value); err != nil {
		return err
	}
	if httpparse.EqualFold(name, "Content-Length") || httpparse.EqualFold(name, "Transfer-Encoding") || httpparse.EqualFold(name, "Connection") ||
		httpparse.EqualFold(name, "Trailer") || httpparse.EqualFold(name, "Host") {
		return ErrFieldReserved // RFC 9110 §6.5.1
	}
	if len(w.trailers)+len(name)+len(value) > fieldsMax {
		return ErrFieldsTooLarge
	}
	w.trailers = httpwrite.AppendField(w.trailers, name, value)
	return nil
}

// Interim sends an interim response, such as 103 (Early Hints), with the fields that are set so far. They stay set for
// the final response. HTTP/1.0 peers get no interim response (RFC 9110 §15.2). On the loop it is sent together with the
// final response. Errors are ErrStatus unless status is from 102 to 199, ErrHeadSent, ErrEnded and ErrGone.
func (w *Response) Interim(status int) error {
	if err := w.changeable(); err != nil {
		return err
	}
	if status < 102 || status > 199 {
		return ErrStatus
	}
	if w.err != nil {
		return w.err
	}
	if w.minor == 0 {
		return nil
	}
	h := httpwrite.Head{Status: status, Fields: w.fields, Length: httpwrite.LengthNone}
	w.prefix = h.Append(w.prefix)
	return w.out.passPrefix(w)
}

// Error makes the response an error response: the status, from 400 to 999, and its reason phrase as a text/plain body.
// Fields and body set so far are dropped, except Connection: close. Errors are ErrStatus, ErrHeadSent and ErrEnded.
func (w *Response) Error(status int) error {
	if err := w.changeable(); err != nil {
		return err
	}
	if status < 400 || status > 999 {
		return ErrStatus
	}
	w.fields, w.trailers = w.fields[:0], w.trailers[:0]
	w.length, w.dated, w.sniff = -1, false, nil
	w.data, w.written = w.data[:w.base], 0
	w.dropFiles()
	w.status = status
	w.fields = httpwrite.AppendField(w.fields, "Content-Type", "text/plain")
	w.data = httpwrite.AppendErrorText(w.data, status)
	w.written = int64(len(w.data) - w.base)
	return nil
}

// Write appends p to the body. For HEAD the bytes are only counted. Write returns less than len(p) only with an error:
// ErrBodiless, ErrLength, ErrEnded, ErrResponseTooLarge, or ErrGone if the connection has ended. Even if the handler
// ignores the result, a body that is shorter than its Content-Length or too large for the loop ends the exchange with
// an error.
func (w *Response) Write(p []byte) (int, error) {
	if err := w.writable(int64(len(p))); err != nil || len(p) == 0 {
		return 0, err
	}
	if w.headOut && w.isHead {
		if err := w.out.flush(w); err != nil {
			return 0, err
		}
		w.written += int64(len(p))
		return len(p), nil
	}
	return w.append(p)
}

// writable returns nil if n more bytes of body may be written.
func (w *Response) writable(n int64) error {
	switch {
	case w.ended:
		return ErrEnded
	case n == 0:
		return nil
	case w.err != nil:
		return w.err
	case httpwrite.Bodiless(w.statusOr200()):
		return ErrBodiless
	case w.length >= 0 && n > w.length-w.written:
		return ErrLength
	}
	return nil
}

func (w *Response) append(p []byte) (n int, err error) {
	for {
		room := min(len(p), w.base+w.dataMax-len(w.data))
		w.data = append(w.data, p[:room]...)
		w.written += int64(room)
		n += room
		if p = p[room:]; len(p) == 0 {
			return n, nil
		}
		if err := w.out.full(w); err != nil {
			return n, err
		}
	}
}

// WriteString is like Write, with a string.
func (w *Response) WriteString(s string) (int, error) { return w.Write(bytesOf(s)) }

// Flush sends the head and the part of the body written so far. On the loop it does nothing, since a response is sent
// as a whole. Errors are ErrEnded and ErrGone.
func (w *Response) Flush() error {
	switch {
	case w.ended:
		return ErrEnded
	case w.err != nil:
		return w.err
	}
	return w.out.flush(w)
}

func (w *Response) statusOr200() int {
	if w.status == 0 {
		return 200
	}
	return w.status
}

// bytesOf returns the bytes of s without a copy. They must not be written to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// clearFields removes all fields that were set.
func (w *Response) clearFields() {
	w.fields = w.fields[:0]
	w.length, w.dated, w.close, w.upgrade = -1, false, false, false
}

// fail makes the response invalid: nothing more of it is passed on, and the exchange ends with an error that names the cause.
func (w *Response) fail(cause string) {
	if w.changeable() == nil {
		w.fault, w.err = cause, ErrStatus
	}
}
