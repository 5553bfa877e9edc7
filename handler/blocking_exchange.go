package handler

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"sync"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// blockingExchange is an exchange between its loop and the goroutine of its handler: the Running of Blocking. This file
// has the loop's side, blocking_serve.go that of the handler.
//
// It is not used again, unlike its window and its parts: so a handler that holds on to its Response or Request after
// Serve reaches nothing but an exchange that has ended.
type blockingExchange struct {
	// Immutable.
	p        *blockingPart
	x        backend.Exchange
	head     httpparse.Head
	listener int
	remote   netip.AddrPort

	// Of the loop.
	timer   backend.Timer // while it is in the queue
	busy    bool          // within a call of x
	over    bool          // x is not called any more
	blocked bool          // the connection has taken less than offered
	begun   bool          // bytes of the final response were offered
	interim bool          // bytes of an interim response were offered

	// Of the goroutine.
	w        Response
	r        Request
	dateRoom [httpwrite.DateLen]byte

	// Under p.b.mu.
	prev, next *blockingExchange
	inQueue    bool

	// Under p.mu.
	called bool

	// Shared. changed is signalled when the handler may have something to go on with.
	mu      sync.Mutex
	changed sync.Cond

	in         *window // nil: there is no body
	inEnd      bool    // no bytes will follow
	inErr      error   // why none will follow although the body is not complete
	roomWanted bool    // the loop has found the window full
	roomFreed  bool    // and there is room again: the loop is to tell
	wanted     bool    // the handler reads: the loop is to tell
	asked      bool    // wanted was set before

	out      *part       // what the loop offers to the connection; the handler puts the next part there when it is empty
	outOff   int         // how much was taken
	outFinal bool        // out has bytes of the final response
	ended    bool        // the handler has returned
	end      backend.End // with ended
	failed   int         // with ended: the status, if there is no complete response
	gone     bool        // the connection is gone, or the exchange over

	ctx    context.Context
	cancel context.CancelFunc
	readBy deadline
	sendBy deadline
}

// smallBody is up to which size a complete request body gets room of its own instead of a window.
const smallBody = 4 << 10

func newBlockingExchange(p *blockingPart, x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) *blockingExchange {
	_, remote := x.Addrs()
	e := &blockingExchange{p: p, x: x, listener: listener, remote: remote, inEnd: !more}
	e.changed.L = &e.mu
	copyHead(&e.head, head)
	switch {
	case !more && len(body) == 0:
	case len(body) > p.b.windowSize || !more && len(body) <= smallBody:
		e.in = &window{room: bytes.Clone(body), n: len(body)}
	default:
		e.in = p.b.windows.Get().(*window)
		e.in.at, e.in.n = 0, copy(e.in.room, body)
	}
	return e
}

// attend does what the handler has called the loop for.
func (e *blockingExchange) attend() {
	if e.over {
		return
	}
	e.mu.Lock()
	wanted, roomFreed := e.wanted, e.roomFreed
	e.wanted, e.roomFreed = false, false
	e.mu.Unlock()

	e.busy = true
	if wanted {
		e.x.BodyWanted()
	}
	if roomFreed && !e.over {
		e.x.BodyRoom()
	}
	if !e.over {
		e.offer()
	}
	e.busy = false
	if e.over {
		e.release()
	}
}

// OutputRoom offers what the connection has not taken.
func (e *blockingExchange) OutputRoom() {
	if e.over || !e.blocked {
		return
	}
	e.blocked = false
	if e.busy {
		return // attend will come to it
	}
	e.busy = true
	e.offer()
	e.busy = false
	if e.over {
		e.release()
	}
}

