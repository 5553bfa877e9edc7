package pool

import (
	"log/slog"
	"time"
)

// retryEvery is how often events that have found no room look for some again, if nothing else calls them.
const retryEvery = 20 * time.Millisecond

// wait puts a connection at the end of those whose event has found no room. There is at most one event of each connection.
func (l *socketLoop) wait(c *socketConn) {
	l.waiting = append(l.waiting, c)
	l.setTimer()
}

func (l *socketLoop) setTimer() {
	if l.timer == nil && len(l.waiting) > 0 {
		l.timer = l.on.After(retryEvery, l.retry)
	}
}

func (l *socketLoop) retry() {
	l.timer = nil
	l.next()
	l.setTimer()
}

// next starts events that wait, as long as there is room.
func (l *socketLoop) next() {
	n := 0
	for ; n < len(l.waiting); n++ {
		c := l.waiting[n]
		if !c.start(c.data) {
			break
		}
		c.data = nil
	}
	if n > 0 {
		rest := copy(l.waiting, l.waiting[n:])
		clear(l.waiting[rest:])
		if l.waiting = l.waiting[:rest]; rest == 0 {
			l.waiting = nil
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

func (l *socketLoop) log() *slog.Logger {
	if h := l.s.host.Load(); h != nil {
		return h.log
	}
	return slog.Default()
}
