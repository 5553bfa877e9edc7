package cache

import (
	"strings"

	"moonbridge/httpparse"
)

const (
	// keyMax bounds a key in bytes. Longer ones are passed on: real addresses are shorter, and keys take memory.
	keyMax = 4 << 10
	// secureEnd ends the keys of requests for https, since a handler may redirect those for http. Scripts do not see it. No target has
	// this byte.
	secureEnd = 0

	// secondaryMax bounds the values of the fields that Vary names, in bytes.
	secondaryMax = 4 << 10
)

// query is a request as the store needs it. A loop has one, and uses it again and again.
type query struct {
	head    *httpparse.Head
	key     []byte
	get     bool // GET; otherwise HEAD
	control requestControl

	pragma     bool // Pragma: no-cache
	authorized bool // there is Authorization
	conditions bool // there are fields for httpparse.Conditions
	partial    bool // there is Range
	origin     bool // there is a precondition that only the handler can judge (RFC 9111 §4.3.2)
	directives bool // those of the request count

	best     httpparse.Coding // of those that a compressing backend offers
	accepts  httpparse.Acceptance
	accepted bool // accepts is set

	secondary []byte
	hostAt    int // index of the Host field, or -1
}

// read reads the head of a request with one of the methods GET and HEAD. false: it is not for the cache.
func (q *query) read(h *httpparse.Head, directives bool) bool {
	*q = query{head: h, get: !h.IsHead, control: newRequestControl(), directives: directives,
		key: q.key[:0], secondary: q.secondary[:0], hostAt: -1}
	for i, f := range h.Fields {
		q.field(i, h.Name(f), h.Value(f))
	}
	q.setPragma()
	if q.origin || h.Upgrade || h.ContentLength != 0 || h.Asterisk {
		return false
	}
	return q.setKey()
}

// readKey reads what the key needs. false: there is no key.
func (q *query) readKey(h *httpparse.Head) bool {
	*q = query{head: h, key: q.key[:0], secondary: q.secondary[:0], hostAt: h.Find("host", 0)}
	return q.setKey()
}

func (q *query) setPragma() {
	if q.pragma && !q.control.given && q.directives {
		q.control.noCache = true // RFC 9111 §5.4
	}
}

// field takes one field line into account. The first letter comes first: most fields are none of these.
func (q *query) field(i int, name, value []byte) {
	switch name[0] | 0x20 {
	case 'a':
		q.authorized = q.authorized || is(name, "authorization")
	case 'c':
		if q.directives && is(name, "cache-control") {
			q.control.add(value)
		}
	case 'h':
		if is(name, "host") {
			q.hostAt = i
		}
	case 'i':
		q.ifField(name)
	case 'p':
		q.pragma = q.pragma || is(name, "pragma") && is(value, "no-cache")
	case 'r':
		if is(name, "range") {
			q.conditions, q.partial = true, true
		}
	}
}

func (q *query) ifField(name []byte) {
	switch {
	case is(name, "if-none-match"), is(name, "if-modified-since"), is(name, "if-range"):
		q.conditions = true
	case is(name, "if-match"), is(name, "if-unmodified-since"):
		q.origin = true
	}
}

// setKey sets the key. false: it would be too long.
func (q *query) setKey() bool {
	h := q.head
	host := q.host()
	if len(host)+1+int(h.Path.Len+h.Query.Len) > keyMax {
		return false
	}
	q.key = append(httpparse.AppendLower(q.key, host), '/')
	q.key = append(q.key, h.Bytes(h.Path)...)
	q.key = append(q.key, h.Bytes(h.Query)...)
	if h.Secure {
		q.key = append(q.key, secureEnd)
	}
	return true
}

// host is the value of Host. If the target has an authority, the parser has put that in its place (RFC 9112 §3.2.2). Without the
// field the handler sees no host, and neither does the key.
func (q *query) host() []byte {
	if q.hostAt < 0 {
		return nil
	}
	return q.head.Value(q.head.Fields[q.hostAt])
}

// normalKey is a key as a script may write it: its host is put into lower case.
func normalKey(key string) string {
	host, _, _ := strings.Cut(key, "/")
	return string(httpparse.AppendLower(nil, []byte(host))) + key[len(host):]
}

// secondaryOf returns the values of the request fields with these names. Except for Accept-Encoding they are compared as they were
// sent: only the handler knows which forms of a value mean the same. It is valid until the next call. false: they are too long.
func (q *query) secondaryOf(names []string) ([]byte, bool) {
	b := q.secondary[:0]
	for _, name := range names {
		if name == "accept-encoding" {
			b = append(b, byte('0'+q.coding()))
		} else {
			b = q.appendLines(b, name)
		}
		b = append(b, '\r') // neither this nor the end of a line is in a value
	}
	q.secondary = b
	return b, len(b) <= secondaryMax
}

// appendLines appends the lines of a field, each with an end.
func (q *query) appendLines(b []byte, name string) []byte {
	for i := q.head.Find(name, 0); i >= 0; i = q.head.Find(name, i+1) {
		b = append(b, q.head.Value(q.head.Fields[i])...)
		b = append(b, '\n')
	}
	return b
}

// coding is the content coding that the client gets of those that this server can make. All that Accept-Encoding can say comes
// down to these few values.
func (q *query) coding() httpparse.Coding {
	if !q.accepted {
		q.accepted = true
		q.accepts = q.head.AcceptedCodings()
		q.best = q.accepts.Best(httpparse.CodingsOf(httpparse.Gzip, httpparse.Brotli, httpparse.Zstd))
	}
	return q.best
}

// acceptsCoding reports whether the client can decode a variant. Without this check a handler that compresses by itself, and
// knows fewer codings than this server, could have its response go to a client that knows only the others.
func (q *query) acceptsCoding(v *variant) bool {
	if v.codings == 0 || !v.negotiated {
		return true
	}
	q.coding()
	return v.codings == 1 && !q.accepts.Refuses(v.coding)
}
