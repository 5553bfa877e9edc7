package upstream

import (
	"slices"
	"sync"
)

// conns counts connections by loop. Loops change it only when a connection begins or ends, so a lock is good enough.
type conns struct {
	mu   sync.Mutex
	open []int // by the index of the loop
}

func (c *conns) add(loop, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.open) <= loop {
		c.open = append(c.open, 0)
	}
	c.open[loop] += n
}

func (c *conns) all() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.open)
}

// Connected says that a loop has a connection to the server. Disconnected follows when that is closed.
func (v *Server) Connected(loop int) { v.conns.add(loop, 1) }

// Disconnected says that such a connection is closed.
func (v *Server) Disconnected(loop int) { v.conns.add(loop, -1) }
