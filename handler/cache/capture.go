package cache

import (
	"slices"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

const (
	// markUncacheable and markAfterError are how long requests for a key do not wait for each other after a response that was
	// not kept.
	markUncacheable = 60 * time.Second
	markAfterError  = 5 * time.Second
	// retryDelay is how long a backend that has failed is not asked again, if there is a stale response to answer with.
	retryDelay = time.Second
	// bodyFirst is the first room for a body of unknown length, in bytes.
	bodyFirst = 4 << 10
	// headPiece is how much of the output is copied at a time until a head is whole, in bytes.
	headPiece = 4 << 10
)

// capture is what is known about the response of the wrapped backend while it comes.
type capture struct {
	parser  httpparse.Parser
	head1   []byte // the beginning of a head, in memory of our own
	head    httpparse.ResponseHead
	decided bool // the final head has come, and the response is to be kept

	at       int64 // when it came, on the loop's clock
	facts    facts
	stored   []byte // the head as it is kept, without Content-Length
	body     httpparse.ResponseBody
	data     []byte
	reserved int64 // bytes of the store's memory
}

// takeHead looks for the final head in the output, and passes it on.
//
// The output is memory that a worker may change while it is read. What is parsed, passed on and kept under a key is therefore one
// copy of the head. A head that passes the parser and then becomes another one could contain anything.
func (r *run) takeHead(a, b []byte, last bool) (taken int) {
	c := r.capture
	buf := c.head1
	for {
		n, err := c.parser.ParseResponse(&c.head, buf, nil)
		switch {
		case err != nil:
			c.head1 = nil
			r.failFill(markUncacheable)
			a, b = skip(a, b, taken)
			return taken + r.passHead(buf, a, b, last)
		case n > 0 && !c.head.Interim():
			c.head1 = nil
			taken -= len(buf) - n // that is body
			a, b = skip(a, b, taken)
			r.decide()
			return taken + r.passHead(r.withStatus(buf[:n]), a, b, last)
		case n > 0:
			r.push(buf[:n])
			buf = buf[n:]
		case taken < len(a)+len(b):
			next, more := skip(a, b, taken)
			if len(next) == 0 {
				next = more
			}
			next = next[:min(len(next), headPiece)]
			buf = append(buf, next...)
			taken += len(next)
		default:
			c.head1 = buf
			return taken
		}
	}
}

// skip is a and b without the first n bytes.
func skip(a, b []byte, n int) (restA, restB []byte) {
	return a[min(n, len(a)):], b[max(0, n-len(a)):]
}

// passHead passes on a head, of which all counts as taken, and the body that follows it in the output. It returns how much of
// a and b was taken.
func (r *run) passHead(head, a, b []byte, last bool) (n int) {
	if len(a) == 0 {
		a, b = b, nil
	}
	sent := r.offer(head, a, last && len(b) == 0)
	if sent < len(head) {
		r.held = append(r.held, head[sent:]...)
		sent = len(head)
	}
	n = sent - len(head)
	if n == len(a) && len(b) > 0 && len(r.held) == 0 {
		n += r.pass(b, nil, last)
	}
	r.blocked = n < len(a)+len(b)
	r.takeBody(a[:min(n, len(a))])
	r.takeBody(b[:max(0, n-len(a))])
	return n
}

// offer is pass, if nothing is held.
func (r *run) offer(a, b []byte, last bool) int {
	if len(r.held) > 0 && r.x != nil && !r.ownAnswer {
		return 0
	}
	return r.pass(a, b, last)
}

// decide: the final head is in capture.head.
func (r *run) decide() {
	c, s, prev := r.capture, r.l.store, r.filling.prev
	c.at, c.facts = r.l.on.Now(), readFacts(&c.head, time.Now().Unix())
	f := &c.facts
	switch {
	case f.status == 304 && r.validates:
		r.revalidated()
		return
	case f.status >= 500 && r.mayFallBack():
		r.answer, r.ownAnswer, r.result = prev, true, backend.CacheStale
		prev.hold()
		r.filling.fellBack()
		r.failFill(0)
		return
	}
	c.stored = appendStored(nil, &c.head, f.dated)
	ok := f.storable(r.authorized) && c.head.ContentLength <= s.entryMax
	if ok {
		c.body.Begin(&c.head, false)
		ok = c.head.ContentLength < 0 || r.reserve(int(c.head.ContentLength))
	}
	if ok {
		c.decided = true
	} else {
		r.notKept(f.status)
	}
	r.answerCondition(f, c.stored)
}

// notKept ends a fill whose response is not to be kept.
func (r *run) notKept(status int) {
	if status >= 500 {
		r.failFill(markAfterError)
	} else {
		r.filling.discard()
		r.finishFill(nil, markUncacheable)
	}
	r.giveUpAlone()
}

// answerCondition answers the client with 304 if its conditions, which the backend did not get, are met.
func (r *run) answerCondition(f *facts, stored []byte) {
	if !r.conditional || r.x == nil || f.status != 200 {
		return
	}
	h := r.kept.parse(r.l)
	if h == nil {
		return
	}
	cond := h.Conditions()
	v := httpparse.Validators{ETag: f.etag, Modified: f.modified, HasModified: f.lastModified != ""}
	if cond.Evaluate(true, true, &v, time.Now().Unix()) != httpparse.NotModified {
		return
	}
	out := appendDerived(nil, statusNotModified, stored)
	out = r.appendStatusField(out)
	out = r.appendEnd(out)
	r.push(out)
	r.ownAnswer, r.closing, r.end = true, true, r.ownEnd()
	if len(r.held) == 0 {
		r.closeClient()
		r.goesAlone()
		r.giveUpAlone()
	}
}

// reserve makes room for n bytes of body in all.
func (r *run) reserve(n int) bool {
	c := r.capture
	if n > cap(c.data) {
		if !r.l.store.reserve(int64(n - cap(c.data))) {
			return false
		}
		grown := make([]byte, len(c.data), n)
		c.reserved = int64(n)
		copy(grown, c.data)
		c.data = grown
	}
	return true
}

// takeBody keeps the next bytes of the response.
func (r *run) takeBody(p []byte) {
	for c := r.capture; c != nil && c.decided && len(p) > 0 && c.body.Missing(); {
		data, n, err := c.body.Next(p)
		p = p[n:]
		if err != nil || !r.addData(data) {
			r.notKept(0)
			return
		}
	}
}

func (r *run) addData(data []byte) bool {
	c := r.capture
	need := len(c.data) + len(data)
	if int64(need) > r.l.store.entryMax {
		return false
	}
	if need > cap(c.data) && !r.reserve(int(min(max(int64(need), int64(2*cap(c.data)), bodyFirst), r.l.store.entryMax))) {
		return false
	}
	c.data = append(c.data, data...)
	return true
}

// keepResponse keeps the response, which is complete.
func (r *run) keepResponse() {
	c := r.capture
	secondary, ok := r.secondary(c.facts.varies)
	if len(c.data) < cap(c.data) {
		c.data = slices.Clone(c.data) // the copy is counted in place of the original
		r.l.store.used.Add(int64(cap(c.data)) - c.reserved)
		c.reserved = int64(cap(c.data))
	}
	head := appendLength(c.stored, c.facts.status, len(c.data))
	v := newVariant(&c.facts, secondary, slices.Clone(head), c.data, c.at)
	counted := c.reserved
	c.reserved = 0
	if !ok {
		r.l.store.used.Add(-counted)
		r.finishFill(nil, markUncacheable)
		return
	}
	if !r.l.store.admit(v, counted) {
		v = nil
	}
	r.finishFill(v, 0)
}

// secondary is what the request has in the fields that the response varies by.
func (r *run) secondary(varies []string) (string, bool) {
	if len(varies) == 0 {
		return "", true
	}
	if r.kept == nil {
		return "", false
	}
	h := r.kept.parse(r.l)
	if h == nil {
		return "", false
	}
	q := query{head: h}
	b, ok := q.secondaryOf(varies)
	return string(b), ok
}

// revalidated: the backend says that what is kept is still valid. Its head is brought up to date (RFC 9111 §3.2).
func (r *run) revalidated() {
	c, s, prev := r.capture, r.l.store, r.filling.prev
	var head httpparse.ResponseHead
	raw := appendFreshened(nil, prev, &c.head)
	n, err := new(httpparse.Parser).ParseResponse(&head, append(raw, "\r\n"...), nil)
	if err != nil || n == 0 {
		r.answer, r.ownAnswer = prev, true
		prev.hold()
		r.failFill(0)
		return
	}
	f := readFacts(&head, time.Now().Unix())
	secondary, ok := r.secondary(f.varies)
	v := newVariant(&f, secondary, slices.Clone(raw), prev.body, c.at)
	ok = ok && f.storable(r.authorized) && s.admit(v, 0)
	if !ok {
		v.store = s // the client gets it all the same
		s.used.Add(v.cost)
	}
	r.ownAnswer = true
	if r.x != nil {
		v.hold()
		r.answer = v
	}
	if ok {
		r.finishFill(v, 0)
		return
	}
	r.filling.discard()
	r.finishFill(nil, markUncacheable)
	v.release()
}

// failFill ends a fill without a response that is kept. If there is a stale one, the backend is left alone for a while.
func (r *run) failFill(markFor time.Duration) {
	if r.filling != nil && r.filling.prev != nil {
		r.filling.prev.retryAt.Store(r.l.on.Now() + int64(retryDelay))
	}
	r.finishFill(nil, markFor)
}

// finishFill ends a fill, and tells those that wait for it.
func (r *run) finishFill(v *variant, markFor time.Duration) {
	if r.x != nil || r.ended {
		r.stopAlone()
	}
	if r.stall != nil {
		r.stall.Stop()
		r.stall = nil
	}
	if c := r.capture; c != nil {
		r.l.store.used.Add(-c.reserved)
		r.capture = nil
	}
	if f := r.filling; f != nil {
		r.filling = nil
		wake(f.finish(v, int64(markFor), r.l.on.Now()), false)
	}
}

// mayFallBack reports whether a stale response may answer if the backend fails.
func (r *run) mayFallBack() bool {
	prev := r.filling.prev
	return prev != nil && !r.insists && prev.answersErrors(r.l.on.Now())
}

// fallBack makes a stale response the answer, because the backend has failed. false: there is none that may be used.
func (r *run) fallBack() bool {
	if !r.mayFallBack() {
		return false
	}
	prev := r.filling.prev
	prev.hold()
	r.filling.fellBack()
	r.failFill(0)
	if r.x == nil {
		prev.release()
		r.state = runOver
		return true
	}
	r.answerWith(prev, r.ownQuery(), backend.CacheStale)
	return true
}

// appendStored appends a response head as it is kept: without Content-Length and Age, and without what concerns only the
// connection (RFC 9111 §3.1). dated: it has a Date.
func appendStored(dst []byte, h *httpparse.ResponseHead, dated bool) []byte {
	dst = append(dst, "HTTP/1.1"...)
	dst = append(dst, h.Raw[len("HTTP/1.1"):h.Lines]...)
	hop := hopOf(h)
	for i, f := range h.Fields {
		name := h.Name(f)
		if ofConnection(&hop, name) || is(name, "content-length") || is(name, "age") || is(name, "date") && !dated {
			continue
		}
		dst = append(dst, h.Line(i)...)
	}
	if !dated {
		dst = httpwrite.AppendField(dst, "Date", httpwrite.AppendDate(nil, time.Now().Unix()))
	}
	return dst
}

// ofConnection reports whether a field concerns only the connection (RFC 9110 §7.6.1), or a proxy (RFC 9111 §3.1).
func ofConnection(hop *httpparse.Hop, name []byte) bool {
	return hop.Drop(name) || is(name, "trailer") || is(name, "proxy-authentication-info")
}

// hopOf knows the fields of h that are hop-by-hop. Of too many that Connection names it knows the first ones.
func hopOf(h *httpparse.ResponseHead) (hop httpparse.Hop) {
	_ = hop.Reset(h.Raw, h.Fields)
	return hop
}

// appendLength appends Content-Length, unless the status says that there is no body.
func appendLength(dst []byte, status, length int) []byte {
	if status == 204 {
		return dst
	}
	return httpwrite.AppendNumber(dst, "Content-Length", int64(length))
}
