package engine

import (
	"context"
	"time"
)

// Drain is the first part of a shutdown: listeners close at once, then idle connections; connections with a request
// finish it and close. It returns when no connection is left, or ctx's error. Backends must go on until then.
func (e *Engine) Drain(ctx context.Context) error { return e.end(ctx, false) }

// Retire is Drain for an engine whose listeners another process has (Listener.HandOver), so that nobody waits for its end:
// idle connections are not closed at once but with their next response, or after a second without a request. A peer that
// sends a request at just this moment gets an answer and not the end of the connection.
func (e *Engine) Retire(ctx context.Context) error { return e.end(ctx, true) }

func (e *Engine) end(ctx context.Context, patient bool) error {
	e.mu.Lock()
	listeners := e.listeners
	e.listeners = nil
	e.stopped = true
	e.mu.Unlock()
	for _, ln := range listeners {
		ln.r.Close()
	}
	// The loops close listening sockets in the order of posts: when they have answered this, nobody gets in any more, and
	// only then a peer sees that its connection ends.
	e.onEveryLoop(func(*loop) error { return nil })
	e.stopping.Store(true)
	e.onEveryLoop(func(l *loop) error { l.drain(patient); return nil })
	return e.waitForConns(ctx)
}

// Shutdown ends the engine: Drain, and when ctx ends before that, what is left is reset. Then the loops stop. It returns
// ctx's error if connections were cut, else nil. Backends are not stopped: that is their owner's to do.
func (e *Engine) Shutdown(ctx context.Context) error {
	err := e.Drain(ctx)
	if err != nil {
		e.onEveryLoop(func(l *loop) error { l.resetAll(); return nil })
	}
	e.stopLoops()
	return err
}

// waitForConns looks every few milliseconds: a shutdown is rare, and no connection has to know of it.
func (e *Engine) waitForConns(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for e.conns.Load() > 0 {
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
		l.Stop()
	}
	e.running.Wait()
}

// lastRequestMS is how long a connection that is to end waits for a last request, if its peer has been told that it is
// persistent: closing it at once would hit a request that is on its way. That one's response says that it ends.
const lastRequestMS = 1000

// drain closes the connections that are to end and wait for a request; if patient, they may make a last one. The others
// close by themselves: see conn.finish.
func (l *loop) drain(patient bool) {
	for c := l.conns.first; c != nil; {
		next := c.next
		switch {
		case c.state != stateIdle || !c.ending():
		case patient:
			c.awaitLast()
		default:
			// A request may be here of which no event has told yet. Its peer could not know that it was too late.
			c.readable = true
			c.advance()
			if c.state == stateIdle && c.in.Len() == 0 {
				c.linger()
			}
		}
		c = next
	}
}

// awaitLast gives an idle connection that is to end the time for a last request.
func (c *conn) awaitLast() {
	c.state = stateIdle
	wait := uint64(lastRequestMS)
	if idle := c.s.limits.idleMS; idle != 0 {
		wait = min(wait, idle)
	}
	c.setDeadline(wait)
}

func (l *loop) resetAll() {
	for c := l.conns.first; c != nil; {
		next := c.next
		c.reset()
		c = next
	}
}
