package channel

// Drainer is what a program has on a loop of a hub, and what is told when its subscribers are to end.
type Drainer interface {
	// Drain is called on the loop.
	Drain()
}

// Value returns what the first call with this key has made on this loop, where it is called. If the hub drains already, what is made
// is drained at once.
func (l *Loop) Value(key any, create func() Drainer) Drainer {
	v := l.values[key]
	if v == nil {
		v = create()
		if l.values == nil {
			l.values = make(map[any]Drainer)
		}
		l.values[key] = v
		if l.draining {
			v.Drain()
		}
	}
	return v
}

// Drain ends the subscribers of all loops that a Drainer knows: their clients are to come back to another server.
func (h *Hub) Drain() {
	h.mu.Lock()
	loops := h.loops
	h.mu.Unlock()
	for _, l := range loops {
		if l != nil {
			l.on.Post(l.drain)
		}
	}
}

func (l *Loop) drain() {
	l.draining = true
	for _, v := range l.values {
		v.Drain()
	}
}
