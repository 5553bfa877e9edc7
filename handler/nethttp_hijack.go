package handler

import (
	"bufio"
	"errors"
	"net"
	"net/http"

	"moonbridge/httpwrite"
)

// Hijack implements http.Hijacker. The connection leaves its loop, and is the handler's. Its reads return what the client has sent
// after the request, so the reader of the result has nothing buffered. A head that was written with WriteHeader is sent before:
// that of a 101, or of a 2xx response to CONNECT. Without WriteHeader nothing is sent.
//
// It fails on the loop, if a part of the response was written or flushed, and if the request body has not arrived. What has arrived
// of the body is not in the connection.
func (hw *httpWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	e, blocking := hw.w.out.(*blockingExchange)
	switch {
	case hw.hijacked:
		return nil, nil, http.ErrHijacked
	case !blocking:
		return nil, nil, http.ErrNotSupported
	case hw.w.headOut || hw.w.written > 0:
		return nil, nil, errHijackLate
	}
	conn, err := e.takeOver(hw.hijackHead())
	if err != nil {
		return nil, nil, err
	}
	hw.hijacked = true
	return conn, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), nil
}

var errHijackLate = errors.New("handler: Hijack after a part of the response was written")

// hijackHead is the head that the handler has written, for a connection that ends with the next protocol, or empty.
func (hw *httpWriter) hijackHead() []byte {
	w := hw.w
	if !hw.wrote {
		return nil
	}
	h := httpwrite.Head{Status: w.status, Fields: w.fields, Length: httpwrite.LengthNone, Upgrade: w.upgrade}
	if w.status != http.StatusSwitchingProtocols && !w.tunnels() {
		h.Length, _ = w.framing(false)
		h.Close = w.close
	}
	if !w.dated {
		h.Date = w.out.date()
	}
	return h.Append(nil)
}
