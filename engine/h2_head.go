package engine

import (
	"bytes"

	"moonbridge/httpparse"
)

// h2Heads are heads of responses that were sent a short time ago, with what has become of them: those of a handler are often the same, until Date
// changes. Then they are neither parsed nor encoded. Encoded fields depend on nothing else, since our encoder has no table.
type h2Heads struct {
	all  [h2HeadsKept]h2SentHead
	next uint8 // to be replaced
}

// h2SentHead is one of them.
type h2SentHead struct {
	text   []byte // HTTP/1.1; empty: none
	fields []byte // encoded
	to     httpparse.Method
	phase  h2Phase
	body   int64
}

const (
	h2HeadsKept = 4
	// h2HeadKept is up to which size they are kept.
	h2HeadKept = 1 << 10
)

// find returns the head that p begins with, or nil.
func (h *h2Heads) find(p []byte, to httpparse.Method) *h2SentHead {
	for i := range h.all {
		if e := &h.all[i]; e.to == to && len(e.text) > 0 && bytes.HasPrefix(p, e.text) {
			return e
		}
	}
	return nil
}

// keep keeps the head that st has sent, in place of the oldest one.
func (h *h2Heads) keep(text, fields []byte, st *h2Stream) {
	if len(text) > h2HeadKept || len(fields) > h2HeadKept || st.phase == h2Head || st.connect || h.find(text, st.to) != nil {
		return
	}
	e := &h.all[h.next%h2HeadsKept]
	h.next++
	e.text, e.fields = append(e.text[:0], text...), append(e.fields[:0], fields...)
	e.to, e.phase, e.body = st.to, st.phase, st.body
}

// sendKnown sends the head that p begins with if it was sent before. It returns its length, or 0.
func (st *h2Stream) sendKnown(p []byte) int {
	s := st.s
	if s.retable || st.connect || len(st.part) > 0 {
		return 0
	}
	e := s.l.heads.find(p, st.to)
	if e == nil {
		return 0
	}
	st.phase, st.body = e.phase, e.body
	st.chunks.Reset()
	s.putFields(st.id, e.fields, e.phase == h2Over)
	if e.phase == h2Over {
		st.complete()
	}
	return len(e.text)
}
