package engine

import (
	"moonbridge/bufio"
)

// output is what the socket has not taken yet. While it holds anything, all further bytes go through it: their order is
// the order of the response.
type output struct {
	bufio.Output
	unacknowledged int64 // bytes on their way to the peer, when we began to wait for it; -1: unknown
}

// keep copies up to room bytes of a, then b, and returns how many it copied.
func (o *output) keep(p *bufio.Pool, a, b []byte, room int) (kept int) {
	a = a[:min(len(a), room)]
	b = b[:min(len(b), room-len(a))]
	o.Append(p, a)
	o.Append(p, b)
	return len(a) + len(b)
}

// from returns what is left of a, then b, without their first n bytes.
func from(a, b []byte, n int) (restA, restB []byte) {
	return a[min(n, len(a)):], b[max(0, n-len(a)):]
}
