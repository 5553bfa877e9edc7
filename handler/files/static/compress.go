package static

import (
	"time"

	"moonbridge/httpparse"
)

// Files of these sizes are compressed when a client accepts it. Smaller ones fit into one packet. Larger ones would take too long,
// and too much room: compress them yourself, and put the result beside them.
const (
	encodeMin = 1 << 10
	encodeMax = 1 << 20
)

// compress makes a variant of a file, unless another one is being made, for later requests.
func (l *loop) compress(en *entry, c httpparse.Coding) {
	s := l.s
	if en.passing || !s.encoding.CompareAndSwap(false, true) {
		return
	}
	if !s.lookups.run(en.rule, func() {
		defer s.encoding.Store(false)
		s.compress(en, c)
	}) {
		s.encoding.Store(false)
	}
}

// compress puts another entry in place of en, which has one variant more, or the knowledge that it would be no smaller.
func (s *Static) compress(en *entry, c httpparse.Coding) {
	if en.dead.Load() || !en.acquire() {
		return
	}
	content, ok := en.variants[httpparse.Identity].contents()
	if !ok {
		en.release()
		return
	}
	e := &entry{key: en.key, rule: en.rule, what: en.what, variants: en.variants, offered: en.offered}
	e.possible = en.possible &^ httpparse.CodingsOf(c)
	e.checkedNS.Store(en.checkedNS.Load())
	e.used.Store(true)
	if encoded := s.encode(c, content); encoded != nil {
		e.variants[c] = newMade(en.variants[httpparse.Identity], c, encoded)
		e.offered |= httpparse.CodingsOf(c)
	}
	if !s.store.replace(en, e) {
		e.release()
	}
}

// contents reads the file. ok is false if it is not what it was when it was opened.
func (v *variant) contents() (content []byte, ok bool) {
	if v.file == nil {
		return v.content, true
	}
	content = make([]byte, v.info.size)
	if n, err := readAt(v.file.fd, content); err != nil || n < len(content) {
		return nil, false
	}
	i, err := infoOf(v.file.fd)
	return content, err == nil && i == v.info
}

// newMade describes what a file was compressed to. Its entity tag is the weak form of that of the file.
func newMade(original *variant, c httpparse.Coding, content []byte) *variant {
	v := &variant{content: content, info: original.info, known: original.known, options: original.options, made: true}
	v.known.Size = int64(len(content))
	v.options.Encoding = c.String()
	v.options.ETag = "W/" + original.options.ETag
	v.describe(time.Now().UnixNano())
	return v
}
