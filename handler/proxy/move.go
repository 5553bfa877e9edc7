package proxy

import "moonbridge/handler/backend"

const (
	// moveMin is how much of a body must be missing for OutputConn: below it, a copy costs less than the second system call.
	moveMin = 16 << 10
	// largeMin is the size of a body below which the next response of the same target is expected to be small, too.
	largeMin = 32 << 10
	// headRead is how much is read of a response that is expected to be large, so that most of it can be moved.
	headRead = 4 << 10
)

// move passes on head, the unread part of the body, and what comes after it, which is not read. It returns false if nothing was done.
func (e *exchange) move(head []byte, part int) bool {
	missing := e.reads.left - int64(part)
	x, ok := e.x.(backend.ConnSender)
	if !ok || missing < moveMin || part < len(e.link.conn.Unread()) {
		return false
	}
	s := x.OutputConn(head, e.link.conn, missing)
	if !s.Done {
		return false
	}
	e.reads.moved(part, s.Moved)
	e.link.pool.large = e.link.pool.large || s.Moved > 0
	e.blocked = s.Full
	e.keeps = e.keeps && !s.More
	if e.reads.left == 0 {
		e.complete()
	}
	return true
}

// moved: the unread part of the body was passed on, and n bytes after it.
func (r *reader) moved(part int, n int64) {
	r.ahead = 0
	r.body.Skip(n)
	r.left -= int64(part) + n
}
