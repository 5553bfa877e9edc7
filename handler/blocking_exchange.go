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
// contains the loop's side, blocking_serve.go the handler's side.
//
// Its window and its parts are reused, but the exchange itself is not. So a handler that keeps its Response or Request
// after Serve reaches only an exchange that has ended.
type blockingExchange struct {
	// Immutable.
	p        *blockingBackend
	x        backend.Exchange
	head     httpparse.Head
	listener int
	remote   netip.AddrPort

	// Owned by the loop.
	wait    wait
	busy    bool // within a call to x
	over    bool // x is no longer called
	blocked bool // the connection took less than offered
	begun   bool // bytes of the final response were offered
	interim bool // bytes of an interim response were offered

	// Owned by the goroutine.
	w        Response
	r        Request
	dateRoom [httpwrite.DateLen]byte

	// Under p.b.mu.
	prev, next *blockingExchange
	inQueue    bool

	// Under p.mu.
	notified bool

	// Shared. changed is signalled when the handler may be able to continue.
	mu      sync.Mutex
	changed sync.Cond

	in         *window // nil: no body
	inEnd      bool    // no more bytes will follow
	inErr      error   // why no more bytes will follow although the body is incomplete
	roomWanted bool    // the loop found the window full
	roomFreed  bool    // there is room again: the loop must report it
	wanted     bool    // the handler reads: the loop must report it
	asked      bool    // wanted has been set before

	out      *part       // offered to the connection by the loop; when it is empty, the handler puts the next part here
	outOff   int         // how many bytes were taken
	outFinal bool        // out contains bytes of the final response
	ended    bool        // the handler has returned
	end      backend.End // with ended
	failed   int         // with ended: the status, if the response is not complete
	gone     bool        // the connection is gone, or the exchange is over
	peerEnd  bool        // the peer has finished sending, and has probably gone

	ctx    context.Context
	cancel context.CancelFunc
	readBy deadline
	sendBy deadline
}

// smallBody is the size up to which a complete request body gets its own buffer instead of a window.
const smallBody = 4 << 10

func newBlockingExchange(p *blockingBackend, x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) *blockingExchange {
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

// attend does what the handler has asked of the loop.
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

// OutputRoom offers the bytes that the connection has not taken.
func (e *blockingExchange) OutputRoom() {
	if e.over || !e.blocked {
		return
	}
	e.blocked = false
	if e.busy {
		return // attend will do it
	}
	e.busy = true
	e.offer()
	e.busy = false
	if e.over {
		e.release()
	}
}

// offer offers the current part to the connection, and ends the exchange after the last one.
func (e *blockingExchange) offer() {
	e.mu.Lock()
	if e.failed != 0 && !e.answerFailure() {
		e.mu.Unlock()
		e.over = true
		e.markGone()
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
		e.markGone()
		e.x.Done(e.end)
	}
}

// answerFailure puts an error response into the part if Failed cannot be used: after an interim response, the engine
// cannot know that no byte of the final response was sent. It returns false if Failed can be used.
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
	page := httpwrite.ErrorPage{Status: e.failed, Unix: time.Now().Unix(), Close: true, NoBody: e.head.IsHead}
	e.out.prefix = page.Append(e.out.prefix)
	e.outFinal = true
	e.failed = 0
	e.end = backend.EndClose
	return true
}

// untaken returns the bytes of the part that the connection has not taken.
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

// emptied clears the part after the connection has taken all of it.
func (e *blockingExchange) emptied() {
	e.out.prefix, e.out.data = e.out.prefix[:0], e.out.data[:0]
	e.outOff = 0
	e.changed.Broadcast()
}

// BodyRoom returns the free room of the window.
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

// BodyCommit adds n bytes of the room to the window.
func (e *blockingExchange) BodyCommit(n int) {
	if e.over || n == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.in.commit(n)
	e.changed.Broadcast()
}

// BodyEnd marks the body as complete.
func (e *blockingExchange) BodyEnd() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inEnd = true
	e.changed.Broadcast()
}

// BodyAbort marks the body as incomplete for good. The handler is told when it has read all bytes that did arrive.
func (e *blockingExchange) BodyAbort(tooLarge bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inErr = io.ErrUnexpectedEOF
	if tooLarge {
		e.inErr = ErrBodyTooLarge
	}
	e.changed.Broadcast()
}

// Cancel ends the exchange: the connection is gone. A running handler is told by its next call or by its context.
func (e *blockingExchange) Cancel() {
	if e.over {
		return
	}
	e.over = true
	e.p.b.removeFromQueue(e)
	e.markGone()
	if !e.busy {
		e.release()
	}
}

// markGone tells the handler that the exchange is over on the loop.
func (e *blockingExchange) markGone() {
	e.wait.stop()
	e.mu.Lock()
	e.gone = true
	cancel := e.cancel
	e.changed.Broadcast()
	e.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// release returns the buffers of an exchange that is over. The handler no longer touches them, since it checks gone
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
