package cache

import (
	"bytes"
	"strconv"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// windowBytes is how much a connection keeps in memory of a response that its client does not take: what is left of one is
// marked as the last part only if it is not larger.
const windowBytes = 64 << 10

// planKind is what a client gets of a variant.
type planKind uint8

const (
	planWhole planKind = iota
	planNotModified
	planRange
	planUnsatisfiable
)

// plan is what a client gets of a variant: the body, or a range of it.
type plan struct {
	kind   planKind
	offset int
	length int
}

// planFor decides what a client gets (RFC 9110 §13.2, §14.2). wall is in seconds since 1970. Several ranges are answered with
// the whole body, which is always allowed. So are those of a compressed body: If-Range with a date does not tell its codings
// apart.
func planFor(v *variant, q *query, wall int64) plan {
	whole := plan{length: len(v.body)}
	if q == nil || !q.conditions || v.status != 200 {
		return whole
	}
	c := q.head.Conditions()
	if c.Evaluate(true, true, &v.validators, wall) == httpparse.NotModified {
		return plan{kind: planNotModified}
	}
	if !q.get || v.codings > 0 || !c.RangeApplies(&v.validators, wall) {
		return whole
	}
	var room [httpparse.RangesMax]httpparse.ByteRange
	ranges, verdict := httpparse.Ranges(room[:0], c.Range, int64(len(v.body)))
	switch {
	case verdict == httpparse.RangeUnsatisfiable:
		return plan{kind: planUnsatisfiable}
	case verdict == httpparse.RangeSatisfiable && len(ranges) == 1:
		return plan{kind: planRange, offset: int(ranges[0].Offset), length: int(ranges[0].Length)}
	}
	return whole
}

// answerWith makes v, which is held, the answer. q is the request, nil if it has no conditions.
func (r *run) answerWith(v *variant, q *query, result backend.CacheResult) {
	r.state, r.v, r.result = runServing, v, result
	wall := int64(0)
	if q != nil && q.conditions {
		wall = time.Now().Unix()
	}
	r.plan = planFor(v, q, wall)
}

// ownQuery is the request, read again, if it has conditions that the backend did not get. nil: it has none.
func (r *run) ownQuery() *query {
	if !r.conditional || r.kept == nil {
		return nil
	}
	h := r.kept.parse(r.l)
	if h == nil || !r.l.q.read(h, true) {
		return nil
	}
	return &r.l.q
}

// sendNow sends what is the answer, outside of Start.
func (r *run) sendNow() {
	r.send()
	r.recycle()
}

// send offers what is left of the response to the client.
func (r *run) send() {
	head := r.rest
	if !r.begun {
		r.begun = true
		r.l.out = r.appendHead(r.l.out[:0])
		head = r.l.out
	}
	body := r.bodyLeft()
	n := r.x.Output(head, body, len(head)+len(body) <= windowBytes)
	if r.state != runServing {
		return // cancelled in Output
	}
	if n < len(head) {
		r.rest = append(r.rest[:0], head[n:]...)
		return
	}
	r.rest = r.rest[:0]
	r.sent += n - len(head)
	if n < len(head)+len(body) {
		return
	}
	r.endServing()
	x := r.x
	r.x = nil
	x.Done(r.ownEnd())
}

// bodyLeft is what is to be sent of the body.
func (r *run) bodyLeft() []byte {
	if r.isHead || r.plan.length == 0 {
		return nil
	}
	return r.v.body[r.plan.offset+r.sent : r.plan.offset+r.plan.length]
}

func (r *run) endServing() {
	r.state = runOver
	r.v.release()
	r.v = nil
}

// ownEnd is what happens to the connection after a response of the cache's own.
func (r *run) ownEnd() backend.End {
	if r.persistent && !r.l.c.options.Close {
		return backend.EndKeep
	}
	return backend.EndClose
}

const (
	statusNotModified   = "304 Not Modified"
	statusPartial       = "206 Partial Content"
	statusUnsatisfiable = "416 Range Not Satisfiable"
)

// appendHead appends the head of the response from the store.
func (r *run) appendHead(dst []byte) []byte {
	v, size := r.v, len(r.v.body)
	switch r.plan.kind {
	case planWhole:
		dst = append(dst, v.head...)
	case planNotModified:
		dst = appendDerived(dst, statusNotModified, v.head)
	case planRange:
		dst = appendDerived(dst, statusPartial, v.head)
		dst = append(dst, "Content-Range: bytes "...)
		dst = strconv.AppendInt(dst, int64(r.plan.offset), 10)
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, int64(r.plan.offset+r.plan.length-1), 10)
		dst = append(dst, '/')
		dst = strconv.AppendInt(dst, int64(size), 10)
		dst = append(dst, "\r\n"...)
		dst = appendLength(dst, 206, r.plan.length)
	case planUnsatisfiable:
		dst = appendDerived(dst, statusUnsatisfiable, v.head)
		dst = append(dst, "Content-Range: bytes */"...)
		dst = strconv.AppendInt(dst, int64(size), 10)
		dst = append(dst, "\r\nContent-Length: 0\r\n"...)
	}
	dst = httpwrite.AppendNumber(dst, "Age", v.age(r.l.on.Now())/int64(time.Second))
	dst = r.appendStatusField(dst)
	return r.appendEnd(dst)
}

