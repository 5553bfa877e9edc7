package cache

import (
	"net/netip"
	"time"

	"moonbridge/handler/backend"
)

// forwarded is a run as the Exchange of the wrapped backend. It passes everything on to the client, if there is one, and looks
// at what it passes on.
type forwarded struct{ *run }

// Output implements backend.Exchange.
func (r forwarded) Output(a, b []byte, last bool) int {
	if r.invalidates == nil {
		n := r.output(a, b, last)
		if r.blocked {
			r.watchBlocked()
		}
		return n
	}
	r.watchNew(a, b)
	n := r.output(a, b, last)
	r.ahead -= n
	return n
}

func (r forwarded) output(a, b []byte, last bool) int {
	if r.holds() && !r.ownAnswer && !r.flushHeld() {
		r.blocked = true
		return 0
	}
	if r.capture == nil {
		return r.pass(a, b, last)
	}
	if !r.capture.decided {
		return r.takeHead(a, b, last)
	}
	n := r.pass(a, b, last)
	restA, restB := a[:min(n, len(a))], b[:max(0, n-len(a))]
	r.takeBody(restA)
	r.takeBody(restB)
	return n
}

// pass offers output to the client.
func (r *run) pass(a, b []byte, last bool) (n int) {
	if r.x == nil || r.ownAnswer {
		return len(a) + len(b)
	}
	n = r.x.Output(a, b, last)
	r.blocked = n < len(a)+len(b)
	return n
}

// push passes on what the backend counts as taken.
func (r *run) push(p []byte) {
	if r.x == nil || r.ownAnswer {
		return
	}
	if len(r.held) == 0 {
		p = p[r.x.Output(p, nil, false):]
	}
	r.held = append(r.held, p...)
}

// flushHeld offers what is held. It reports whether all of it was taken.
func (r *run) flushHeld() bool {
	if r.x == nil {
		r.dropHeld()
	}
	if len(r.held) > 0 {
		r.held = r.held[r.x.Output(r.held, nil, false):]
	}
	if len(r.held) > 0 {
		return false
	}
	r.sendFiles()
	return true
}

// flush goes on after the client had no room.
func (r *run) flush() {
	switch {
	case !r.flushHeld():
	case r.closing:
		r.closeClient()
		if r.ownAnswer && !r.completed {
			r.goesAlone()
			r.giveUpAlone()
		}
	case r.blocked:
		r.blocked = false
		r.inner.OutputRoom()
	}
}

// Done implements backend.Exchange.
func (r forwarded) Done(end backend.End) {
	r.ended = true
	r.finished(end == backend.EndReset)
	if r.answered() {
		return
	}
	r.closing, r.end = true, end
	if end == backend.EndReset {
		r.dropHeld()
	}
	if r.x == nil || !r.holds() {
		r.closeClient()
	}
}

// Complete implements backend.Exchange.
func (r forwarded) Complete(_ backend.Running, end backend.End) {
	r.completed = true
	r.finished(end == backend.EndReset)
	if r.answered() || r.x == nil {
		return
	}
	r.closing, r.end = true, end
	if !r.holds() {
		r.closeClient()
	}
}

// Left implements backend.Exchange.
func (r forwarded) Left(backend.Running) {
	r.ended = true
	r.stopAlone()
	if r.state != runForward || r.ownAnswer || r.holds() {
		return
	}
	r.state = runOver
	if x := r.x; x != nil {
		x.Left(r.run)
	}
}

// finished: the response of the backend is over.
func (r *run) finished(broken bool) {
	r.noteTimes()
	r.unwatch()
	if r.ended {
		r.stopAlone()
	}
	c := r.capture
	if c == nil {
		return
	}
	if !c.decided {
		r.push(c.head1)
	}
	if broken || !c.decided || c.body.End() != nil {
		r.failFill(0)
	} else {
		r.keepResponse()
	}
}

// answered gives the client what it gets in place of the backend's output. false: it gets the latter.
func (r *run) answered() bool {
	v := r.answer
	if v == nil {
		return r.ownAnswer && r.x != nil && r.closing // what is left of a 304
	}
	r.answer = nil
	if r.x == nil {
		v.release()
		return false
	}
	r.answerWith(v, r.ownQuery(), r.result)
	r.sendNow()
	return true
}

// dropAnswer: the client that was to get it has gone.
func (r *run) dropAnswer() {
	if r.answer != nil {
		r.answer.release()
		r.answer = nil
	}
}

// closeClient ends the exchange of the client. Its whole response is out.
func (r *run) closeClient() {
	x := r.x
	switch {
	case x == nil:
		if r.ended {
			r.state = runOver
		}
	case r.completed && !r.ended && !r.ownAnswer:
		r.closing = false
		x.Complete(r, r.end)
	default:
		r.x = nil
		if r.ended {
			r.state = runOver
		}
		r.local, r.remote = x.Addrs()
		x.Done(r.end)
	}
}

// Failed implements backend.Exchange.
func (r forwarded) Failed(status int, retryAfter time.Duration) {
	if x := r.failed(status); x != nil {
		x.Failed(status, retryAfter)
	}
}

// Refused implements backend.Refuser.
func (r forwarded) Refused(err error) {
	status, _ := backend.RefusalOf(err)
	if x := r.failed(status); x != nil {
		backend.Refuse(x, err)
	}
}

// failed: there is no response of the backend. It returns the client that the engine is to answer, or nil.
func (r forwarded) failed(status int) backend.Exchange {
	r.noteTimes()
	r.unwatch()
	r.ended = true
	switch {
	case status < 500: // the client has gone, or sends too many requests
		r.finishFill(nil, 0)
	case r.capture != nil && !r.capture.decided && r.fallBack():
		r.sendNow()
		return nil
	case status == 500:
		r.failFill(markAfterError)
	default:
		r.failFill(0)
	}
	if r.answered() {
		return nil
	}
	r.state = runOver
	r.dropHeld()
	return r.x
}

// BodyRoom implements backend.Exchange.
func (r forwarded) BodyRoom() {
	if r.x != nil {
		r.x.BodyRoom()
	}
}

// BodyWanted implements backend.Exchange.
func (r forwarded) BodyWanted() {
	if r.x != nil {
		r.x.BodyWanted()
	}
}

// TLS implements backend.Secured.
func (r forwarded) TLS() *backend.TLSState {
	if r.x == nil {
		return nil
	}
	return backend.TLSOf(r.x)
}

// ConnValue implements backend.ConnKeeper. Without a client there is no connection.
func (r forwarded) ConnValue() any {
	if r.x == nil {
		return nil
	}
	return backend.ConnValueOf(r.x)
}

// SetConnValue implements backend.ConnKeeper.
func (r forwarded) SetConnValue(v any) {
	if r.x != nil {
		backend.SetConnValueOf(r.x, v)
	}
}

// Addrs implements backend.Exchange. Without a client, they are those of the client that was the cause.
func (r forwarded) Addrs() (local, remote netip.AddrPort) {
	if r.x != nil {
		return r.x.Addrs()
	}
	return r.local, r.remote
}

// TakesFiles implements backend.FileChooser. Without a client, what is sent is dropped.
func (r forwarded) TakesFiles(rangeable bool) bool {
	return r.x == nil || backend.TakesFiles(r.x, rangeable)
}
