package proxy

import (
	"errors"
	"fmt"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
)

var (
	errRefusedByTo = errors.New("request refused by the program")
	errTooLarge    = fmt.Errorf("%w: it is too large", ErrBody)
)

// retryAfter is the value of Retry-After in responses with status 503.
const retryAfter = time.Second

// attemptFailed: the target has not answered as it should, and the client has got nothing yet.
func (e *exchange) attemptFailed(err error) {
	k := e.link
	e.link = nil
	k.exchange = nil
	stale := k.used && !e.fresh && errors.Is(err, ErrClosed) && len(k.conn.Unread()) == 0
	if k.state != linkOver {
		k.reset()
	}
	if stale {
		// It was closed when it was sent the request: that is no failure of the target. Only a new connection will do.
		e.ended(upstream.Unknown)
		e.fresh = e.fresh || e.kept
		if e.kept && e.another() {
			return
		}
	} else {
		e.ended(upstream.Failed)
		if e.mayRetry() && e.retry() {
			return
		}
	}
	e.fail(fmt.Errorf("%w (%s)", err, e.server.Addr()))
}

// mayRetry reports whether the request may be sent to another target.
func (e *exchange) mayRetry() bool {
	return e.kept && e.retries < e.l.config.Retry.Times && e.l.budget.allows()
}

// retry sends the request to a target that was not tried. false: there is none.
func (e *exchange) retry() bool {
	e.tried = append(e.tried, e.server)
	if !e.another() {
		return false
	}
	e.retries++
	e.l.budget.spend()
	return true
}

// linkLost: the connection to the target is gone.
func (e *exchange) linkLost(err error) {
	if e.phase == phaseBody {
		if !e.salvage() {
			e.truncated(err)
		}
		return
	}
	if err == nil {
		e.attemptFailed(ErrClosed)
		return
	}
	e.attemptFailed(fmt.Errorf("%w: %w", ErrClosed, err))
}

// timedOut: the target does nothing.
func (e *exchange) timedOut() {
	switch {
	case e.phase == phaseBody:
		e.truncated(ErrStalled)
	case e.more:
		e.kept = false // another target would have to get what the client still sends
		e.attemptFailed(ErrStalled)
	default:
		e.attemptFailed(ErrHeadTimeout)
	}
}

// fail ends the exchange without a response. The client gets a status, or is reset if it has got a part of a response.
func (e *exchange) fail(err error) {
	if e.phase == phaseOver {
		return
	}
	e.drop()
	status := Status(err)
	if errors.Is(err, errTooLarge) {
		status = 413
	}
	if e.request.refuse != 0 && err != ErrPanic {
		status = e.request.refuse
	} else if s := e.told(err); 400 <= s && s <= 599 {
		status = s
	}
	after := time.Duration(0)
	if status == 503 {
		after = retryAfter
	}
	e.finish(func(x backend.Exchange) { x.Failed(status, after) })
}

// failLater is fail when the engine does not expect it at once.
func (e *exchange) failLater(err error) { e.later(func() { e.fail(err) }) }

// truncated: the response will not be complete, and the client must not take it for complete.
func (e *exchange) truncated(cause error) {
	e.ended(upstream.Failed)
	if k := e.link; k != nil {
		e.link = nil
		if k.state != linkOver {
			k.reset()
		}
	}
	err := ErrTruncated
	if cause != nil {
		err = fmt.Errorf("%w: %w (%s)", ErrTruncated, cause, e.server.Addr())
	}
	e.told(err)
	e.finish(func(x backend.Exchange) { x.Done(backend.EndReset) })
}
