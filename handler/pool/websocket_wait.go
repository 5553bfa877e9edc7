package pool

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"time"

	"moonbridge/handler/logging"
	"moonbridge/handler/shm"
)

// retryEvery is how often events that have found no room look for some again, if nothing else calls them.
const retryEvery = 20 * time.Millisecond

// waiting are the connections whose event waits for room in a pool, in their order. There is at most one event of each connection.
type waiting struct {
	list []*socketConn
	next int // those before it have left
}

func (w *waiting) empty() bool { return w.next == len(w.list) }

func (w *waiting) add(c *socketConn) { w.list = append(w.list, c) }

// leave lets the first one go.
func (w *waiting) leave() {
	w.list[w.next] = nil
	if w.next++; w.empty() {
		w.list, w.next = nil, 0
	} else if w.next == 1024 {
		w.list, w.next = w.list[w.next:], 0 // the memory before it is freed when the list grows
	}
}

// queue is where events for the pool with this index wait.
func (l *socketLoop) queue(pool int) *waiting {
	for len(l.waiting) <= pool {
		l.waiting = append(l.waiting, waiting{})
	}
	return &l.waiting[pool]
}

// wait makes the event of a connection wait for room. false: there is no memory for its message.
func (l *socketLoop) wait(c *socketConn, data []byte) bool {
	if !l.s.budget.Take(len(data)) {
		return false
	}
	if c.data = data; c.event.Event != shm.WSMessages { // a batch is not a view
		c.data = bytes.Clone(data)
	}
	l.queue(c.pool).add(c)
	l.s.waiting.Add(1)
	l.setTimer()
	return true
}

func (l *socketLoop) setTimer() {
	if l.timer == nil && slices.ContainsFunc(l.waiting, func(w waiting) bool { return !w.empty() }) {
		l.timer = l.on.After(retryEvery, l.retry)
	}
}

func (l *socketLoop) retry() {
	l.timer = nil
	for pool := range l.waiting {
		l.next(pool)
	}
	l.setTimer()
}

// next starts events that wait for the pool, as long as there is room.
func (l *socketLoop) next(pool int) {
	for w := l.queue(pool); !w.empty(); {
		c := w.list[w.next]
		if !c.start(c.data) {
			return
		}
		w.leave()
		l.s.waiting.Add(-1)
		l.s.budget.Give(len(c.data))
		c.data = nil
	}
}

// Quiet waits until no event waits for room in a pool, at most until ctx is done. Then close handlers of connections that have ended are
// at work at least, and Stop of the Host waits for them.
func (s *WebSockets) Quiet(ctx context.Context) {
	tick := time.NewTicker(retryEvery / 2)
	defer tick.Stop()
	for s.waiting.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// poolLoop is the pool that gets the events of connections which the pool with this index has accepted: of the script that is in use
// now. A script that has fewer pools has the first one do it.
func (l *socketLoop) poolLoop(index int) *loop {
	h := l.s.host.Load()
	if h == nil {
		return nil
	}
	pools := h.Pools()
	if index >= len(pools) {
		index = 0
	}
	if len(pools) == 0 {
		return nil
	}
	p := pools[index].loopAt(uint32(l.on.Index()))
	if p == nil || p.closed || p.p.stopping.Load() {
		return nil
	}
	return p
}

// complain logs what is wrong with a connection, at a bounded rate. cause may be empty.
func (c *socketConn) complain(level slog.Level, message, cause string, attrs ...slog.Attr) {
	if h := c.l.s.host.Load(); h != nil {
		h.complain(level, message, cause, append(attrs, slog.String("handler", c.handler))...)
	}
}

func (h *Host) complain(level slog.Level, message, cause string, attrs ...slog.Attr) {
	h.tally.Add(logging.Event{Level: level, Message: message, Cause: cause}, func() []slog.Attr { return attrs })
}
