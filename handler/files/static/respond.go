package static

import (
	"strings"
	"time"

	"moonbridge/handler/files"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// respond prepares the response with an entry. false: the entry turns out to be outdated, which only happens if it is not new.
func (l *loop) respond(e *exchange, h *httpparse.Head, en *entry, isNew bool) bool {
	switch en.what {
	case whatFile:
		return l.respondFile(e, h, en, isNew)
	case whatRedirect:
		l.redirect(e, h, en)
	case whatListing:
		l.page(e, en.page)
	case whatError:
		after := time.Duration(0)
		if en.status == 503 {
			after = retryAfter
		}
		e.fail(en.status, after)
	default:
		e.fail(404, 0)
	}
	return true
}

// respondFile prepares the response with a file.
func (l *loop) respondFile(e *exchange, h *httpparse.Head, en *entry, isNew bool) bool {
	v := en.variants[httpparse.Identity]
	if en.offered|en.possible != httpparse.CodingsOf(httpparse.Identity) {
		v = l.choose(h, en)
	}
	if v.file != nil && !v.take(e, isNew) {
		en.dead.Store(true)
		l.s.store.drop(en)
		return false
	}
	conditions := h.Conditions()
	if conditions.None() {
		l.whole(e, v)
		return true
	}
	r := files.Request{Get: !h.IsHead, Head: h.IsHead, Conditions: conditions, Now: time.Now().UnixNano()}
	p := &l.plan
	p.Make(&r, &v.known, &v.options)
	fixed := l.fixed.lines
	if p.Status < 400 {
		fixed = l.fixed.beside(v.options.CacheControl != "")
	}
	l.makeHead(e, p.Status, p.Fields, p.Length, fixed)
	l.setBody(e, p, v)
	return true
}

// choose returns the variant that the client likes best. A file that lies compressed beside the original comes before one that
// has to be compressed: the first may be smaller, and is there. Ranges are always those of the original, since nothing
// guarantees that the compressed bytes are the same the next time.
func (l *loop) choose(h *httpparse.Head, en *entry) *variant {
	accepted := h.AcceptedCodings()
	best := accepted.Best(en.offered)
	if v := en.variants[best]; best != httpparse.Identity && !v.made || best == httpparse.Identity && en.possible == 0 {
		return v
	}
	if h.Find("range", 0) >= 0 {
		return en.variants[httpparse.Identity]
	}
	if wanted := accepted.Best(en.offered | en.possible); wanted != best {
		l.compress(en, wanted)
	}
	return en.variants[best]
}

// take gives e the file. false: it is not what it was when it was opened. The call that finds this out does not wait for a disk:
// files of other machines are not kept.
func (v *variant) take(e *exchange, isNew bool) bool {
	if !v.file.acquire() {
		return false
	}
	if !isNew {
		if i, err := infoOf(v.file.fd); err != nil || i != v.info {
			v.file.Release()
			return false
		}
	}
	e.file = v.file
	return true
}

// whole is the response to a request without conditions.
func (l *loop) whole(e *exchange, v *variant) {
	l.makeHead(e, 200, v.fields, v.known.Size, l.fixed.beside(v.options.CacheControl != ""))
	switch {
	case e.isHead:
	case v.file == nil:
		e.body = v.content
	default:
		e.whole[0] = files.Part{Length: v.known.Size}
		e.parts = e.whole[:]
	}
}

// setBody makes the plan's body that of e. The plan's memory is used again before the response is out.
func (l *loop) setBody(e *exchange, p *files.Plan, v *variant) {
	if v.file == nil && len(p.Parts) == 1 && len(p.Closing) == 0 {
		part := p.Parts[0]
		e.body = v.content[part.Offset : part.Offset+part.Length]
		return
	}
	if v.file == nil || len(p.Parts) == 0 {
		for _, part := range p.Parts {
			e.body = append(append(e.body, part.Before...), v.content[part.Offset:part.Offset+part.Length]...)
		}
		e.body = append(e.body, p.Closing...)
		return
	}
	for _, part := range p.Parts {
		part.Before = append([]byte(nil), part.Before...)
		e.parts = append(e.parts, part)
	}
	e.closing = append([]byte(nil), p.Closing...)
}

// makeHead makes the head of a response. fixed are the lines of l.fixed that it has beside its own fields.
func (l *loop) makeHead(e *exchange, status int, fields []byte, length int64, fixed string) {
	e.state = stateAnswer
	h := httpwrite.Head{Status: status, Fields: fields, Fixed: fixed, Length: length, Close: e.close, KeepAlive: e.keepAlive}
	if !l.fixed.dated {
		h.Date = l.dates.At(l.on.Now())
	}
	e.at = len(l.heads)
	l.heads = h.Append(l.heads)
	e.headLen = len(l.heads) - e.at
}

// redirect sends the client to the path with a slash, so that relative links work. The query is kept.
func (l *loop) redirect(e *exchange, h *httpparse.Head, en *entry) {
	fields := httpwrite.AppendField(nil, "Content-Type", "text/plain")
	fields = httpwrite.AppendField(fields, "Location", en.location+string(h.Bytes(h.Query)))
	l.text(e, 301, fields)
}

// notAllowed refuses a method.
func (l *loop) notAllowed(e *exchange) {
	l.text(e, 405, []byte("Content-Type: text/plain\r\nAllow: GET, HEAD\r\n"))
}

// text is a response with the text for its status.
func (l *loop) text(e *exchange, status int, fields []byte) {
	body := httpwrite.AppendErrorText(nil, status)
	l.makeHead(e, status, fields, int64(len(body)), l.fixed.lines)
	if !e.isHead {
		e.body = body
	}
}

// page is a response with a listing. It has a policy of its own: with another one beside it, browsers could ignore its styles.
func (l *loop) page(e *exchange, page []byte) {
	const fields = "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n" +
		"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'self'\r\n"
	l.makeHead(e, 200, []byte(fields), int64(len(page)), l.fixed.listing)
	if !e.isHead {
		e.body = page
	}
}

// fixed are the fields that all responses of a listener have.
type fixed struct {
	lines    string // without Content-Type and Connection
	file     string // the same without those that each file has of its own
	uncached string // the same without Cache-Control
	listing  string // the same without Cache-Control and Content-Security-Policy
	dated    bool   // there is a Date
	close    bool   // there is Connection: close
}

// beside returns the lines for a file. cached: it has a Cache-Control of its own.
func (f *fixed) beside(cached bool) string {
	if cached {
		return f.uncached
	}
	return f.file
}

func newFixed(lines string) *fixed {
	f := new(fixed)
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if name == "content-type" {
			continue
		}
		if name == "connection" {
			f.close = f.close || strings.EqualFold(strings.TrimSpace(value), "close")
			continue
		}
		f.dated = f.dated || name == "date"
		f.lines += line
		if name == "x-content-type-options" {
			continue
		}
		f.file += line
		if name == "cache-control" {
			continue
		}
		f.uncached += line
		if name != "content-security-policy" {
			f.listing += line
		}
	}
	return f
}
