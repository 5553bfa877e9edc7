package proxy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// coding is how the body of a response is passed on.
type coding uint8

const (
	codingSame    coding = iota // as it comes: its length is known, or it ends with the connection on both sides
	codingChunked               // in chunks of our own: as it comes in chunks, or ends with the connection
	codingPlain                 // without the chunks that it comes in, until our connection ends: for HTTP/1.0
)

// received: there is something of the response, or its end. While the client takes nothing, it stays where it is.
func (e *exchange) received() {
	if e.blocked {
		return
	}
	for e.phase == phaseHead {
		if !e.readHead() {
			return
		}
	}
	if e.phase == phaseBody {
		e.pass(nil)
	}
}

// readHead looks for a response head. It returns false if nothing more can be done now.
func (e *exchange) readHead() bool {
	c, r := e.link.conn, &e.l.response
	n, err := e.reads.parser.Parse(r, c.Unread(), e.method, &e.l.limits)
	if err == nil && n > 0 {
		err = e.l.hop.Reset(r.Raw, r.Fields)
	}
	switch {
	case err != nil:
		e.attemptFailed(fmt.Errorf("%w: %w", ErrInvalid, err))
	case n == 0 && c.Ended():
		e.attemptFailed(ErrClosed)
	case n == 0:
	case r.Status == 101:
		e.switchTo(n)
	case r.Interim():
		return e.interim(n)
	default:
		e.respond(n)
	}
	return false
}

// respond passes on the final head, which is the first n bytes of the input, and what has come after it.
func (e *exchange) respond(n int) {
	now, r := e.l.Now(), &e.l.response
	e.server.Answered(now, time.Duration(now-e.sentAt))
	c := e.l.config
	if slices.Contains(c.Retry.On, r.Status) && e.rejected() {
		return
	}
	p := &e.l.answer
	*p = Response{head: &r.ResponseHead, edits: p.edits.cleared()}
	if c.Answer != nil {
		if err := e.asked(p); err != nil {
			switch {
			case err == ErrPanic:
				e.fail(err)
			case !errors.Is(err, ErrRetry) || !e.rejected():
				e.fail(fmt.Errorf("%w: %w", ErrRefused, err))
			}
			return
		}
	}
	e.works() // the body may take hours
	e.phase = phaseBody
	e.frame(r)
	head := e.buildResponse(r, p)
	e.link.conn.Discard(n) // its bytes stay where they are for now
	e.pass(head)
}

// rejected sends the request to another target, because of what this one has answered. false: that is not possible.
func (e *exchange) rejected() bool {
	if !e.mayRetry() || !e.service.picker.Another(e.l.Now(), e.tried, e.server) {
		return false
	}
	e.ended(upstream.Failed)
	k := e.link
	e.link, k.exchange = nil, nil
	k.reset()
	if !e.retry() {
		e.fail(fmt.Errorf("%w (%s)", ErrRetry, e.server.Addr()))
	}
	return true
}

// frame decides how the body is read, and how it is passed on.
func (e *exchange) frame(r *httpparse.Response) {
	e.keeps = r.Persistent
	e.reads.left = -1
	e.interims = 0
	if r.Status == 205 && r.Body != httpparse.BodyNone {
		r.Body, e.keeps = httpparse.BodyNone, false // RFC 9110 §15.3.6: there is none. What comes is not for the client
	}
	e.reads.body.BeginFrom(r)
	switch {
	case r.Body == httpparse.BodyNone:
		e.reads.left = 0
	case r.Body == httpparse.BodyLength:
		e.reads.left = r.ContentLength
		e.link.pool.large = e.link.pool.large && r.ContentLength >= largeMin
	case e.http10:
		e.link.pool.large = false
		e.coding, e.end = codingSame, backend.EndClose
		if r.Body == httpparse.BodyChunked {
			e.coding = codingPlain
		}
	default:
		e.link.pool.large = false
		e.coding = codingChunked
	}
}

// pass passes on what there is of the response: head, if it is not empty, and the body.
func (e *exchange) pass(head []byte) {
	for more := true; more; head = nil {
		switch {
		case len(e.rest) > 0:
			more = e.passRest()
		case e.link == nil || e.finished:
			e.complete()
			return
		case e.coding == codingSame:
			more = e.passSame(head)
		default:
			more = e.passCoded(head)
		}
	}
	if e.phase == phaseBody {
		e.updateDeadline()
	}
}

// passRest offers what the client has not taken. It returns false if the client does not take all of it now.
func (e *exchange) passRest() bool {
	e.restAt += e.x.Output(e.rest[e.restAt:], nil, e.finished)
	if e.phase == phaseOver {
		return false
	}
	if e.blocked = e.restAt < len(e.rest); e.blocked {
		return false
	}
	e.rest, e.restAt = e.rest[:0], 0
	return true
}

// passSame passes on head and body bytes from where they are. Those that the client does not take stay in the input of the
// connection, whose bound slows the target down.
func (e *exchange) passSame(head []byte) bool {
	part, last := e.nextSame()
	if e.reads.left >= moveMin && e.move(head, len(part)) {
		return false
	}
	if len(head)+len(part) == 0 {
		e.nothingLeft(last)
		return false
	}
	n := e.x.Output(head, part, last)
	if e.phase == phaseOver {
		return false
	}
	e.blocked = n < len(head)+len(part)
	if n < len(head) {
		e.rest = append(e.rest[:0], head[n:]...)
		return false
	}
	e.passed(n - len(head))
	switch {
	case e.blocked:
	case last:
		e.complete()
	default:
		return len(e.link.conn.Unread()) > 0 || e.link.conn.Ended() || e.reads.left >= moveMin
	}
	return false
}

