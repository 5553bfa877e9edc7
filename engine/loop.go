package engine

import (
	"net/netip"
	"syscall"
	"time"

	"moonbridge/bufio"
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
	"moonbridge/reactor"
)

// loop is what the engine has on each of the reactor's loops. Only that loop touches it.
type loop struct {
	*reactor.Loop
	e *Engine

	pool      *bufio.Pool
	head      httpparse.Head // of the request that is being parsed: used up before the next one
	errorPage []byte         // room for the engine's own responses
	agains    []*conn        // to be resumed in the next turn
	resuming  []*conn        // the other of two buffers that take turns
	resume    func()         // resumeAll, made once
	conns     connList
	accesses  []*access // records for the access log, free
	ids       uint64    // given to requests
	logged    Access    // what the access log is called with
	backends  map[backend.Backend]backend.LoopBackend
	bindings  map[*Listener]*binding
}

func newLoop(e *Engine, index, count int) (*loop, error) {
	r, err := reactor.NewLoop(reactor.Options{Index: index, Count: count, Logger: e.log})
	if err != nil {
		return nil, err
	}
	l := &loop{Loop: r, e: e, pool: bufio.NewPool(), backends: make(map[backend.Backend]backend.LoopBackend),
		bindings: make(map[*Listener]*binding)}
	l.resume = l.resumeAll
	return l, nil
}

// after is the time timeoutMS from now on the loop's wheel; 0 (none) for 0.
func (l *loop) after(timeoutMS uint64) uint64 {
	if timeoutMS == 0 {
		return 0
	}
	return l.NowMS() + timeoutMS
}

// unixNow is the time for a Date field.
func (l *loop) unixNow() int64 { return time.Now().Unix() }

// attach returns the backend's part on this loop, which is made the first time.
func (l *loop) attach(b backend.Backend) (backend.LoopBackend, error) {
	if lb := l.backends[b]; lb != nil {
		return lb, nil
	}
	lb, err := b.Attach(backendLoop{l.Loop})
	if err != nil {
		return nil, err
	}
	l.backends[b] = lb
	return lb, nil
}

// resumeLater has c.resume called in a turn of its own.
func (l *loop) resumeLater(c *conn) {
	l.agains = append(l.agains, c)
	if len(l.agains) == 1 {
		l.Post(l.resume)
	}
}

func (l *loop) resumeAll() {
	l.agains, l.resuming = l.resuming[:0], l.agains
	for i, c := range l.resuming {
		l.resuming[i] = nil
		c.resume()
	}
}

// accept takes over a new connection of a listener that s serves.
func (l *loop) accept(s *service, fd int, peer netip.AddrPort) {
	if l.e.conns.Add(1) > l.e.connsMax {
		l.e.conns.Add(-1)
		l.turnAway(fd)
		l.logTurnedAway(peer)
		return
	}
	c := newConn(l, s, fd, peer)
	if err := l.Add(fd, c); err != nil {
		l.e.log.Error("connection lost", "loop", l.Index(), "err", err)
		c.forget()
		syscall.Close(fd) // the loop does not know it
	}
}

// logRefused says, not too often, that a backend did not take an exchange.
func (l *loop) logRefused(what string, err error) {
	if l.e.refusedLog.allow(l.NowMS()) {
		l.e.log.Warn(what+" refused", "err", err, "total", l.e.refused.Load())
	}
}

// logLimit says, not too often, that there are too many connections.
func (l *loop) logLimit() {
	if l.e.refusedLog.allow(l.NowMS()) {
		l.e.log.Warn("connections turned away: limit reached", "limit", l.e.connsMax)
	}
}

// turnAway answers a connection above the limit, as far as that works without waiting.
func (l *loop) turnAway(fd int) {
	l.logLimit()
	l.errorPage = httpwrite.AppendError(l.errorPage[:0], l.unixNow(), statusUnavailable, retryAfterSeconds, true, false)
	reactor.Write(fd, l.errorPage)
	syscall.Close(fd)
}

// connList links the connections of a loop, to find them all at shutdown.
type connList struct {
	first *conn
	len   int
}

func (l *loop) link(c *conn) {
	c.next = l.conns.first
	if c.next != nil {
		c.next.prev = c
	}
	l.conns.first = c
	l.conns.len++
}

func (l *loop) unlink(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.conns.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	l.conns.len--
}

// backendLoop shows a reactor.Loop as a backend.Loop.
type backendLoop struct{ *reactor.Loop }

func (b backendLoop) Post(fn func())                                 { b.Loop.Post(fn) }
func (b backendLoop) After(d time.Duration, fn func()) backend.Timer { return b.Loop.After(d, fn) }
func (b backendLoop) OnTurn(t backend.Turn)                          { b.Loop.OnTurn(t) }
func (b backendLoop) OffTurn(t backend.Turn)                         { b.Loop.OffTurn(t) }
