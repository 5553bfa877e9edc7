package proxy

import (
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// chunkHead is the room for the size line of a chunk: 8 hexadecimal digits, CR LF.
const chunkHead = 10

// appendPart appends a part of the request body as it is sent.
func (e *exchange) appendPart(dst, data []byte) []byte {
	if !e.chunked {
		return append(dst, data...)
	}
	var size [chunkHead]byte
	dst = append(dst, size[httpwrite.PutChunkSize(size[:], len(data)):]...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// part is appendPart in room of the loop, unless that is data itself.
func (l *loop) part(e *exchange, data []byte) []byte {
	if !e.chunked {
		return data
	}
	l.coded = e.appendPart(l.coded[:0], data)
	return l.coded
}

// BodyRoom implements backend.Running. There is no room until there is a connection, and while the target does not take what it has
// got: so what is held is bounded by twice the window.
func (e *exchange) BodyRoom() (a, b []byte) {
	if !e.more || e.phase == phaseStart || e.phase == phaseOver || e.link == nil || e.link.conn.Full() {
		e.wantsBody = true
		return nil, nil
	}
	if e.window == nil {
		e.window = e.l.takeWindow()
	}
	return e.window[chunkHead : len(e.window)-2], nil // so that a chunk can be made around it
}

// BodyCommit implements backend.Running: it sends what was written to the window.
func (e *exchange) BodyCommit(n int) {
	if n == 0 || e.phase == phaseOver || e.link == nil {
		return
	}
	at, end := chunkHead, chunkHead+n
	if e.chunked {
		at = httpwrite.PutChunkSize(e.window[:chunkHead], n)
		end += copy(e.window[end:], "\r\n")
	}
	e.sendBody(e.window[at:end])
}

// sendBody sends a part of the body, in its coding, and keeps it if that is possible.
func (e *exchange) sendBody(p []byte) {
	if e.phase == phaseStart { // transmit sends it
		e.out = append(e.out, p...)
		return
	}
	if e.mayKeep(len(p)) {
		e.out = append(e.out, p...)
	} else {
		e.kept = false
	}
	e.link.conn.Write(p)
	e.updateDeadline()
}

// BodyTrailer implements backend.Trailered.
func (e *exchange) BodyTrailer(section []byte) {
	for name, value := range httpparse.TrailerFields(section) {
		e.trailer = httpwrite.AppendField(e.trailer, string(name), value)
	}
}

// BodyEnd implements backend.Running.
func (e *exchange) BodyEnd() {
	if e.phase == phaseOver {
		return
	}
	e.more = false
	e.l.putWindow(e.window)
	e.window = nil
	if e.chunked && (e.link != nil || e.phase == phaseStart) {
		last := append(e.l.coded[:0], "0\r\n"...)
		last = append(append(last, e.trailer...), "\r\n"...)
		e.l.coded = last
		e.sendBody(last)
	}
	if e.phase == phaseHead {
		e.sentAt = e.l.Now()
		e.updateDeadline()
	}
}

// BodyAbort implements backend.Running: the request will not be complete. The target must not take it for complete either.
func (e *exchange) BodyAbort(tooLarge bool) {
	if e.phase == phaseOver {
		return
	}
	err := ErrBody
	if tooLarge {
		err = errTooLarge
	}
	e.later(func() { e.fail(err) })
}

// upstreamRoom: the target takes more of the body.
func (e *exchange) upstreamRoom() {
	if e.wantsBody && e.phase != phaseStart {
		e.wantsBody = false
		e.x.BodyRoom()
	}
	if e.phase == phaseHead {
		e.updateDeadline()
	}
}

// updateDeadline sets how long we wait for the target.
func (e *exchange) updateDeadline() {
	k := e.link
	if k == nil {
		return
	}
	o, now := e.service.o, e.l.Now()
	switch {
	case e.blocked:
		k.setDeadline(never) // it is the client's turn, and the engine watches that
	case e.phase == phaseBody:
		k.setDeadline(addTime(now, o.Stall))
	case e.phase == phaseHead && !e.more:
		k.setDeadline(addTime(now, o.Head))
	case e.phase == phaseHead && k.conn.Full():
		k.setDeadline(addTime(now, o.Stall))
	default:
		k.setDeadline(never) // the client's turn too
	}
}
