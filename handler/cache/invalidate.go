package cache

import (
	"bytes"

	"moonbridge/httpparse"
)

// watchMax bounds in bytes what is kept of the head of a response to a request with an unsafe method, until it is complete.
const watchMax = 16 << 10

// watchNew looks at output, except for what was offered before and has not been taken. The number of bytes taken is to be
// subtracted from r.ahead after that.
func (r *run) watchNew(a, b []byte) {
	total := len(a) + len(b)
	skip := min(r.ahead, len(a))
	rest := min(r.ahead-skip, len(b))
	r.ahead = max(r.ahead, total)
	r.watch(a[skip:], b[rest:])
}

// watch looks at the response to a request with an unsafe method. If it is no error, what it may have changed is made invalid
// (RFC 9111 §4.4) before the client has the response.
func (r *run) watch(a, b []byte) {
	buf := a
	if len(r.seen) > 0 || len(b) > 0 {
		r.seen = append(append(r.seen, a...), b...)
		buf = r.seen
	}
	var h httpparse.ResponseHead
	n, err := new(httpparse.Parser).ParseResponse(&h, buf, nil)
	for n > 0 && h.Interim() {
		buf = buf[n:]
		n, err = new(httpparse.Parser).ParseResponse(&h, buf, nil)
	}
	switch {
	case n > 0 && h.Status < 400:
		r.invalidate(&h)
	case n == 0 && (err != nil || len(buf) > watchMax): // who knows
		r.l.purge(r.invalidates)
	case n == 0:
		r.seen = bytes.Clone(buf)
		return
	}
	r.invalidates, r.seen = nil, nil
	r.giveUpAlone()
}

// unwatch: the exchange ends without a head that decides. The handler may have changed something all the same.
func (r *run) unwatch() {
	if r.invalidates != nil {
		r.l.purge(r.invalidates)
		r.invalidates, r.seen = nil, nil
	}
}

// detachUnsafe: the client has gone, and the head that decides has not come. The handler is told both that it has gone and that
// no more body comes.
func (r *run) detachUnsafe() {
	r.goesAlone()
	if !r.peerEnded {
		r.peerEnded = true
		r.inner.PeerEnd()
	}
	if !r.bodyOver && !r.ended {
		r.bodyOver = true
		r.inner.BodyAbort(false)
	}
	if r.blocked && !r.ended {
		r.blocked = false
		r.inner.OutputRoom()
	}
}

// invalidate purges what is kept for the target of the request, and for what Location and Content-Location name, if that is on
// the same host.
func (r *run) invalidate(h *httpparse.ResponseHead) {
	r.l.purge(r.invalidates)
	for _, name := range [...]string{"location", "content-location"} {
		if i := h.Find(name, 0); i >= 0 {
			if key := keyOf(h.Value(h.Fields[i]), r.invalidates); key != nil {
				r.l.purge(key)
			}
		}
	}
}

// purge removes what is kept for a key, here and wherever else it may be.
func (l *loop) purge(key []byte) {
	l.store.purge(key)
	if told := l.c.options.Invalidated; told != nil {
		told(string(bytes.TrimSuffix(key, []byte{secureEnd})))
	}
}

// keyOf is the key for a URI in the response to a request whose key was of. nil: it is on another host, or relative to a
// path.
func keyOf(uri, of []byte) []byte {
	uri, _, _ = bytes.Cut(uri, []byte("#"))
	host, _, _ := bytes.Cut(of, []byte("/"))
	if scheme, rest, ok := bytes.Cut(uri, []byte("://")); ok {
		if !is(scheme, "http") && !is(scheme, "https") || len(rest) < len(host) || !httpparse.EqualFold(rest[:len(host)], host) {
			return nil
		}
		uri = rest[len(host):]
		if len(uri) == 0 || uri[0] == '?' {
			uri = append([]byte("/"), uri...)
		}
	}
	if len(uri) == 0 || uri[0] != '/' || len(uri) > 1 && uri[1] == '/' {
		return nil
	}
	return append(bytes.Clone(host), uri...)
}
