package crash

import (
	"bytes"
	"mime"
	"net/url"
	"slices"
	"strings"
)

// masked stands for a secret. It can stand in a field, a query, a form and a JSON string.
const masked = "***"

// secretWords are parts of the names of fields whose values are masked. "-" counts as "_".
var secretWords = []string{"authorization", "cookie", "password", "passwd", "passphrase", "token", "secret", "api_key", "apikey", "credential"}

// Mask masks secrets in requests.
type Mask struct {
	words []string
	names []string // of what was masked
}

// NewMask returns a Mask that masks fields with one of the words in their names, too.
func NewMask(more []string) *Mask {
	m := &Mask{words: slices.Clone(secretWords)}
	for _, w := range more {
		m.words = append(m.words, normal(w))
	}
	return m
}

func normal(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }

// Request masks what is secret in a request.
func (m *Mask) Request(q *Request) {
	m.names = nil
	typ := ""
	q.Head, typ = m.head(q.Head)
	q.Body = m.body(q.Body, typ)
	q.Masked = m.names
}

// hides reports whether the value of a field is secret, and notes its name.
func (m *Mask) hides(name string) bool {
	n := normal(name)
	for _, w := range m.words {
		if w != "" && strings.Contains(n, w) {
			if !slices.Contains(m.names, name) && len(m.names) < namesMax {
				m.names = append(m.names, name)
			}
			return true
		}
	}
	return false
}

// namesMax bounds the names that a record lists.
const namesMax = 50

// head masks values of fields, and in the queries of the target and of Referer. It returns the media type, too.
func (m *Mask) head(head []byte) (out []byte, typ string) {
	hidden := false // the field whose line came last
	for i, line := range bytes.SplitAfter(head, []byte("\n")) {
		text, end := cutEnd(line)
		name, value, isField := bytes.Cut(text, []byte(":"))
		field := string(name)
		switch {
		case i == 0:
			text = m.line(text)
		case len(text) > 0 && (text[0] == ' ' || text[0] == '\t'): // it continues the last one
			if hidden {
				text = []byte(" " + masked)
			}
		case !isField:
			hidden = false
		default:
			hidden = m.hides(field)
			switch {
			case hidden:
				text = []byte(field + ": " + masked)
			case strings.EqualFold(field, "Referer"):
				text = m.target(text)
			case strings.EqualFold(field, "Content-Type"):
				typ = strings.TrimSpace(string(value))
			}
		}
		out = append(append(out, text...), end...)
	}
	return out, typ
}

// line masks the query in a request line.
func (m *Mask) line(text []byte) []byte {
	i, j := bytes.IndexByte(text, ' '), bytes.LastIndexByte(text, ' ')
	if i < 0 || j <= i {
		return text
	}
	return slices.Concat(text[:i+1], m.target(text[i+1:j]), text[j:])
}

// target masks the query of a target or a URL.
func (m *Mask) target(text []byte) []byte {
	path, query, has := bytes.Cut(text, []byte("?"))
	if !has {
		return text
	}
	return slices.Concat(path, []byte("?"), m.form(query))
}

func cutEnd(line []byte) (text, end []byte) {
	text = bytes.TrimRight(line, "\r\n")
	return text, line[len(text):]
}

// body masks what is secret in a form or in JSON.
func (m *Mask) body(body []byte, typ string) []byte {
	media, params, err := mime.ParseMediaType(typ)
	if media == "" {
		media, _, _ = strings.Cut(strings.ToLower(typ), ";")
	}
	switch {
	case len(body) == 0:
	case media == "application/x-www-form-urlencoded":
		return m.form(body)
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return m.json(body)
	case err == nil && media == "multipart/form-data" && params["boundary"] != "":
		return m.multipart(body, params["boundary"])
	}
	return body
}

// form masks values of a query or an urlencoded form.
func (m *Mask) form(text []byte) []byte {
	var out []byte
	for len(text) > 0 {
		n := bytes.IndexAny(text, "&;")
		pair, rest := text, []byte(nil)
		if n >= 0 {
			pair, rest = text[:n], text[n:]
		}
		name, _, has := bytes.Cut(pair, []byte("="))
		if has && m.hides(unescaped(name)) {
			pair = slices.Concat(name, []byte("="+masked))
		}
		out = append(out, pair...)
		if len(rest) > 0 {
			out = append(out, rest[0])
			rest = rest[1:]
		}
		text = rest
	}
	return out
}

func unescaped(name []byte) string {
	if s, err := url.QueryUnescape(string(name)); err == nil {
		return s
	}
	return string(name)
}

// multipart masks the contents of parts. A part whose head or end is missing is the last one.
func (m *Mask) multipart(body []byte, boundary string) []byte {
	mark := []byte("--" + boundary)
	var out []byte
	for {
		n := bytes.Index(body, mark)
		if n < 0 {
			return append(out, body...)
		}
		out = append(out, body[:n+len(mark)]...)
		body = body[n+len(mark):]
		i := bytes.Index(body, []byte("\r\n\r\n"))
		if next := bytes.Index(body, mark); i < 0 || next >= 0 && next < i {
			continue
		}
		head := body[:i+4]
		out, body = append(out, head...), body[i+4:]
		if !m.hides(partName(head)) {
			continue
		}
		end := bytes.Index(body, append([]byte("\r\n"), mark...))
		if end < 0 {
			end = len(body)
		}
		out, body = append(out, masked...), body[end:]
	}
}

// partName is the name in the head of a part.
func partName(head []byte) string {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := strings.Cut(string(line), ":")
		if !strings.EqualFold(name, "Content-Disposition") {
			continue
		}
		if _, params, err := mime.ParseMediaType(value); err == nil {
			return params["name"]
		}
		return value // it cannot be read: a word in it counts
	}
	return ""
}
