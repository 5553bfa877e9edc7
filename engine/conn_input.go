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

// head parses the head that the unread bytes begin with, into h. n is its length, or 0 if it is incomplete. An error says
// why the bytes are refused.
func (in *input) head(h *httpparse.Head, lim *httpparse.Limits) (n int, err error) {
	n, err = in.parser.Parse(h, in.Unread(), lim)
	if err == nil && n > 0 {
		in.parser.Reset()
	}
	return n, err
}
