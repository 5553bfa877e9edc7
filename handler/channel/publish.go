package channel

import "errors"

// Publish passes a message on to all subscribers of a channel, and keeps it in the history if there is one. It returns how many
// subscribers there are. It may be called on any goroutine, and does not wait. See AwaitHeir for a hub that another process takes over.
func (h *Hub) Publish(name string, p Post) (subscribers int, err error) {
	if err := CheckName(name); err != nil {
		return 0, err
	}
	if err := p.check(); err != nil {
		return 0, err
	}
	subscribers, err = h.tryPublish(name, p)
	if noRoom(err) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.stats.Refused++
	}
	return subscribers, err
}

// noRoom reports whether tryPublish has failed because too much waits. It can be tried again.
func noRoom(err error) bool { return err != nil && err != ErrChannels && err != ErrMoved }

// tryPublish is Publish of what is valid.
func (h *Hub) tryPublish(name string, p Post) (subscribers int, err error) {
	h.mu.Lock()
	switch {
	case h.relay != nil:
		defer h.mu.Unlock()
		return h.countOf(name), h.relay.add(name, &p, h.o.QueueBytes)
	case h.log != nil:
		n := h.countOf(name)
		h.mu.Unlock()
		return n, h.append(name, p)
	}
	ring, n, err := h.publishHere(name, &p)
	h.mu.Unlock()
	for _, l := range ring {
		l.on.Post(l.turn)
	}
	return n, err
}

// append makes the log publish a message.
func (h *Hub) append(name string, p Post) error {
	err := h.log.Append(name, p)
	if err == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.Is(err, ErrMoved) {
		if h.relay != nil {
			return h.relay.add(name, &p, h.o.QueueBytes)
		}
		return h.log.Append(name, p) // it stays
	}
	return err
}

// publishHere is Publish for a hub that gives messages their places itself.
func (h *Hub) publishHere(name string, p *Post) (ring []*Loop, subscribers int, err error) {
	if c := h.channels[name]; c != nil && !h.room(c, (&Message{Post: *p}).size()) {
		return nil, 0, ErrBusy
	}
	return h.publish(name, p, h.seq+1, h.now())
}

// publish gives a message its place in the order. It returns the loops that are to be told.
func (h *Hub) publish(name string, p *Post, seq uint64, time int64) (ring []*Loop, subscribers int, err error) {
	h.seq = seq
	c := h.channelOf(name)
	if c == nil {
		// It has no subscribers, and gets no history. One who subscribes later is told that something was missed.
		h.forgotten = seq
		return nil, 0, ErrChannels
	}
	m := &Message{Post: *p, Channel: name, Seq: seq, Time: time, era: h.era()}
	c.last = seq
	h.keep(c, m)
	h.stats.Messages++
	h.stats.Deliveries += uint64(c.count)
	for i, g := range c.groups {
		if g != nil && g.count > 0 {
			ring = h.loops[i].push(ring, g, m)
		}
	}
	return ring, c.count, nil
}

// room reports whether all loops with subscribers have room for a message.
func (h *Hub) room(c *channel, size int) bool {
	for i, g := range c.groups {
		if g != nil && g.count > 0 && h.loops[i].waiting+size > h.o.QueueBytes {
			return false
		}
	}
	return true
}

// push queues a message for a loop, and adds the loop to ring if it is not on its way yet.
func (l *Loop) push(ring []*Loop, g *group, m *Message) []*Loop {
	l.queue = append(l.queue, item{g, m})
	l.waiting += m.size()
	if l.posted {
		return ring
	}
	l.posted = true
	return append(ring, l)
}

// Count is the number of subscribers of a channel.
func (h *Hub) Count(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.countOf(name)
}

func (h *Hub) countOf(name string) int {
	if c := h.channels[name]; c != nil {
		return c.count
	}
	return 0
}

// Presence returns the keys of the subscribers of a channel (Rule.Presence), each with the number of those who have it: at most max
// keys.
func (h *Hub) Presence(name string, max int) map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.channels[name]
	if c == nil {
		return nil
	}
	keys := make(map[string]int, min(max, len(c.keys)))
	for key, n := range c.keys {
		if len(keys) == max {
			break
		}
		keys[key] = n
	}
	return keys
}

// Waiting is the memory of the messages that wait for loops.
func (h *Hub) Waiting() (bytes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.loops {
		if l != nil {
			bytes += l.waiting
		}
	}
	return bytes
}