// nextSame returns what has come of the body and was not passed on. last: that is its end.
func (e *exchange) nextSame() (part []byte, last bool) {
	c, r := e.link.conn, &e.reads
	buf := c.Unread()
	if r.ahead == 0 && len(buf) > 0 && r.body.Missing() {
		_, r.ahead, _ = r.body.Next(buf) // only chunks can be wrong
	}
	return buf[:r.ahead], !r.body.Missing() || r.body.ToClose() && c.Ended() && r.ahead == len(buf)
}

// nothingLeft: nothing has come that could be passed on, except perhaps the end.
func (e *exchange) nothingLeft(last bool) {
	switch {
	case last:
		e.complete()
	case e.link.conn.Ended():
		e.truncated(ErrClosed)
	}
}

// passed: the client has taken n bytes of the body.
func (e *exchange) passed(n int) {
	e.link.conn.Discard(n)
	e.reads.ahead -= n
	if e.reads.left > 0 {
		e.reads.left -= int64(n)
	}
}

// passCoded passes on body bytes in a framing other than the one in which they come. They are copied, so that all of what has come is
// one chunk, and goes out with one system call.
func (e *exchange) passCoded(head []byte) bool {
	coded, err := e.recode()
	if err != nil {
		e.truncated(fmt.Errorf("%w: %w", ErrInvalid, err))
		return false
	}
	if len(head)+len(coded) == 0 {
		e.nothingLeft(e.finished)
		return false
	}
	n := e.x.Output(head, coded, e.finished)
	if e.phase == phaseOver {
		return false
	}
	if e.blocked = n < len(head)+len(coded); e.blocked {
		e.rest = append(e.rest[:0], head[min(n, len(head)):]...)
		e.rest = append(e.rest, coded[max(0, n-len(head)):]...)
		return false
	}
	return true
}

// recode takes what has come of the body, and returns it as the client gets it, in room of the loop. e.finished says that it is the
// end.
func (e *exchange) recode() (coded []byte, err error) {
	c, r := e.link.conn, &e.reads
	room := append(e.l.coded[:0], "          "[:chunkHead]...)
	buf := c.Unread()
	taken := 0
	for taken < len(buf) && r.body.Missing() {
		trailer := r.body.TrailerLen()
		data, n, err := r.body.Next(buf[taken:])
		if err != nil {
			return nil, err
		}
		room = append(room, data...)
		taken += n
		if added := r.body.TrailerLen() - trailer; added > 0 {
			e.section = append(e.section, buf[taken-added:taken]...)
		}
	}
	e.finished = !r.body.Missing() || r.body.ToClose() && c.Ended()
	at := chunkHead
	if n := len(room) - chunkHead; n > 0 && e.coding == codingChunked {
		at = httpwrite.PutChunkSize(room[:chunkHead], n)
		room = append(room, "\r\n"...)
	}
	if e.finished && e.coding == codingChunked {
		room = e.appendLastChunk(room)
	}
	e.l.coded = room
	c.Discard(taken)
	return room[at:], nil
}

// complete ends an exchange whose response was passed on.
func (e *exchange) complete() {
	if k := e.link; k != nil {
		e.link, k.exchange = nil, nil
		switch {
		case k.state == linkOver:
		case e.more, k.conn.Held() > 0:
			k.reset() // the target must not take what it has of the request for all, and the next request is not to wait behind the rest
		case e.keeps:
			k.pool.keepOrClose(k)
		default:
			k.close()
		}
	}
	e.ended(upstream.Fine)
	e.finish(func(x backend.Exchange) { x.Done(e.end) })
}

// salvage keeps what has come of the body, if that is all of it, before the connection that it is in is gone.
func (e *exchange) salvage() bool {
	if !e.finished && !e.keepRest() {
		return false
	}
	e.link = nil
	if !e.blocked {
		e.pass(nil)
	}
	return true
}

// keepRest keeps what has come of the body, and reports whether that was all of it.
func (e *exchange) keepRest() bool {
	if e.coding != codingSame {
		coded, err := e.recode()
		e.rest = append(e.rest, coded...)
		return err == nil && e.finished
	}
	c, r := e.link.conn, &e.reads
	in := c.Unread()
	switch {
	case 0 <= r.left && r.left <= int64(len(in)):
		in = in[:r.left]
	case !r.body.ToClose() || !c.Ended():
		return false
	}
	e.rest = append(e.rest, in...)
	e.finished = true
	return true
}

// OutputRoom implements backend.Running: the client takes more.
func (e *exchange) OutputRoom() {
	e.blocked = false
	if e.link != nil && e.phase == phaseBody {
		e.link.conn.Resume() // see move
	}
	switch {
	case e.phase == phaseBody:
		e.pass(nil)
	case e.phase == phaseHead && len(e.rest) > 0:
		if e.passRest() {
			e.updateDeadline()
			e.received() // what has come after an interim response
		}
	}
}
