package handler

import (
	"context"
	"io"
	"net/netip"
	"os"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
)

// serve runs the handler, on its goroutine.
func (e *blockingExchange) serve() {
	b := e.p.b
	room := e.room
	room.r = requestState{head: &room.head, listener: e.listener, src: e}
	room.w.reset(&room.head, b.parts.Get().(*part), 0, b.partMax, e)
	e.call = call{Response{&room.w}, Request{&room.r}}
	returned := false
	defer e.afterHandler(&returned)
	b.h.Serve(&e.call.w, &e.call.r)
	returned = true
}

// afterHandler is deferred by serve. The handler has returned, panicked, or called runtime.Goexit.
func (e *blockingExchange) afterHandler(returned *bool) {
	cause := recover()
	hijacked := e.awaitHijack()
	switch {
	case cause == nil && hijacked:
	case cause == nil && *returned:
		e.finish()
	case cause == nil:
		e.fail(500)
	case isAbort(cause):
		e.abort()
	default:
		e.p.b.failures.handler(e.p.loop.Index(), &e.call.r, cause, true)
		e.fail(500)
	}
	e.leaveRoom()
	e.file.close()

	e.mu.Lock()
	e.readBy.stop()
	e.sendBy.stop()
	cancel := e.cancel
	e.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// leaveRoom gives back what the handler has used.
func (e *blockingExchange) leaveRoom() {
	e.mu.Lock()
	e.ended = e.ended || e.gone // whoever waits in handOver does not use the room any more
	e.mu.Unlock()
	e.p.b.putPart(e.room.w.part)
	e.call = call{Response{endedResponse}, Request{endedRequest}}
	e.p.b.putRoom(e.room)
	e.room = nil
}

// finish passes on the end of the response after the handler has returned.
func (e *blockingExchange) finish() {
	if status := e.refusal(); status != 0 {
		cause := causeBodyBroken
		if status == 413 {
			cause = causeBodyLarge
		}
		e.p.b.failures.refused(status, cause, &e.room.head, addrText(e.remote))
		e.fail(status)
		return
	}
	if e.room.w.err != nil && e.room.w.fault == "" {
		e.fail(500)
		return
	}
	if !e.call.w.finish() {
		e.p.b.failures.handler(e.p.loop.Index(), &e.call.r, e.call.w.cause(), false)
		e.fail(500)
		return
	}
	if e.handOver(&e.call.w, true, true) != nil {
		e.fail(500)
	}
}

// refusal returns the status for an incomplete request body if the handler has not started a response; otherwise 0.
func (e *blockingExchange) refusal() int {
	w := &e.room.w
	if w.headOut || w.status != 0 || w.written > 0 || len(w.fields) > 0 {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.inErr {
	case nil:
		return 0
	case ErrBodyTooLarge:
		return 413
	}
	return 400
}

// fail ends the exchange without a response. If a part of one was passed to the loop, the handler may count on its being sent,
// so the peer must not get another response: the connection is reset.
func (e *blockingExchange) fail(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.begun {
		e.endWith(backend.EndReset, 0)
	} else {
		e.endWith(0, status)
	}
}

// abort resets the connection, as the handler wants it.
func (e *blockingExchange) abort() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endWith(backend.EndReset, 0)
}

// endWith makes the loop end the exchange without the rest of a response. The caller holds e.mu.
func (e *blockingExchange) endWith(end backend.End, failed int) {
	if e.gone {
		return
	}
	e.ended = true
	if !e.whole {
		e.end, e.failed = end, failed
	}
	e.passEnd()
}

// handOver passes the part of w to the loop: only its prefix unless data is set. It waits until the connection has
// taken the previous part. last means that the handler has returned and nothing follows.
func (e *blockingExchange) handOver(w *Response, data, last bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return ErrEnded // what w refers to may be in use for another exchange
	}
	empty := len(w.prefix) == 0 && (!data || len(w.data)+len(w.files) == 0)
	for !empty && !e.gone && e.out != nil && (e.offering || !e.out.empty()) {
		if e.sendBy.passed() {
			w.err = os.ErrDeadlineExceeded
			return w.err
		}
		if e.changed.Wait(); e.ended {
			return ErrEnded // a goroutine of the handler has called this, and the handler has returned
		}
	}
	if e.gone {
		w.err = ErrGone
		return w.err
	}
	if !empty {
		e.swapParts(w, data, last)
	}
	if last {
		e.ended, e.end = true, w.end
		e.passEnd()
		return nil
	}
	if data && e.inEnd && w.whole() {
		e.whole, e.end = true, w.end
	}
	e.needLoop()
	return nil
}