// offer offers the part that is there to the connection, and ends the exchange after the last one.
func (e *blockingExchange) offer() {
	e.mu.Lock()
	if e.failed != 0 && !e.answerFailure() {
		e.mu.Unlock()
		e.over = true
		e.leave()
		e.x.Failed(e.failed, 0)
		return
	}
	if e.blocked {
		e.mu.Unlock()
		return
	}
	a, b := e.untaken()
	last := e.ended
	if len(a)+len(b) > 0 {
		e.begun = e.begun || e.outFinal
		e.interim = true
	}
	e.mu.Unlock()

	if total := len(a) + len(b); total > 0 {
		n := e.x.Output(a, b, last)
		if e.over {
			return
		}
		if n < total {
			e.mu.Lock()
			e.outOff += n
			e.mu.Unlock()
			e.blocked = true
			return
		}
		e.mu.Lock()
		e.emptied()
		e.mu.Unlock()
	}
	if last {
		e.over = true
		e.leave()
		e.x.Done(e.end)
	}
}

// answerFailure puts an error response into the part, where Failed would not do: after an interim response the engine
// cannot know that no byte of the final response was sent. It returns false where Failed is right.
func (e *blockingExchange) answerFailure() bool {
	if e.begun || !e.interim {
		return false
	}
	if e.out == nil {
		e.out = e.p.b.parts.Get().(*part)
	}
	if e.outFinal {
		e.out.prefix, e.out.data, e.outOff = e.out.prefix[:0], e.out.data[:0], 0
	}
	e.out.prefix = httpwrite.AppendError(e.out.prefix, time.Now().Unix(), e.failed, 0, true, e.head.IsHead)
	e.outFinal = true
	e.failed = 0
	e.end = backend.EndClose
	return true
}

// untaken is what of the part the connection has not taken.
func (e *blockingExchange) untaken() (a, b []byte) {
	if e.out == nil {
		return nil, nil
	}
	a, b = e.out.prefix, e.out.data
	if e.outOff <= len(a) {
		return a[e.outOff:], b
	}
	return nil, b[e.outOff-len(a):]
}

// emptied notes that the part was taken as a whole.
func (e *blockingExchange) emptied() {
	e.out.prefix, e.out.data = e.out.prefix[:0], e.out.data[:0]
	e.outOff = 0
	e.changed.Broadcast()
}

// waitedTooLong is called when an exchange has been in the queue for as long as it may.
func (e *blockingExchange) waitedTooLong() {
	if e.over || !e.p.b.leave(e) {
		return
	}
	e.over = true
	e.leave()
	e.release()
	e.x.Failed(503, time.Second)
}

// BodyRoom is the free room of the window.
func (e *blockingExchange) BodyRoom() (a, b []byte) {
	if e.over {
		return nil, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.in == nil || e.inEnd || e.inErr != nil {
		return nil, nil
	}
	a, b = e.in.free()
	e.roomWanted = len(a) == 0
	return a, b
}

// BodyCommit says that n bytes were put into the room.
func (e *blockingExchange) BodyCommit(n int) {
	if e.over || n == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.in.commit(n)
	e.changed.Broadcast()
}

// BodyEnd says that the body is complete.
func (e *blockingExchange) BodyEnd() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inEnd = true
	e.changed.Broadcast()
}

// BodyAbort says that the rest of the body will never come. The handler learns of it by reading up to there.
func (e *blockingExchange) BodyAbort(tooLarge bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inErr = io.ErrUnexpectedEOF
	if tooLarge {
		e.inErr = ErrBodyTooLarge
	}
	e.changed.Broadcast()
}

// Cancel says that the connection is gone. A handler that runs learns of it by its next call, or by its context.
func (e *blockingExchange) Cancel() {
	if e.over {
		return
	}
	e.over = true
	e.p.b.leave(e)
	e.leave()
	if !e.busy {
		e.release()
	}
}

// leave lets the handler know that there is nobody any more to talk to.
func (e *blockingExchange) leave() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	e.mu.Lock()
	e.gone = true
	cancel := e.cancel
	e.changed.Broadcast()
	e.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// release gives the room of an exchange back that is over. The handler does not touch it any more, since it looks at gone
// under the same lock.
func (e *blockingExchange) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = true
	if e.in != nil && len(e.in.room) == e.p.b.windowSize {
		e.p.b.windows.Put(e.in)
	}
	e.in = nil
	e.p.b.putPart(e.out)
	e.out = nil
}
