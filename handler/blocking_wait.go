package handler

import (
	"time"

	"moonbridge/handler/backend"
)

// wait is the time that an exchange spends in the queue. It belongs to the loop.
type wait struct {
	waits         bool // or has waited
	since         int64
	timeout, gone backend.Timer // nil: not set
}

func (w *wait) stop() {
	for _, t := range []*backend.Timer{&w.timeout, &w.gone} {
		if *t != nil {
			(*t).Stop()
			*t = nil
		}
	}
}

// beginWait: the exchange is in the queue.
func (e *blockingExchange) beginWait() {
	e.wait.waits, e.wait.since = true, e.p.loop.Now()
	if limit := e.p.b.queueTimeout; limit > 0 {
		e.wait.timeout = e.p.loop.After(limit, e.waitedTooLong)
	}
}

// waitedTooLong is called when the queue timeout of an exchange has passed.
func (e *blockingExchange) waitedTooLong() {
	if e.leaveQueue() {
		e.p.b.failures.refused(503, causeQueueTimeout, &e.room.head, addrText(e.remote))
		e.x.Failed(503, time.Second)
	}
}

// leaveQueue ends an exchange, up to the last call. false: it is over, or its handler has started.
func (e *blockingExchange) leaveQueue() bool {
	if e.over || !e.p.b.removeFromQueue(e) {
		return false
	}
	e.over = true
	e.file.close()
	e.markGone()
	e.release()
	return true
}

// PeerEnd ends the context: the peer has probably gone. The handler may go on, and what it writes is sent. An exchange in
// the queue leaves it, unless it has been there for a short time only: a peer that has closed its sending side is answered
// if there is a goroutine for it.
func (e *blockingExchange) PeerEnd() {
	if e.over {
		return
	}
	e.mu.Lock()
	e.peerEnd = true
	cancel := e.cancel
	e.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	e.endWait()
}

// endWait has an exchange leave the queue whose peer has finished sending.
func (e *blockingExchange) endWait() {
	patience := e.p.b.goneAfter
	if !e.wait.waits || patience == 0 {
		return
	}
	leave := func() {
		if e.leaveQueue() {
			e.x.Failed(backend.StatusClientGone, 0)
		}
	}
	if rest := patience - time.Duration(e.p.loop.Now()-e.wait.since); rest > 0 {
		e.wait.gone = e.p.loop.After(rest, leave)
	} else {
		leave()
	}
}
