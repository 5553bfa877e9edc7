package handler

import (
	"bytes"
	"container/list"
	"context"
	"io"
	"net/netip"
	"sync"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// blockingExchange is an exchange between its loop and the goroutine of its handler: the Running of Blocking. This file
// contains the loop's side, blocking_serve.go the handler's side.
//
// Its window, its parts and its room are reused, but the exchange itself is not. So a handler that keeps its Response or Request
// after Serve, which refer to the room until then, reaches only an exchange that has ended.
type blockingExchange struct {
	// Immutable.
	p        *blockingBackend
	x        backend.Exchange
	listener int
	local    netip.AddrPort
	remote   netip.AddrPort
	scope    *connScope        // nil: none
	tls      *backend.TLSState // nil: none
	file     *fileBody         // the body, if it is in a file; otherwise nil
	// What x takes of files: in any response, and in those that are rangeable (backend.FileChooser).
	filesAny, filesRanged bool

	// Owned by the loop.
	wait    wait
	busy    bool // within a call to x
	over    bool // x is no longer called
	blocked bool // the connection took less than offered
	left    bool // x was told that the response is complete: only its end is left
	aside   bool // the loop's goroutine calls the handler; immutable then

	// Owned by the goroutine.
	room  *callRoom // nil after the end
	call  call      // refers to room until the end
	stint uint64    // on the loop's goroutine; otherwise 0. It is set before the handler runs

	// Under p.b.mu.
	waits *list.Element // its place in p.b.queue

	// Under p.mu.
	notified bool

	// Shared. changed is signalled when the handler may be able to continue.
	mu      sync.Mutex
	changed sync.Cond

	in         *window // nil: no body
	arrived    int64   // bytes of the body
	inEnd      bool    // no more bytes will follow
	inErr      error   // why no more bytes will follow although the body is incomplete
	trailer    []byte  // the trailer section, before inEnd
	roomWanted bool    // the loop found the window full
	roomFreed  bool    // there is room again: the loop must report it
	wanted     bool    // the handler reads: the loop must report it
	asked      bool    // wanted has been set before
	needed     bool    // the handler has asked something of the loop before its end

	out      *part       // offered to the connection by the loop; when it is empty, the handler puts the next part here
	outOff   int         // how many bytes were taken
	offering bool        // the loop is offering out, and changes it without the lock
	begun    bool        // a part of the final response was passed to the loop
	whole    bool        // nothing will follow out, although the handler has not returned
	ended    bool        // the handler has returned
	end      backend.End // with whole or ended
	failed   int         // with ended: the status, if there is no response
	gone     bool        // the connection is gone, or the exchange is over
	peerEnd  bool        // the peer has finished sending, and has probably gone
	hijack   *hijack     // the handler waits for this; nil: it does not
	hijacked bool        // the handler has the connection
	returned bool        // the handler has returned: there is no hijack any more

	ctx    context.Context
	cancel context.CancelFunc
	readBy deadline
	sendBy deadline
}

// callRoom is what only the handler of an exchange uses, and what its Response and Request refer to while it runs.
type callRoom struct {
	head httpparse.Head
	w    responseState
	r    requestState

	date     [httpwrite.DateLen]byte
	dateUnix int64 // the second of date; 0: none
}

// putRoom keeps the room of a handler that has ended. What is left of the head belongs to what was made from it: see headText.
func (b *blocking) putRoom(r *callRoom) {
	const fieldsKept = 4 << 10
	r.head.Raw = nil
	r.r = requestState{}
	fields, trailers := r.w.fields, r.w.trailers
	r.w = responseState{}
	if cap(fields)+cap(trailers)+cap(r.head.Fields) <= fieldsKept {
		r.w.fields, r.w.trailers = fields, trailers
		b.rooms.Put(r)
	}
}

// smallBody is the size up to which a complete request body gets its own buffer instead of a window.
const smallBody = 4 << 10

func newBlockingExchange(p *blockingBackend, x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) *blockingExchange {
	e := &blockingExchange{p: p, x: x, listener: listener, inEnd: !more}
	e.local, e.remote = x.Addrs()
	e.scope = scopeOf(p.b.h, x)
	if head.Secure {
		e.tls = backend.TLSOf(x)
	}
	e.filesAny, e.filesRanged = backend.TakesFiles(x, false), backend.TakesFiles(x, true)
	e.changed.L = &e.mu
	e.arrived = int64(len(body))
	e.room = p.b.rooms.Get().(*callRoom)
	copyHead(&e.room.head, head)
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
	wanted, roomFreed, hijack := e.wanted, e.roomFreed, e.hijack
	e.wanted, e.roomFreed = false, false
	e.mu.Unlock()

	e.busy = true
	if hijack != nil {
		e.attendHijack(hijack)
	}
	if wanted && !e.over {
		e.x.BodyWanted()
	}
	if roomFreed && !e.over && !e.left {
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

// offer offers the current part to the connection, and ends the exchange after the last one. A reset does not wait for the
// connection to take everything.
func (e *blockingExchange) offer() {
	e.mu.Lock()
	if e.left {
		over := e.ended
		e.mu.Unlock()
		if over {
			e.over = true
			e.markGone()
			e.x.Left(e)
		}
		return
	}
	ended, whole, end, failed := e.ended, e.whole, e.end, e.failed
	out := e.out
	offering := out != nil && !out.empty() && !e.blocked
	e.offering = offering // an empty part is the handler's as soon as the lock is free
	e.mu.Unlock()

	resets := ended && end == backend.EndReset
	if offering {
		e.offerPart(out, (ended || whole) && failed == 0 && !resets)
		if e.over {
			return
		}
	}
	switch {
	case resets || ended && !e.blocked:
		e.conclude(end, failed)
	case whole && !e.blocked:
		e.left = true
		e.x.Complete(e, end)
	}
}

// offerPart offers what the connection has not taken of the part.
func (e *blockingExchange) offerPart(p *part, last bool) {
	var n int
	if len(p.files) == 0 {
		a, b := untaken(p, e.outOff)
		n = e.outOff + e.x.Output(a, b, last)
	} else {
		o := outgoing{a: p.prefix, b: p.data, files: &p.files}
		n = o.offer(e.x, e.outOff, last, e.isOver)
	}
	if !e.over {
		e.took(n)
	}
}

func (e *blockingExchange) isOver() bool { return e.over }

// took notes that the connection has taken n bytes of the part, and all of its files that come before them.
func (e *blockingExchange) took(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.offering = false
	if n < len(e.out.prefix)+len(e.out.data) {
		e.outOff = n
		e.blocked = true
		return
	}
	e.emptied()
}

// conclude ends the exchange on the loop.
func (e *blockingExchange) conclude(end backend.End, failed int) {
	e.over = true
	e.markGone()
	if failed != 0 {
		e.x.Failed(failed, 0)
	} else {
		e.x.Done(end)
	}
}

// untaken returns the bytes of a part after the first off ones.
func untaken(p *part, off int) (a, b []byte) {
	a, b = p.prefix, p.data
	if off <= len(a) {
		return a[off:], b
	}
	return nil, b[off-len(a):]
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
	e.arrived += int64(n)
	e.changed.Broadcast()
}

// BodyTrailer keeps the trailer section for the handler.
func (e *blockingExchange) BodyTrailer(section []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trailer = bytes.Clone(section)
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
	if e.p.b.removeFromQueue(e) {
		e.file.close()
	}
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
