package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"moonbridge/handler/backend"
	"moonbridge/handler/proxyproto"
	"moonbridge/handler/upstream"
	"moonbridge/httpwrite"
)

// send chooses a target, and sends it the request, or waits for a slot or a connection. body is the part of the request body that
// has come with the head, and is not in e.out.
func (e *exchange) send(body []byte) {
	switch err := e.pick(); {
	case err == nil:
		e.connect(body)
	case errors.Is(err, upstream.ErrBusy):
		e.keep(body)
		e.wait()
	default:
		e.failLater(ErrNoTarget)
	}
}

// pick chooses a target that was not tried.
func (e *exchange) pick() error {
	v, err := e.service.picker.Pick(e.l.Now(), e.key, e.tried)
	if err == nil {
		e.begins(v)
	}
	return err
}

// connect takes an unused connection, or opens one.
func (e *exchange) connect(body []byte) {
	if len(body) > 0 && e.mayKeep(len(body)) {
		e.keep(body)
		body = nil
	}
	p := e.service.pool(e.server)
	if !e.fresh {
		for k := p.take(); k != nil; k = p.take() {
			k.exchange, e.link = e, k
			if e.transmit(body) {
				return
			}
			k.exchange, e.link = nil, nil
			k.reset()
		}
	}
	e.keep(body)
	k := &link{l: e.l, pool: p, deadline: never, exchange: e}
	e.link = k
	id := e.id
	e.cancelDial = e.l.dial(k, func(err error) {
		if e.id == id && e.link == k {
			e.cancelDial, e.link = nil, nil
			e.connectFailed(err)
		}
	})
}

func (l *loop) dial(k *link, failed func(error)) (cancel func()) {
	o := backend.DialOptions{
		Timeout: k.pool.service.o.Connect,
		// The target has had all that it gets when we close: there is nothing to linger for.
		Bounds: backend.Bounds{Input: l.config.Window, Output: l.config.Window, Linger: -1},
		TLS:    k.pool.server.TLS(),
	}
	if version := l.config.ProxyOut; version != 0 {
		var local, remote netip.AddrPort // those of a check are not known
		if k.exchange != nil {
			local, remote = k.exchange.x.Addrs()
		}
		o.First = proxyproto.Append(nil, version, local, remote)
	}
	return l.dialer.Dial(k.pool.server.Address(), o, k, failed)
}

// keep adds a part of the body to what is sent when there is a connection.
func (e *exchange) keep(body []byte) {
	if len(body) > 0 {
		e.out = e.appendPart(e.out, body)
	}
}

// connected: the connection that was opened is there.
func (e *exchange) connected() {
	e.cancelDial = nil
	e.transmit(nil)
}

// connectFailed tries another target: this one has got nothing. If this process had no room for a connection, one that no request uses is given
// up for it, once: there may be other reasons, and others may be faster.
func (e *exchange) connectFailed(err error) {
	if upstream.IsLocal(err) && !errors.Is(err, syscall.EADDRNOTAVAIL) && !e.gavePlace && e.l.givePlace() {
		e.gavePlace = true
		e.later(func() { e.connect(nil) }) // when it is closed
		return
	}
	failure, how := ErrConnect, upstream.Failed
	switch {
	case upstream.IsLocal(err):
		how = upstream.Unknown
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT):
		failure = ErrConnectTimeout
	}
	e.ended(how)
	e.tried = append(e.tried, e.server)
	if e.connects++; e.connects >= connectTriesMax || !e.another() {
		e.fail(fmt.Errorf("%w %s: %w", failure, e.server.Addr(), err))
	}
}

// another sends the request to a target that was not tried, or waits for a slot of one. false: there is none.
func (e *exchange) another() bool {
	switch err := e.pick(); {
	case err == nil:
		e.phase = phaseStart
		e.connect(nil)
	case errors.Is(err, upstream.ErrBusy):
		e.phase = phaseStart
		e.wait()
	default:
		return false
	}
	return true
}

