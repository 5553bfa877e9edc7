package handler

import (
	"net"
	"net/http"
)

// hijack is a handler's request for its connection.
type hijack struct {
	head []byte
	done bool
	conn net.Conn
	err  error
}

// hijacker is the part of backend.Upgrader that is needed here.
type hijacker interface {
	Hijack(head []byte) (net.Conn, error)
}

// takeOver takes the connection off the loop, after head was sent on it. The handler gets it, and the exchange is over.
func (e *blockingExchange) takeOver(head []byte) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.gone && e.out != nil && (e.offering || !e.out.empty()) {
		e.changed.Wait() // interim responses
	}
	switch {
	case e.gone:
		return nil, ErrGone
	case e.returned:
		return nil, ErrEnded
	}
	h := &hijack{head: head}
	e.hijack = h
	e.needLoop()
	for !h.done && !e.gone {
		e.changed.Wait()
	}
	if !h.done {
		return nil, ErrGone
	}
	return h.conn, h.err
}

// attendHijack does what takeOver asks of the loop.
func (e *blockingExchange) attendHijack(h *hijack) {
	conn, err := net.Conn(nil), error(http.ErrNotSupported)
	if x, can := e.x.(hijacker); can {
		conn, err = x.Hijack(h.head)
	}
	if err == nil {
		e.over = true
		e.wait.stop()
		defer e.p.b.leaveCount()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	h.done, h.conn, h.err = true, conn, err
	e.hijack, e.hijacked = nil, err == nil
	e.gone = e.gone || e.hijacked
	e.changed.Broadcast()
}

// awaitHijack is called when the handler has returned. It reports whether the handler has taken the connection, and waits for a
// hijack by another goroutine that is not decided yet.
func (e *blockingExchange) awaitHijack() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.hijack != nil && !e.gone {
		e.changed.Wait()
	}
	e.returned = true
	e.ended = e.ended || e.hijacked
	return e.hijacked
}
