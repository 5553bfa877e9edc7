package engine

import (
	"context"
	"time"
)

// Drain is the first part of a shutdown: listeners close at once, then idle connections; connections with a request
// finish it and close. It returns when no connection is left, or ctx's error. Backends must go on until then.
func (e *Engine) Drain(ctx context.Context) error {
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
	e.onEveryLoop(func(l *loop) error { l.drain(); return nil })
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

// drain closes the connections that are to end and wait for a request. The others close by themselves: see conn.finish.
func (l *loop) drain() {
	for c := l.conns.first; c != nil; {
		next := c.next
		if !c.ending() {
			c = next
			continue
		}
		if c.state == stateIdle {
			// A request may be here of which no event has told yet. Its peer could not know that it was too late.
			c.readable = true
			c.advance()
		}
		if c.state == stateIdle && c.in.Len() == 0 {
			c.linger()
		}
		c = next
	}
}

func (l *loop) resetAll() {
	for c := l.conns.first; c != nil; {
		next := c.next
		c.reset()
		c = next
	}
}
