package handler

import (
	"bytes"
	"strconv"
	"unsafe"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Response is the response as a Handler makes it: status and fields first, then the body. The head goes out with the
// first part of the body: when Config.PartMax bytes are written, at Flush, or when Serve returns. On the loop it is
// always the last of these.
//
// The server sees to Content-Length, Transfer-Encoding, Connection and Date. Content-Length may be set all the same, and
// is then held to; so may Date, and Connection: close.
type Response struct {
	// Of the request.
	minor      uint8
	isHead     bool
	persistent bool // the peer allows the connection to go on

	// Of the head.
	status   int    // 0: not set
	fields   []byte // field lines, checked
	trailers []byte // the same, sent after a chunked body
	length   int64  // the Content-Length that was set, or -1
	dated    bool   // fields has a Date
	close    bool   // Connection: close was set
	sniff    func([]byte) string

	// How far it is.
	interim bool        // an interim response was sent
	headOut bool        // the head was built
	ended   bool        // Serve has returned
	chunked bool        // with headOut
	end     backend.End // with headOut
	written int64       // bytes of body that the handler has written
	err     error       // what made passing on fail, for good
	broken  bool        // the body did not fit: it lacks something

	// What was not passed on yet. The body is in part.data from base on.
	*part
	base    int
	dataMax int
	out     output
}

// part is a piece of a response on its way from the handler to the loop: prefix goes before data.
type part struct{ prefix, data []byte }

// output is where a Response goes.
type output interface {
	// date is the value of the Date field.
	date() []byte
	// unread says that the peer is still sending a body that nobody will read.
	unread() bool
	// full is called when w.data has reached its limit. It makes room or returns an error.
	full(w *Response) error
	// flush passes on what there is.
	flush(w *Response) error
	// pass passes on w.prefix alone.
	pass(w *Response) error
}

// fieldsMax is how large the field lines of a response may grow. It is far above what any peer takes, and there to end a
// loop that adds fields for ever.
const fieldsMax = 256 << 10

// reset makes w the response to a request, in the room that it has.
func (w *Response) reset(head *httpparse.Head, p *part, base, dataMax int, out output) {
	*w = Response{
		minor:      head.Minor,
		isHead:     head.IsHead,
		persistent: head.Persistent,
		fields:     w.fields[:0],
		trailers:   w.trailers[:0],
		length:     -1,
		part:       p,
		base:       base,
		dataMax:    dataMax,
		out:        out,
	}
}

// Status sets the status of the final response, from 200 to 999. It can be changed until the head is sent. ErrStatus,
// ErrHeadSent, ErrEnded; ErrBodiless if a body was begun and status allows none.
func (w *Response) Status(status int) error {
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

// Add adds a field line. Blanks around the value are not sent. ErrFieldName, ErrFieldValue, ErrFieldReserved for
// Transfer-Encoding and for a Connection option besides close and keep-alive, ErrFieldsTooLarge, ErrHeadSent, ErrEnded.
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

// Set is Add after Del. With an error it has no effect.
func (w *Response) Set(name, value string) error {
	had := len(w.fields)
	length := w.length
	if httpparse.EqualFold(name, "Content-Length") {
		w.length = -1
	}
	if err := w.Add(name, value); err != nil {
		w.length = length
		return err
	}
	w.delete(name, had)
	return nil
}

// Del removes all field lines of this name.
func (w *Response) Del(name string) error {
	if err := w.changeable(); err != nil {
		return err
	}
	switch {
	case httpparse.EqualFold(name, "Content-Length"):
		w.length = -1
	case httpparse.EqualFold(name, "Connection"):
		w.close = false
	case httpparse.EqualFold(name, "Date"):
		w.dated = false
	}
	w.delete(name, len(w.fields))
	return nil
}

// delete removes field lines of this name from the first end bytes.
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
	closing := false
	list := httpparse.NewList(bytesOf(value))
	for option, ok := list.Next(); ok; option, ok = list.Next() {
		switch {
		case httpparse.EqualFold(option, "close"):
			closing = true
		case !httpparse.EqualFold(option, "keep-alive"):
			return ErrFieldReserved
		}
	}
	w.close = w.close || closing
	return nil
}

// AddTrailer adds a field line to the trailer section (RFC 9110 §6.5) that ends a chunked body. It can be called until
// Serve returns, but only reaches peers that speak HTTP/1.1, and to be sent it must have been called before the head goes
// out with a Content-Length. Errors are those of Add; fields about framing are refused.
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

// Interim sends an interim response, such as 103 (Early Hints), with the fields that are set so far; they stay set for
// the final response. Peers that speak HTTP/1.0 would not understand it and get nothing (RFC 9110 §15.2). On the loop it
// goes out together with the response. ErrStatus for anything but 102 to 199, ErrHeadSent, ErrEnded, ErrGone.
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
	w.interim = true
	return w.out.pass(w)
}

// Error makes the response an error: the status and its text as text/plain, without any field that was set before.
// ErrHeadSent and ErrEnded, ErrStatus.
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
	w.status = status
	w.fields = httpwrite.AppendField(w.fields, "Content-Type", "text/plain")
	w.data = httpwrite.AppendErrorText(w.data, status)
	w.written = int64(len(w.data) - w.base)
	return nil
}

// Write adds to the body. For HEAD it does as if. It returns less than len(p) only with an error: ErrBodiless, ErrLength,
// ErrEnded, ErrResponseTooLarge; ErrGone when the peer is gone. If the handler does not look at what Write returns, then a
// body that is too short for its Content-Length or too large for the loop still ends the exchange as an error.
func (w *Response) Write(p []byte) (int, error) {
	switch {
	case w.ended:
		return 0, ErrEnded
	case len(p) == 0:
		return 0, nil
	case w.err != nil:
		return 0, w.err
	case httpwrite.Bodiless(w.statusOr200()):
		return 0, ErrBodiless
	case w.length >= 0 && int64(len(p)) > w.length-w.written:
		return 0, ErrLength
	}
	if w.headOut && w.isHead {
		w.written += int64(len(p))
		return len(p), nil
	}
	return w.append(p)
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

// WriteString is Write for a string.
func (w *Response) WriteString(s string) (int, error) { return w.Write(bytesOf(s)) }

// Flush sends what was written so far, and the head before it. On the loop it does nothing: a response goes out as one.
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

// bytesOf is s as bytes, for reading only.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// clearFields forgets all fields that were set.
func (w *Response) clearFields() {
	w.fields = w.fields[:0]
	w.length, w.dated, w.close = -1, false, false
}