// swapParts swaps the part of w and the empty one of the loop. After the last part, w needs none.
func (e *blockingExchange) swapParts(w *Response, data, last bool) {
	e.begun = e.begun || w.headOut
	if e.out == nil && !last {
		e.out = e.p.b.parts.Get().(*part)
	}
	if data {
		e.out, w.part = w.part, e.out
	} else {
		e.out.prefix, w.prefix = w.prefix, e.out.prefix
	}
}

// putPart keeps a part for reuse.
func (b *blocking) putPart(p *part) {
	const prefixKept = 16 << 10
	if p == nil {
		return
	}
	p.dropFiles()
	if cap(p.prefix) > prefixKept {
		return
	}
	p.prefix, p.data = p.prefix[:0], p.data[:0]
	b.parts.Put(p)
}

// read implements Request.Read. It copies under the lock, so that even a read that outlives the exchange does not touch
// another one's buffers, and in pieces, so that the loop does not wait long.
func (e *blockingExchange) read(p []byte) (int, error) {
	if e.file != nil {
		return e.readFile(p)
	}
	const piece = 16 << 10
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		switch {
		case e.ended:
			return 0, ErrEnded
		case e.gone:
			return 0, ErrGone
		case len(p) == 0:
			return 0, nil
		case e.in != nil && e.in.n > 0:
			n := e.in.read(p[:min(len(p), piece)])
			e.tellRoom()
			return n, nil
		case e.inErr != nil:
			return 0, e.inErr
		case e.inEnd:
			return 0, io.EOF
		case e.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		}
		if !e.asked {
			e.asked, e.wanted = true, true
			e.needLoop()
		}
		e.changed.Wait()
	}
}

// tellRoom tells the loop about room in the window, if the loop has found it full. It waits until half of the window is
// free, to save wake-ups.
func (e *blockingExchange) tellRoom() {
	if e.roomWanted && e.in.n <= len(e.in.room)/2 {
		e.roomWanted, e.roomFreed = false, true
		e.needLoop()
	}
}

// context implements Request.Context. The context is created on the first call.
func (e *blockingExchange) context() context.Context {
	parent := e.parentContext()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx == nil {
		e.ctx, e.cancel = context.WithCancel(parent)
		if e.gone && !e.hijacked || e.ended || e.peerEnd {
			e.cancel()
		}
	}
	return e.ctx
}

func (e *blockingExchange) parentContext() context.Context {
	a, ok := e.p.b.h.(*httpHandler)
	if !ok {
		return context.Background()
	}
	if e.scope == nil {
		return a.parent(nil)
	}
	return e.scope.context(e.local, e.remote)
}

func (e *blockingExchange) addrs() (local, remote netip.AddrPort) { return e.local, e.remote }

func (e *blockingExchange) tlsState() *backend.TLSState { return e.tls }

// trailerSection implements Request.Trailers.
func (e *blockingExchange) trailerSection() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.inEnd || e.in != nil && e.in.n > 0 {
		return nil
	}
	return e.trailer
}

// The following methods implement output.
func (e *blockingExchange) date() []byte {
	r := e.room
	if now := time.Now().Unix(); now != r.dateUnix {
		httpwrite.AppendDate(r.date[:0], now)
		r.dateUnix = now
	}
	return r.date[:]
}

func (e *blockingExchange) unread() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.inEnd, backend.BodyReceived(e.x):
		return false
	case e.inErr != nil, e.readBy.passed(), e.room.head.ExpectContinue && !e.asked && e.arrived == 0:
		return true
	}
	return e.room.head.ContentLength-e.arrived > backend.BodyDiscardMax
}

func (e *blockingExchange) full(w *Response) error {
	w.seal(false)
	return e.handOver(w, true, false)
}

func (e *blockingExchange) flush(w *Response) error {
	if w.headOut && len(w.data)+len(w.files) == 0 {
		return e.nothing(w)
	}
	w.seal(false)
	return e.handOver(w, true, false)
}

// nothing is called in place of handOver when there is nothing to pass on. A handler whose output is dropped learns in this
// way that the connection is gone.
func (e *blockingExchange) nothing(w *Response) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.ended:
		return ErrEnded
	case e.gone:
		w.err = ErrGone
	}
	return w.err
}

func (e *blockingExchange) passPrefix(w *Response) error { return e.handOver(w, false, false) }

func (e *blockingExchange) sendsFiles(rangeable bool) bool {
	return e.filesAny || rangeable && e.filesRanged
}

// deadline is the time after which a read or write of a handler fails; the zero value is none. The lock of the exchange
// protects it.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// setDeadline changes one of the deadlines of e. It wakes a waiting handler, now and at the deadline.
func (e *blockingExchange) setDeadline(d *deadline, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d.stop()
	d.at = at
	if !at.IsZero() && !e.ended && !e.gone {
		d.timer = time.AfterFunc(time.Until(at), e.wake)
	}
	e.changed.Broadcast()
}

func (e *blockingExchange) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed.Broadcast()
}