// appendEnd appends the last fields and the empty line.
func (r *run) appendEnd(dst []byte) []byte {
	switch {
	case r.ownEnd() == backend.EndClose:
		dst = append(dst, "Connection: close\r\n"...)
	case r.keepAlive:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendDerived appends a head with another status and the fields of a stored head that go with it: a 206 describes the
// content, a 304 (RFC 9110 §15.4.5) and a 416 have none.
func appendDerived(dst []byte, status string, stored []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(dst, status...)
	dst = append(dst, "\r\n"...)
	_, lines, _ := bytes.Cut(stored, []byte("\n"))
	for line := range bytes.Lines(lines) {
		if name, _, _ := bytes.Cut(line, []byte(":")); !omitted(status, name) {
			dst = append(dst, line...)
		}
	}
	return dst
}

func omitted(status string, name []byte) bool {
	if is(name, "content-length") || is(name, "content-range") {
		return true
	}
	return status != statusPartial && (is(name, "content-type") || is(name, "content-encoding") || is(name, "content-language"))
}

// appendFreshened appends the head of prev with the fields of a 304 in place of its own (RFC 9111 §3.2).
func appendFreshened(dst []byte, prev *variant, h *httpparse.ResponseHead) []byte {
	line, lines, _ := bytes.Cut(prev.head, []byte("\n"))
	dst = append(append(dst, line...), '\n')
	for line := range bytes.Lines(lines) {
		if name, _, _ := bytes.Cut(line, []byte(":")); !prev.updatedBy(h, name) {
			dst = append(dst, line...)
		}
	}
	hop := hopOf(h)
	for i := range h.Fields {
		if prev.takes(h, &hop, i) {
			dst = append(dst, h.Line(i)...)
		}
	}
	return dst
}

// updatedBy reports whether h has lines that replace the stored ones with this name.
func (v *variant) updatedBy(h *httpparse.ResponseHead, name []byte) bool {
	if keepsStored(name) {
		return false
	}
	for i := h.Find(string(name), 0); i >= 0; i = h.Find(string(name), i+1) {
		if !v.guessed(name, h.Value(h.Fields[i])) {
			return true
		}
	}
	return false
}

// takes reports whether the i-th line of a 304 becomes part of the stored head.
func (v *variant) takes(h *httpparse.ResponseHead, hop *httpparse.Hop, i int) bool {
	name := h.Name(h.Fields[i])
	return !keepsStored(name) && !ofConnection(hop, name) && !is(name, "age") && !v.guessed(name, h.Value(h.Fields[i]))
}

// guessed recognises the Vary field that package compress adds to a 304 without knowing what that is for. If the stored response
// does not vary by the coding and has none, it was not compressed, and clients of all kinds can still get it.
func (v *variant) guessed(name, value []byte) bool {
	return v.codings == 0 && !v.negotiated && is(name, "vary") && is(value, "accept-encoding")
}

// keepsStored reports whether the stored field counts, whatever a 304 says: it describes the stored body.
func keepsStored(name []byte) bool {
	return is(name, "content-length") || is(name, "content-encoding") || is(name, "content-type") || is(name, "content-range")
}

// Cache-Status (RFC 9211).

const statusName = "Cache-Status: moonbridge; "

// appendStatusField appends Cache-Status, if it is wanted.
func (r *run) appendStatusField(dst []byte) []byte {
	if !r.l.c.options.Status {
		return dst
	}
	if r.v == nil || r.why != "" {
		dst = append(dst, statusName+"fwd="...)
		dst = append(dst, r.why...)
		return append(dst, "\r\n"...)
	}
	dst = append(dst, statusName+"hit; ttl="...)
	left := r.v.lifetime/int64(time.Second) - r.v.age(r.l.on.Now())/int64(time.Second)
	dst = strconv.AppendInt(dst, left, 10)
	return append(dst, "\r\n"...)
}

// withStatus returns a head with Cache-Status in it, if that is wanted.
func (r *run) withStatus(head []byte) []byte {
	if !r.l.c.options.Status || r.x == nil || r.ownAnswer {
		return head
	}
	out := append(r.l.out[:0], head[:len(head)-2]...)
	out = r.appendStatusField(out)
	r.l.out = append(out, head[len(head)-2:]...)
	return r.l.out
}

// why says for Cache-Status why a request goes on to the backend.
func (q *query) why(a *answer) string {
	switch {
	case q.control.noCache || q.control.maxAge == 0:
		return "request"
	case a.fill.prev != nil:
		return "stale"
	}
	return "miss"
}
