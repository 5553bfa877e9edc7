package handler

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"unsafe"

	"moonbridge/httpparse"
)

// HTTP makes a Handler from a net/http handler; nil is http.DefaultServeMux, as for an http.Server. It is meant for Blocking. It also works with OnLoop if h does not
// block, but it allocates.
//
// What differs from net/http's own server is in docs/net-http.md. Hijack, read and write deadlines, Flush and full duplex work,
// including through http.ResponseController. The context is cancelled when the peer has finished sending (see
// Request.Context). WriteHeader(101) has to be followed by Hijack; otherwise it is logged and answered with 500. CONNECT needs
// engine.Limits.Connect.
//
// Like that of net/http, the context of a request has the values http.ServerContextKey and http.LocalAddrContextKey. The
// http.Server serves nothing; its Handler is h, and its ErrorLog leads to the Logger of the Config. httputil.ReverseProxy
// breaks a response off only if it finds a server in the context.
func HTTP(h http.Handler) Handler { return HTTPOptions{}.HTTP(h) }

// errorLog makes records of the lines that handlers for net/http write to the server's ErrorLog.
type errorLog struct{ to *slog.Logger }

func (l errorLog) Write(line []byte) (int, error) {
	loggerOr(l.to).Error(strings.TrimRight(string(line), "\n"))
	return len(line), nil
}

// Serve calls the net/http handler.
func (a *httpHandler) Serve(w *Response, r *Request) {
	if r.Asterisk() {
		return // like http.Server, which answers OPTIONS * itself by default
	}
	req, ok := a.request(r)
	if !ok {
		w.Error(400)
		return
	}
	hw := &httpWriter{w: w, header: make(http.Header), ctx: req.Context()}
	a.h.ServeHTTP(hw, req)
	hw.finish()
}

// request makes a net/http request, which shares no memory with r that will change, except the body. ok is false if net/url cannot parse the
// target.
func (a *httpHandler) request(r *Request) (req *http.Request, ok bool) {
	raw := headText(r) // all strings of the request are substrings of this one
	target := raw[r.head.Target.Off:][:r.head.Target.Len]
	u, err := parseURL(target, r.head.Connect)
	if err != nil {
		return nil, false
	}
	header, host := httpHeader(r, raw)
	made := http.Request{ // WithContext makes the copy that is allocated
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
		TLS:           r.TLS(),
	}
	switch {
	case r.HTTP2():
		made.Proto, made.ProtoMajor, made.ProtoMinor = "HTTP/2.0", 2, 0
	case r.Minor() == 0:
		made.Proto = "HTTP/1.0"
	case r.head.Chunked:
		made.TransferEncoding = []string{"chunked"}
	}
	if r.head.Chunked {
		made.Trailer = announcedTrailer(header)
	}
	req = made.WithContext(a.context(r))
	switch {
	case r.ContentLength() == 0:
	case r.src == nil:
		// net/http lets a handler keep reading in its own goroutine, which may outlive the loop's view.
		body := &httpBody{Reader: bytes.NewReader(bytes.Clone(r.body)), req: req, chunked: r.head.Chunked}
		if r.trailer != nil {
			body.trailer = bytes.Clone(r.trailer)
		}
		req.Body = body
	default:
		req.Body = &httpBody{Reader: sourceReader{r.src}, src: r.src, req: req, chunked: r.head.Chunked}
	}
	return req, true
}

// headText is the head as a string. That of a request on a goroutine belongs to its exchange, and stays as it is.
func headText(r *Request) string {
	if r.src != nil {
		return unsafe.String(unsafe.SliceData(r.head.Raw), len(r.head.Raw))
	}
	return string(r.head.Raw)
}

// parseURL parses a request target. That of CONNECT is an authority, the Host of the URL.
func parseURL(target string, connect bool) (*url.URL, error) {
	if !connect {
		return url.ParseRequestURI(target)
	}
	u, err := url.ParseRequestURI("http://" + target)
	if err == nil {
		u.Scheme = ""
	}
	return u, err
}

// netAddr returns an address as a net.Addr. One that is not valid is that of a Unix socket.
func netAddr(a netip.AddrPort) net.Addr {
	if !a.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
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
type httpBody struct {
	io.Reader
	src     source // nil: on the loop
	trailer []byte // on the loop
	req     *http.Request
	chunked bool // so it may have a trailer section; in HTTP/2 the body of any length that is not stated
	closed  atomic.Bool
}

// Read reads. At the end of the body it fills req.Trailer, as net/http does.
func (b *httpBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.chunked {
		b.addTrailer()
	}
	return n, err
}

func (b *httpBody) addTrailer() {
	section := b.trailer
	if b.src != nil {
		section = b.src.trailerSection()
	}
	added := make(http.Header)
	for name, value := range httpparse.TrailerFields(section) {
		added.Add(string(name), string(value))
	}
	if len(added) > 0 && b.req.Trailer == nil {
		b.req.Trailer = make(http.Header)
	}
	maps.Copy(b.req.Trailer, added)
}

// Close ends reading. The engine deals with unread bytes.
func (b *httpBody) Close() error {
	b.closed.Store(true)
	return nil
}

// sourceReader makes a Reader of a source.
type sourceReader struct{ source }

func (r sourceReader) Read(p []byte) (int, error) { return r.read(p) }

// announcedTrailer moves the Trailer field of a request into the map that its trailer fields will be in.
func announcedTrailer(header http.Header) http.Header {
	names := trailerNames(header)
	if len(names) == 0 {
		return nil
	}
	delete(header, "Trailer")
	announced := make(http.Header, len(names))
	for _, name := range names {
		if name != "" && httpparse.InTrailer([]byte(name)) {
			announced[name] = nil
		}
	}
	return announced
}

// trailerNames returns the canonical names in the Trailer fields of header.
func trailerNames(header http.Header) (names []string) {
	for _, line := range header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			names = append(names, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return names
}
