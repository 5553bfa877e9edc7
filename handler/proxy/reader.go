package proxy

import (
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// reader is how far a response was read.
type reader struct {
	parser httpparse.ResponseParser
	body   httpparse.ResponseBody
	ahead  int   // unread bytes at the start of the input that were found to be body, and are not passed on
	left   int64 // bytes of the body that were not passed on; -1: unknown
}

// skip throws away what has come of a body of known length, and reports whether that was its end.
func (r *reader) skip(c backend.Conn) (over bool) {
	n := int(min(r.left, int64(len(c.Unread()))))
	c.Discard(n)
	r.left -= int64(n)
	return r.left == 0
}
