package engine

import (
	"context"
	"slices"
	"time"
)

// Drain is the first part of a shutdown. Listeners close at once, then idle connections; connections with a request finish
// it and close. Drain returns nil when no connection is left, or ctx's error. Backends have to keep working until then.
//
// As in net/http, hijacked connections (backend.Upgrader) are neither closed nor waited for: their programs have to end them.
func (e *Engine) Drain(ctx context.Context) error { return e.end(ctx, false) }

// Retire is Drain for an engine whose listeners another process has taken over (Listener.HandOver), so its end is not
// urgent. Idle connections are not closed at once but after their next response, or after a second without a request: a
// peer that sends a request at this very moment is answered.
func (e *Engine) Retire(ctx context.Context) error { return e.end(ctx, true) }

func (e *Engine) end(ctx context.Context, patient bool) error {
	if e.onLoop() {
		return ErrOnLoop
	}
	e.mu.Lock()
	listeners := e.listeners
	e.listeners = nil
	e.stopped = true
	e.mu.Unlock()
	for _, ln := range listeners {
		ln.stop()
	}
	// The loops close listening sockets in the order of posts. Once they have answered this, no new connection gets in, and
	// only then may a peer see that its connection ends.
	e.onEveryLoop(func(*loop) error { return nil })
	e.stopping.Store(true)
	e.onEveryLoop(func(l *loop) error { l.drain(patient); l.drainRaw(nil); return nil })
	return e.waitForConns(ctx)
}

// Shutdown ends the engine: Drain, and if ctx ends first, the connections that are left are reset. So are connections that were
// dialed, for which Drain does not wait. Then the loops stop. It returns nil, or ctx's error if accepted connections were reset.
// It does not stop the backends: their owner does. Hijacked connections outlive it.
func (e *Engine) Shutdown(ctx context.Context) error {
	err := e.Drain(ctx)
	if err == ErrOnLoop {
		return err
	}
	e.over.Store(true)
	e.onEveryLoop(func(l *loop) error { l.resetAll(); l.resetRaw(); return nil })
	e.stopLoops()
	e.tally.Flush()
	return err
}

// waitForConns polls every few milliseconds: a shutdown is rare, and this way no connection has to know of it.
func (e *Engine) waitForConns(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for e.conns.Load() > e.detached.Load() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (e *Engine) stopLoops() {
	for _, l := range e.loops {
		l.r.Stop()
	}
	e.running.Wait()
	e.watcher.end()
	e.mu.Lock() // several goroutines may call Shutdown
	defer e.mu.Unlock()
	for _, l := range e.loops {
		l.raw.pipes.close()
	}
}

// lastRequestMS is how long a connection that is to end waits for a last request, if its peer was told that it is
// persistent: closing it at once would hit a request that is on its way. The response to that request says that the
// connection ends.
const lastRequestMS = 1000

// drain ends the idle connections that are to end; if patient, after the time for a last request. Connections with a request
// end by themselves: see conn.finish.
func (l *loop) drain(patient bool) {
	if l.tls != nil {
		l.tls.drain(patient)
	}
	if l.h2 != nil {
		l.h2.drain()
	}
	l.drainPrefaced(patient)
	nowMS := l.sys.nowMS()
	for _, c := range l.allConns() {
		switch {
		case c.state != stateIdle || !c.ending():
		case patient:
			c.awaitLast(nowMS)
		default:
			c.endIdle(nowMS)
		}
	}
}

// endIdle closes an idle connection. A request may have arrived that no event has reported yet: it is answered, since its
// peer could not know that it was too late.
func (c *conn) endIdle(nowMS uint64) {
	c.socket.readable = true
	c.advance(nowMS)
	if c.state == stateIdle {
		c.linger(nowMS)
	}
}

// awaitLast gives a connection that is to end the time for a last request.
func (c *conn) awaitLast(nowMS uint64) {
	c.state = stateIdle
	wait := uint64(lastRequestMS)
	if idle := c.service.limits.idleMS; idle != 0 {
		wait = min(wait, idle)
	}
	c.setTimeout(nowMS, wait)
}

func (l *loop) resetAll() {
	if l.tls != nil {
		l.tls.resetAll()
	}
	l.resetPrefaced()
	for _, c := range l.allConns() {
		if c.complete() {
			c.close() // the system sees to what is on its way
		} else {
			c.reset()
		}
	}
}

// complete reports whether everything is sent, and no request has begun. A connection that waits for a last request may have
// sent its response a moment ago.
func (c *conn) complete() bool {
	return c.state == stateLingering || c.state == stateIdle
}

// allConns is a copy of the list, for a caller that calls backends: those may end the exchanges of any connection.
func (l *loop) allConns() []*conn {
	return slices.AppendSeq(make([]*conn, 0, l.conns.Len()), l.conns.All())
}
