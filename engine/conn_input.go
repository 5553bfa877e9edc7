package engine

import (
	"moonbridge/bufio"
	"moonbridge/httpparse"
)

// input is what was read and not yet used, and how far the parser has looked at it.
type input struct {
	bufio.Input
	parser httpparse.Parser
	need   int // stateBody: bytes of head and body together
}

// complete reports whether the request of a connection in stateBody is there.
func (in *input) complete() bool { return in.Len() >= in.need }

// head parses the head that the unread bytes begin with, into h. n is its length, or 0 if it is incomplete. A status that
// is not 0 says that the bytes are refused with it.
func (in *input) head(h *httpparse.Head, lim *httpparse.Limits) (n, status int) {
	n, err := in.parser.Parse(h, in.Unread(), lim)
	if err != nil {
		return 0, httpparse.StatusOf(err)
	}
	if n > 0 {
		in.parser.Reset()
	}
	return n, 0
}
