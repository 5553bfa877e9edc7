package compress

import (
	"net/netip"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// exchange stands between the connection and the inner backend: it is the Exchange of the one and the Running of the other.
type exchange struct {
	l *loop
	x backend.Exchange
	r backend.Running // the inner backend's

	asked asked
	state state
	inner inner
	end   backend.End // with inner: how the connection goes on
	told  told

	parser  httpparse.Parser
	head    []byte // stateHead: bytes of an incomplete head; stateBody: the head that is to be sent, without framing
	closes  bool   // the response ends with the connection, although the inner backend would keep it
	last    bool   // the inner backend will end the response at once
	blocked bool   // the inner backend waits for OutputRoom
	unsent  []byte // what the connection has not taken
	files   []fileRange

	body body // stateBody
}

type state uint8

const (
	stateHead   state = iota // no final head has come; next: statePass, stateBody
	statePass                // everything is passed on as it comes
	stateBody                // the body is encoded
	stateBroken              // encoding has failed: the response will be reset
	stateOver                // neither side is called any more
)

// inner is how far the inner backend has come.
type inner uint8

const (
	innerRuns     inner = iota
	innerComplete       // it has called Complete: Left may follow
	innerEnded          // it has called Done, or Complete and Left
	innerPassed         // it has called Complete, and so have we
)

// outward is what the inner backend gets.
func (e *exchange) outward() backend.Exchange {
	if files, ok := e.x.(backend.FileSender); ok {
		return fileExchange{e, files}
	}
	return e
}

// started returns what Start returns to the engine.
func (e *exchange) started(r backend.Running, err error) (backend.Running, error) {
	if err != nil {
		return nil, err
	}
	e.r = r
	return (*running)(e), nil
}

// Output implements backend.Exchange.
func (e *exchange) Output(a, b []byte, last bool) (n int) {
	switch e.state {
	case stateHead:
		n = e.takeHead(a, b, last)
	case statePass:
		n = e.pass(a, b, last)
	case stateBody:
		n = e.takeBody(a, b, last)
	default:
		n = len(a) + len(b)
	}
	e.blocked = n < len(a)+len(b)
	return n
}

// pass offers bytes to the connection, unless others wait to be taken before.
func (e *exchange) pass(a, b []byte, last bool) int {
	if len(e.unsent) > 0 || len(e.files) > 0 {
		return 0
	}
	return e.x.Output(a, b, last)
}

// send gives bytes to the connection, and keeps what it does not take.
func (e *exchange) send(a, b []byte, last bool) {
	n := 0
	if len(e.unsent) == 0 && len(e.files) == 0 {
		n = e.x.Output(a, b, last)
	}
	if n < len(a)+len(b) {
		e.unsent = append(e.unsent, a[min(n, len(a)):]...)
		e.unsent = append(e.unsent, b[max(0, n-len(a)):]...)
	}
}

// drain offers what waits to the connection. It reports whether nothing waits any more.
func (e *exchange) drain() bool {
	if len(e.unsent) > 0 {
		n := e.x.Output(e.unsent, nil, e.ending() && len(e.files) == 0)
		e.unsent = e.unsent[n:]
	}
	if len(e.unsent) > 0 {
		return false
	}
	e.unsent = nil
	e.sendFiles()
	return true
}

// ending reports whether what is sent now ends the response.
func (e *exchange) ending() bool {
	return (e.last || e.inner != innerRuns) && (e.state != stateBody || e.body.finished)
}

// Done implements backend.Exchange.
func (e *exchange) Done(end backend.End) {
	if e.state == stateOver {
		return
	}
	e.endInner(innerEnded, end)
}

// Complete implements backend.Exchange.
func (e *exchange) Complete(_ backend.Running, end backend.End) {
	if e.state != stateOver {
		e.endInner(innerComplete, end)
	}
}

// endInner: the inner backend has output its whole response. A response that ends too early is reset, as is one of which
// there is no head.
func (e *exchange) endInner(how inner, end backend.End) {
	e.noteTimes()
	e.inner, e.end = how, end
	if end == backend.EndReset || e.state == stateHead || e.state == stateBroken || e.state == stateBody && !e.body.ends() {
		e.end = backend.EndReset
		e.passEnd()
		return
	}
	e.advance()
}

// passEnd tells the connection that the response is complete.
func (e *exchange) passEnd() {
	e.release()
	if e.closes && e.end == backend.EndKeep {
		e.end = backend.EndClose
	}
	if e.inner == innerComplete {
		e.inner, e.state = innerPassed, statePass
		e.x.Complete((*running)(e), e.end)
		return
	}
	e.state = stateOver
	e.x.Done(e.end)
}

// conclude does so if all of it has been taken. A response that a fault has cut off is for fail to end.
func (e *exchange) conclude() {
	waits := e.inner == innerComplete || e.inner == innerEnded
	if e.state == stateOver || e.state == stateBroken || !waits || len(e.unsent) > 0 || len(e.files) > 0 || e.state == stateBody && !e.body.finished {
		return
	}
	e.passEnd()
}

// Left implements backend.Exchange.
func (e *exchange) Left(backend.Running) {
	passed := e.inner == innerPassed
	e.inner = innerEnded
	if passed && e.state != stateOver {
		e.state = stateOver
		e.x.Left((*running)(e))
	}
}

// Failed implements backend.Exchange.
func (e *exchange) Failed(status int, retryAfter time.Duration) {
	if e.endFailed() {
		e.x.Failed(status, retryAfter)
	}
}

// Refused implements backend.Refuser.
func (e *exchange) Refused(err error) {
	if e.endFailed() {
		backend.Refuse(e.x, err)
	}
}

// endFailed: the engine is to answer. It reports false if the connection knows of an end already.
func (e *exchange) endFailed() bool {
	if e.state == stateOver {
		return false
	}
	e.noteTimes()
	e.inner = innerEnded
	e.release()
	e.state = stateOver
	return true
}

// fail cuts the response off after a fault. It may be called within a call of the inner backend, so the backend is told
// later.
func (e *exchange) fail() {
	e.state = stateBroken
	e.release()
	e.l.on.Post(func() {
		if e.state != stateBroken {
			return
		}
		e.state = stateOver
		if e.inner != innerEnded {
			e.r.Cancel()
		}
		e.x.Done(backend.EndReset)
	})
}

// release gives back what belongs to the body, and drops what has not been taken.
func (e *exchange) release() {
	e.unsent, e.head = nil, nil
	e.dropFiles()
	e.body.release(e.l)
}

// BodyRoom implements backend.Exchange.
func (e *exchange) BodyRoom() { e.x.BodyRoom() }

// BodyWanted implements backend.Exchange.
func (e *exchange) BodyWanted() { e.x.BodyWanted() }

// BodyReceived implements backend.BodyReceiver.
func (e *exchange) BodyReceived() bool { return backend.BodyReceived(e.x) }

// TLS implements backend.Secured.
func (e *exchange) TLS() *backend.TLSState { return backend.TLSOf(e.x) }

// ConnValue implements backend.ConnKeeper.
func (e *exchange) ConnValue() any { return backend.ConnValueOf(e.x) }

// SetConnValue implements backend.ConnKeeper.
func (e *exchange) SetConnValue(v any) { backend.SetConnValueOf(e.x, v) }

// Addrs implements backend.Exchange.
func (e *exchange) Addrs() (local, remote netip.AddrPort) { return e.x.Addrs() }
