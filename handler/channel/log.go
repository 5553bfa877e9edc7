package channel

// Log is the order of several hubs: what one of them appends, all of them get, in the same order. Hubs of several machines that share
// one have the same messages with the same ids.
type Log interface {
	// Append takes a message, or returns why there is no room for it now. It may be called on any goroutine, and does not wait. Those of
	// one goroutine keep their order.
	Append(name string, p Post) error
}

// Movable is a Log with which the hub of another process can go on, when that takes over.
type Movable interface {
	Log
	// HandOver returns what has been appended and not passed on yet. From then on Append returns ErrMoved.
	HandOver() (state []byte)
	// Stay undoes HandOver: the other process does not live. since is what was published here meanwhile, and comes next. It is not refused:
	// those who have published it were told that it is published.
	Stay(since []Entry)
	// TakeOver puts what HandOver has returned before everything that has been appended here.
	TakeOver(state []byte) error
}

// Entry is a message of a log.
type Entry struct {
	Channel string
	Post    Post
}

// UseLog makes the messages of the hub those of a log: Publish appends to it, and Apply passes on what the log has. It is called
// before all other methods.
func (h *Hub) UseLog(l Log) { h.log = l }

// Follow says which log it is that Apply passes on, by a name without "-". If the hub has followed it before, it is known, and Follow returns up to
// which place the hub has all of it. Otherwise the hub begins after the place from: what it has is of another order, and subscribers
// are told that they may have missed something.
func (h *Hub) Follow(name string, from uint64) (at uint64, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.era(); e.name == name {
		return h.seq - e.base, true
	}
	e := &era{name: name}
	if from <= h.seq {
		e.base = h.seq + 1 - from // the order of the hub goes on
	}
	h.eraNow.Store(e)
	h.skip(e.base + from)
	return from, false
}

// Skip says that the messages of the log up to a place are not there any more. Subscribers are told.
func (h *Hub) Skip(to uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq := h.era().base + to; seq > h.seq {
		h.skip(seq)
	}
}

// skip goes on in the order, and makes those who do not have all of it look at what they have missed. Under Hub.mu.
func (h *Hub) skip(to uint64) {
	h.seq, h.forgotten = to, to
	for _, c := range h.channels {
		c.last, c.lost = to, to
	}
	for _, l := range h.loops {
		if l != nil {
			l.on.Post(l.recheck)
		}
	}
}

// recheck makes all members of the loop go through the histories, which tell what is lost.
func (l *Loop) recheck() {
	h := l.hub
	h.mu.Lock()
	for _, c := range h.channels {
		if l.index >= len(c.groups) || c.groups[l.index] == nil {
			continue
		}
		for _, s := range c.groups[l.index].list {
			if s.m.state == memberLive {
				s.m.state = memberBehind
				l.behind = append(l.behind, s.m)
			}
		}
	}
	h.mu.Unlock()
	l.again()
}

// Apply passes on messages of the log, which were appended at a time, in milliseconds since 1970. at is the place of the first of
// them; the others follow it. What the hub has already, and what is not valid, is passed over. After ErrBusy nothing has been
// passed on: it can be tried again later. Otherwise then is called, if it is not nil, before a Movable log can be handed over.
func (h *Hub) Apply(at uint64, time int64, list []Entry, then func()) error {
	ring, err := h.apply(at, time, list, then)
	for _, l := range ring {
		l.on.Post(l.turn)
	}
	return err
}

func (h *Hub) apply(at uint64, time int64, list []Entry, then func()) (ring []*Loop, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.roomForAll(list) {
		return nil, ErrBusy
	}
	base := h.era().base
	for i := range list {
		e, seq := &list[i], base+at+uint64(i)
		if seq <= h.seq || !validName(e.Channel) || e.Post.check() != nil {
			continue
		}
		more, _, _ := h.publish(e.Channel, &e.Post, seq, time)
		ring = append(ring, more...)
	}
	if then != nil {
		then()
	}
	return ring, nil
}

// roomForAll reports whether all loops have room for messages, whatever their channels are. A loop for which none wait has room for
// any number.
func (h *Hub) roomForAll(list []Entry) bool {
	size := 0
	for i := range list {
		size += (&Message{Post: list[i].Post}).size()
	}
	for _, l := range h.loops {
		if l != nil && l.waiting > 0 && l.waiting+size > h.o.QueueBytes {
			return false
		}
	}
	return true
}
