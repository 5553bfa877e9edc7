package handler

import (
	"sync"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// Later is a response that is made after Serve has returned: see Request.Later.
type Later struct {
	e    *loopExchange // only the loop touches it
	loop backend.Loop
	done chan struct{}
	once sync.Once // Do was called

	// Owned by the loop.
	timer backend.Timer
	ended bool
}

// laterMaxDefault is how long an exchange may wait for Later.Do.
const laterMaxDefault = 60 * time.Second

// postponed is what callHandler returns in place of a status if there will be a response later.
const postponed = -1

// Later takes the exchange out of Serve, for a handler on the loop: the response is made by the function that is given to Do, after
// a timer, a connection to another server, or the work of a goroutine. What Serve has written is dropped. The request is kept until
// then, but views of it that Serve got are valid until Serve returns, as always.
//
// Without Do, the exchange is answered with 504 after Config.LaterMax. Later panics outside Serve, and for a handler that is not on
// the loop, where it may simply wait.
func (r *Request) Later() *Later {
	e := r.e
	if e == nil {
		panic("handler: Later is for a handler on the loop, while it runs")
	}
	if e.later == nil {
		e.later = &Later{e: e, loop: e.l.loop, done: make(chan struct{})}
		if e.peerEnded {
			e.later.peerEnded()
		}
		e.keepRequest(r.head, r.body)
		e.l.w.fault = causeLater
	}
	return e.later
}

// Loop returns the loop of the connection: for timers (After), posted functions (Post) and connections (it is a backend.Dialer).
// It is nil for a handler that does not run on a loop.
func (r *Request) Loop() backend.Loop {
	if r.e == nil {
		return nil
	}
	return r.e.l.loop
}

// Do makes the response with fn, which is called on the loop, soon, in place of Serve: it must not block, and w and r are valid
// until it returns. It may call Later again. Any goroutine may call Do; only the first call counts. fn is not called if the
// exchange has ended: see Done.
func (t *Later) Do(fn func(w *Response, r *Request)) {
	t.once.Do(func() {
		t.loop.Post(func() {
			if !t.ended {
				t.end()
				t.e.l.serveLater(t.e, fn)
			}
		})
	})
}

// Done is closed when there is no need for an answer any more: the client is gone or has finished sending, the time is over, or Do
// has answered.
func (t *Later) Done() <-chan struct{} { return t.done }

// end says that the exchange is not waited for any more.
func (t *Later) end() {
	t.ended = true
	if t.timer != nil {
		t.timer.Stop()
	}
	t.peerEnded()
}

// peerEnded closes done.
func (t *Later) peerEnded() {
	select {
	case <-t.done:
	default:
		close(t.done)
	}
}

// wait begins to wait for Do.
func (t *Later) wait(d time.Duration) {
	if d > 0 && !t.ended {
		t.timer = t.loop.After(d, t.timedOut)
	}
}

// timedOut answers in place of Do.
func (t *Later) timedOut() {
	if t.ended {
		return
	}
	t.end()
	e := t.e
	e.later = nil
	e.refuse(504, causeLate, &e.head)
	e.l.queue(e)
}

// keepRequest copies the request, unless it was copied already.
func (e *loopExchange) keepRequest(head *httpparse.Head, body []byte) {
	if head != &e.head {
		copyHead(&e.head, head)
		e.body = append(e.body[:0], body...)
	}
}

// postpone: the handler has asked for a response later.
func (e *loopExchange) postpone() {
	e.state = loopLater
	e.later.wait(e.l.laterMax)
}

// endLater: the exchange is over before its response.
func (e *loopExchange) endLater() {
	if e.later != nil {
		e.later.end()
		e.later = nil
	}
}

// serveLater makes the response of an exchange that was postponed.
func (l *onLoopBackend) serveLater(e *loopExchange, fn func(w *Response, r *Request)) {
	e.later = nil
	l.serveOrWait(e, Func(fn))
}
