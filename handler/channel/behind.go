package channel

// deliverBehind gives the next member messages of the histories. It reports whether there was one.
func (l *Loop) deliverBehind() bool {
	if len(l.behind) == 0 {
		l.behind = nil
		return false
	}
	m := l.behind[0]
	l.behind[0] = nil
	l.behind = l.behind[1:]
	if m.l == l && m.state == memberBehind {
		l.catchUp(m)
	}
	return true
}

// catchUp gives a member the next messages of the histories. If there are none, it is live: what is published from now on is queued
// for its loop, and what is queued already is from before.
func (l *Loop) catchUp(m *Member) {
	r, lost := l.missed(m)
	if lost && !m.fresh {
		l.endSlow(m)
		return
	}
	m.fresh = m.fresh && r != nil
	if lost || m.lost {
		m.lost = false
		m.s.Lost()
	}
	if r == nil || m.l == nil {
		return
	}
	m.deliver(r)
	if m.l != nil && m.state == memberBehind {
		l.behind = append(l.behind, m)
	}
}

// missed are the next messages that a member does not have; nil: there are none, and it is live now. lost: there were others, which
// no history has.
func (l *Loop) missed(m *Member) (r *Run, lost bool) {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for c := range m.channels {
		h.trim(c, now)
	}
	if lost = m.lacks(); lost {
		m.tell()
	}
	r, bytes := &Run{}, 0
	for seq := m.last; len(r.messages) < runMessages; {
		next := m.nextAfter(seq)
		if next == nil {
			break
		}
		if bytes += len(next.Data); bytes > runBytes && len(r.messages) > 0 {
			break
		}
		r.messages = append(r.messages, next)
		seq = next.Seq
	}
	if len(r.messages) == 0 {
		m.last, m.state, m.all = max(m.last, h.seq), memberLive, false
		return nil, lost
	}
	return r, lost
}

// lacks reports whether the member has missed messages that no history has. Under Hub.mu.
func (m *Member) lacks() bool {
	for s := m.first; s != nil && !m.all; s = s.next {
		if s.g.c.lost > max(m.last, s.from, s.told) {
			return true
		}
	}
	return false
}

// tell takes note of what is lost: the member is told once. Under Hub.mu.
func (m *Member) tell() {
	for s := m.first; s != nil; s = s.next {
		s.told = s.g.c.lost
	}
}

// nextAfter is the first message after a place in the order that a history of the member's channels has. Under Hub.mu.
func (m *Member) nextAfter(seq uint64) (first *Message) {
	for s := m.first; s != nil; s = s.next {
		if next := s.g.c.nextAfter(max(seq, s.from)); next != nil && (first == nil || next.Seq < first.Seq) {
			first = next
		}
	}
	return first
}

// nextAfter is the first message of the history after a place in the order.
func (c *channel) nextAfter(seq uint64) *Message {
	for _, k := range c.history[c.after(seq):] {
		if k.m != nil {
			return k.m
		}
	}
	return nil
}
