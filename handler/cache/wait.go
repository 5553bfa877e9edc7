package cache

import (
	"net/netip"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// keptHead is a copy of a request head, for what comes after Start.
type keptHead struct {
	raw        []byte
	id         []byte
	trace      httpparse.TraceText
	persistent bool
	client     netip.Addr
	secure     bool
	http2      bool
	counted    bool
}

// keep copies a head. have is a copy of the same head that was made earlier, or nil.
func keep(h *httpparse.Head, have *keptHead) *keptHead {
	if have != nil {
		return have
	}
	raw := make([]byte, 0, len(h.Raw)+len("\r\n")+len(h.ID)+len(h.Trace))
	raw = append(append(raw, h.Raw...), "\r\n"...)
	n := len(raw)
	raw = append(raw, h.ID...)
	m := len(raw)
	raw = append(raw, h.Trace...)
	return &keptHead{raw: raw[:n:n], id: raw[n:m:m], trace: raw[m:], persistent: h.Persistent, client: h.Client, secure: h.Secure, http2: h.HTTP2, counted: h.Counted}
}

// parse parses the head again. The result is valid until the next call of any parse on the loop.
func (k *keptHead) parse(l *loop) *httpparse.Head {
	l.parser.Reset()
	h := &l.again
	if n, err := l.parser.Parse(h, k.raw, nil); err != nil || n == 0 {
		return nil
	}
	h.Persistent, h.ID, h.Trace, h.Client, h.Secure, h.HTTP2, h.Counted = k.persistent, k.id, k.trace, k.client, k.secure, k.http2, k.counted
	return h
}

// rewrite returns the request to the backend for what h asks for: a GET without the conditions of the client. If prev can be
// validated, it has those that do that (RFC 9111 §4.3.1). It is valid until the next call.
func (l *loop) rewrite(h *httpparse.Head, prev *variant) *httpparse.Head {
	b := append(l.raw[:0], "GET "...)
	b = append(b, h.Bytes(h.Target)...)
	b = append(b, " HTTP/1."...)
	b = append(b, '0'+h.Minor, '\r', '\n')
	for _, f := range h.Fields {
		if name := h.Name(f); !isCondition(name) {
			b = httpwrite.AppendField(b, string(name), h.Value(f))
		}
	}
	if prev != nil && prev.validators.ETag != "" {
		b = httpwrite.AppendField(b, "If-None-Match", prev.validators.ETag)
	}
	if prev != nil && prev.lastModified != "" {
		b = httpwrite.AppendField(b, "If-Modified-Since", prev.lastModified)
	}
	l.raw = append(b, "\r\n"...)
	l.parser.Reset()
	if n, err := l.parser.Parse(&l.own, l.raw, nil); err != nil || n == 0 {
		return nil
	}
	l.own.Persistent, l.own.ID, l.own.Trace, l.own.Client, l.own.Secure, l.own.HTTP2 = h.Persistent, h.ID, h.Trace, h.Client, h.Secure, h.HTTP2
	l.own.Counted = h.Counted
	return &l.own
}

// isCondition reports whether a field makes a request conditional or asks for a part.
func isCondition(name []byte) bool {
	return is(name, "range") || is(name, "if-none-match") || is(name, "if-modified-since") || is(name, "if-range")
}

// wait makes the run wait for a fill, of which it is one of the waiters already.
func (r *run) wait(f *fill) {
	r.state, r.waitsFor = runWaiting, f
	r.l.waiting[r] = struct{}{}
	if r.timer == nil {
		r.timer = r.l.on.After(r.l.c.options.Wait, r.expire)
	}
}

// expire: the run has waited long enough.
func (r *run) expire() {
	r.late = true
	if r.state == runWaiting && r.waitsFor.unwait(r) {
		r.resume()
	}
}

// unwait ends the waiting of a run that is cancelled.
func (r *run) unwait() {
	delete(r.l.waiting, r)
	r.timer.Stop()
	r.waitsFor.unwait(r) // or it is woken, and finds that it is over
}

// endWaits has all requests that wait go on without what they wait for.
func (l *loop) endWaits() {
	for r := range l.waiting {
		r.late = true
		r.waitsFor.unwait(r) // or it is about to be woken, and then does nothing more
		r.resume()
	}
}

// wake tells runs, each on its loop, that the fill for which they have waited is over. late: it is not, but
// they are not to wait for it any longer.
func wake(waiters []*run, late bool) {
	for len(waiters) > 0 {
		l := waiters[0].l
		var mine, others []*run
		for _, r := range waiters {
			if r.l == l {
				mine = append(mine, r)
			} else {
				others = append(others, r)
			}
		}
		l.on.Post(func() {
			for _, r := range mine {
				r.late = r.late || late
				r.resume()
			}
		})
		waiters = others
	}
}

// resume decides once more what happens to a request that has waited.
func (r *run) resume() {
	if r.state != runWaiting {
		return
	}
	l := r.l
	delete(l.waiting, r)
	h := r.kept.parse(l)
	if h == nil || !l.q.read(h, !l.c.options.IgnoreDirectives) {
		r.refuse(500, 0)
		return
	}
	a := l.store.ask(&l.q, r, r.late, l.on.Now())
	if a.action == actWait {
		r.wait(a.fill)
		return
	}
	r.timer.Stop()
	switch a.action {
	case actServe:
		r.answerWith(a.v, &l.q, a.result())
		if a.fill != nil {
			r.result = backend.CacheRefresh
			l.renew(a.fill, r.x, h, r.listener)
		}
		r.sendNow()
	case actFill:
		_, err := l.fill(r, &a, h, r.listener)
		r.started(h, err)
	case actPass:
		r.state = runForward
		inner, err := l.Next.Start(forwarded{r}, h, r.listener, nil, false)
		r.inner = inner
		r.started(h, err)
	default:
		r.refuse(504, 0)
	}
}

// started: the wrapped backend has taken the exchange of a run that has waited, or refused it.
func (r *run) started(h *httpparse.Head, err error) {
	switch {
	case err == nil && r.peerEnded && r.state == runForward:
		r.PeerEnd()
	case err != nil:
		backend.CountRefused(r.l.on, r.x, h, err)
		r.giveUp()
		backend.Refuse(r.x, err)
	}
}

// refuse has the engine answer a run that has waited.
func (r *run) refuse(status int, retry time.Duration) {
	r.giveUp()
	r.x.Failed(status, retry)
}

// giveUp ends a run whose answer is not that of a backend.
func (r *run) giveUp() {
	r.timer.Stop()
	r.state = runOver
}