// transmit sends the request on the connection e.link: e.out, then body. It returns false if that is a used connection which has taken
// nothing: whatever the request is, it may be sent elsewhere.
func (e *exchange) transmit(body []byte) (sent bool) {
	c := e.link.conn
	if len(body) == 0 {
		c.Write(e.withHost())
	} else {
		c.Writev(e.withHost(), e.l.part(e, body))
	}
	if e.link.used && c.Full() && c.Held() == 0 && backend.TLSOf(c) == nil { // with TLS, records may have been sent before the error
		return false
	}
	e.phase = phaseHead
	e.sentAt = e.l.Now()
	e.sends++
	e.reads = reader{}
	if len(body) > 0 {
		e.kept = false
	}
	if e.link.pool.large && backend.TLSOf(e.x) == nil {
		c.(backend.Source).NextRead(headRead)
	}
	if !e.repeats || len(e.out)-e.headLen > e.l.config.Retry.Body {
		e.kept = false // it was sent, and cannot be again
	}
	e.updateDeadline()
	switch {
	case !e.more:
	case e.expect && e.l.config.PassExpect:
		e.expectLater()
	case e.expect || e.wantsBody:
		e.later(e.askBody)
	}
	return true
}

// withHost is e.out with the field Host, if that is the address of the target.
func (e *exchange) withHost() []byte {
	if e.hostAt < 0 {
		return e.out
	}
	b := append(e.l.head[:0], e.out[:e.hostAt]...)
	b = httpwrite.AppendField(b, "Host", e.server.Host())
	e.l.head = append(b, e.out[e.hostAt:]...)
	return e.l.head
}

// mayKeep reports whether n more bytes of the body are kept, in case the request has to be sent again.
func (e *exchange) mayKeep(n int) bool {
	return e.repeats && e.kept && len(e.out)-e.headLen+n <= e.l.config.Retry.Body
}

// expectLater asks for the body if the target does not.
func (e *exchange) expectLater() {
	id := e.id
	e.l.After(expectWait, func() {
		if e.id == id && e.phase == phaseHead && e.expect {
			e.askBody()
		}
	})
}

// askBody lets the client send its body.
func (e *exchange) askBody() {
	if e.expect {
		e.expect = false
		e.x.BodyWanted()
	}
	e.upstreamRoom()
}

// wait puts the request into the queue of the service.
func (e *exchange) wait() {
	w := &waiting{l: e.l, e: e}
	e.waiting = w
	ticket, ok := e.service.picker.Wait(w.call)
	if !ok {
		e.waiting = nil
		e.failLater(ErrBusy)
		return
	}
	w.ticket = ticket
	w.timer = e.l.After(e.service.o.QueueTime, w.expired)
}

// waiting is the place of an exchange in the queue.
type waiting struct {
	l      *loop // immutable: the exchange may be another one when a slot becomes free
	e      *exchange
	ticket *upstream.Ticket
	timer  backend.Timer
	over   bool
}

// call is called on any goroutine when a slot may be free.
func (w *waiting) call() { w.l.Post(w.called) }

func (w *waiting) called() {
	if !w.over {
		w.pick()
	}
}

// pick looks for a target once more. false: the request goes on waiting.
func (w *waiting) pick() bool {
	e := w.e
	v, err := e.service.picker.PickFor(w.ticket, e.l.Now(), e.key, e.tried)
	switch {
	case err == nil:
		w.end()
		e.begins(v)
		e.connect(nil)
	case errors.Is(err, upstream.ErrBusy):
		return false
	default:
		w.end()
		e.fail(ErrNoTarget)
	}
	return true
}

func (w *waiting) end() {
	w.over = true
	w.timer.Stop()
	w.e.waiting = nil
}

// leave gives up the place.
func (w *waiting) leave() {
	w.end()
	w.ticket.Leave()
}

// expired: the request has waited for too long. Nobody is told when the time of a target is over that was left out, so there is a last look.
func (w *waiting) expired() {
	if !w.over && !w.pick() {
		e := w.e
		w.leave()
		e.fail(ErrBusy)
	}
}
