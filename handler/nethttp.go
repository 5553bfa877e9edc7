package handler

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// HTTP makes a Handler from a net/http handler. It is meant for Blocking. It also works with OnLoop if h does not
// block, but it allocates.
//
// It differs from net/http's own server as follows. There is no Hijack, and http.MaxBytesReader does not close the
// connection. Read and write deadlines, Flush and full duplex work, including through http.ResponseController.
// RemoteAddr is empty on a Unix socket. The context has none of http.Server's values. As with http.Server it is cancelled
// when the peer has finished sending (see Request.Context). Interim responses are not sent to HTTP/1.0 peers.
func HTTP(h http.Handler) Handler { return &httpHandler{h} }

type httpHandler struct{ h http.Handler }

// Serve calls the net/http handler.
func (a *httpHandler) Serve(w *Response, r *Request) {
	if r.Asterisk() {
		return // like http.Server, which answers OPTIONS * itself by default
	}
	req, ok := newHTTPRequest(r)
	if !ok {
		w.Error(400)
		return
	}
	hw := &httpWriter{w: w, header: make(http.Header)}
	a.h.ServeHTTP(hw, req)
	hw.finish()
}

// newHTTPRequest makes a net/http request, which shares no memory with r except the body. ok is false if net/url cannot
// parse the target.
func newHTTPRequest(r *Request) (req *http.Request, ok bool) {
	raw := string(r.head.Raw) // all strings of the request are substrings of this one
	target := raw[r.head.Target.Off:][:r.head.Target.Len]
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, false
	}
	header, host := httpHeader(r, raw)
	req = &http.Request{
		Method:        raw[:r.head.Method.Len],
		URL:           u,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    r.Minor(),
		Header:        header,
		Body:          http.NoBody,
		ContentLength: r.ContentLength(),
		Host:          host,
		RemoteAddr:    r.RemoteAddr(),
		RequestURI:    target,
		Close:         !r.head.Persistent,
	}
	if r.Minor() == 0 {
		req.Proto = "HTTP/1.0"
	}
	switch {
	case r.ContentLength() == 0:
	case r.src == nil:
		// net/http lets a handler keep reading in its own goroutine, which may outlive the loop's view.
		req.Body = io.NopCloser(bytes.NewReader(bytes.Clone(r.body)))
	default:
		req.Body = httpBody{r.src}
	}
	if r.head.Chunked {
		req.TransferEncoding = []string{"chunked"}
	}
	if ctx := r.Context(); ctx != context.Background() {
		req = req.WithContext(ctx)
	}
	return req, true
}

// httpHeader returns the host and the header fields, without the fields that net/http keeps elsewhere.
func httpHeader(r *Request, raw string) (header http.Header, host string) {
	header = make(http.Header, len(r.head.Fields))
	values := make([]string, len(r.head.Fields)) // one array for the first value of each name
	for i, f := range r.head.Fields {
		name := http.CanonicalHeaderKey(raw[f.NameOff:][:f.NameLen])
		value := raw[f.ValueOff:][:f.ValueLen]
		switch name {
		case "Host":
			host = value
			continue
		case "Transfer-Encoding":
			continue
		}
		if before := header[name]; before != nil {
			header[name] = append(before, value)
			continue
		}
		values[i] = value
		header[name] = values[i : i+1 : i+1]
	}
	return header, host
}

// httpBody is the request body for net/http.
type httpBody struct{ src source }

func (b httpBody) Read(p []byte) (int, error) { return b.src.read(p) }

// Close does nothing: the engine deals with unread bytes.
func (b httpBody) Close() error { return nil }

// trailerNames returns the canonical names in the Trailer fields of header.
func trailerNames(header http.Header) (names []string) {
	for _, line := range header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			names = append(names, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return names
}
