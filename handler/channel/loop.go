package channel

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/list"
)

// Loop is the part of a Hub on one loop. Except for what belongs to Hub.mu, only that loop touches it.
type Loop struct {
	hub   *Hub
	on    backend.Loop
	index int
	turn  func() // run, made once

	// These belong to Hub.mu.
	queue   []item
	waiting int  // memory of the messages that are queued and not delivered
	posted  bool // run is on its way

	taken  []item // from the queue
	next   int    // of taken
	run    *Run   // that is being delivered; nil: none
	runOf  *group
	cursor int // subscribers of runOf from here on have it
	size   int // memory of the messages of run

	behind []*Member         // to be given messages of the histories
	full   list.List[Member] // members that take nothing
	ticks  bool              // tick is on its way

	values   map[any]Drainer
	draining bool
}

// item is a message for the subscribers of a channel on a loop.
type item struct {
	g *group
	m *Message
}

const (
	// turnTime is how long a loop passes on messages at a time: other connections have theirs then.
	turnTime = time.Millisecond
	// turnStep is how many subscribers get a message between looks at the clock.
	turnStep = 32
	// runMessages and runBytes bound a run.
	runMessages = 64
	runBytes    = 64 << 10
	// fullCheck is how often the loop looks for members that take nothing for too long.
	fullCheck = time.Second
)

// On returns the part of the hub on a loop. It is called on that loop; there is one for each index.
func (h *Hub) On(on backend.Loop) *Loop {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := on.Index()
	for len(h.loops) <= i {
		h.loops = append(h.loops, nil)
	}
	if h.loops[i] == nil {
		l := &Loop{hub: h, on: on, index: i, full: list.New(func(m *Member) *list.Links[Member] { return &m.links })}
		l.turn = l.deliver
		h.loops[i] = l
	}
	return h.loops[i]
}

// Hub is the hub that l is a part of.
func (l *Loop) Hub() *Hub { return l.hub }

// again makes the loop call deliver.
func (l *Loop) again() {
	l.hub.mu.Lock()
	posted := l.posted
	l.posted = true
	l.hub.mu.Unlock()
	if !posted {
		l.on.Post(l.turn)
	}
}

// deliver passes on what there is, for a while.
func (l *Loop) deliver() {
	end := l.on.Clock() + int64(turnTime)
	for l.on.Clock() < end {
		queued := l.deliverQueue(end)
		if !l.deliverBehind() && !queued && l.idle() {
			return
		}
	}
	l.on.Post(l.turn)
}

// idle ends the work of the loop if there is none left.
func (l *Loop) idle() bool {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if len(l.queue) > 0 || len(l.behind) > 0 {
		return false
	}
	l.posted = false
	return true
}

// deliverQueue passes on one run of what is queued, or what it can of it until the time end. It reports whether there was one.
func (l *Loop) deliverQueue(end int64) bool {
	if l.run == nil && !l.nextRun() {
		return false
	}
	if l.deliverRun(end) {
		l.hub.mu.Lock()
		l.waiting -= l.size
		l.hub.mu.Unlock()
		l.run, l.runOf = nil, nil
	}
	return true
}

// nextRun takes messages of one channel from the queue, as many as follow each other.
func (l *Loop) nextRun() bool {
	if l.next == len(l.taken) && !l.takeQueue() {
		return false
	}
	g := l.taken[l.next].g
	r, bytes := &Run{}, 0
	l.size = 0
	for l.next < len(l.taken) && l.taken[l.next].g == g && len(r.messages) < runMessages {
		m := l.taken[l.next].m
		if bytes += len(m.Data); bytes > runBytes && len(r.messages) > 0 {
			break
		}
		r.messages = append(r.messages, m)
		l.size += m.size()
		l.taken[l.next] = item{}
		l.next++
	}
	l.run, l.runOf, l.cursor = r, g, len(g.list)
	return true
}

// takeQueue takes all that is queued.
func (l *Loop) takeQueue() bool {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if cap(l.taken) > queueKept {
		l.taken = nil
	}
	l.taken, l.queue, l.next = l.queue, l.taken[:0], 0
	return len(l.taken) > 0
}

// queueKept is the capacity up to which an empty queue is kept for later.
const queueKept = 4096

// deliverRun passes the run on to the subscribers of its channel, from the last to the first: one that leaves meanwhile gives its
// place to the last, which has the run already; and those that come are after all others, and do not want it. A subscriber knows what
// it has, so none gets anything twice.
func (l *Loop) deliverRun(end int64) bool {
	for step := 1; ; step++ {
		l.cursor = min(l.cursor, len(l.runOf.list)) - 1
		if l.cursor < 0 {
			return true
		}
		l.runOf.list[l.cursor].give(l.run)
		if step%turnStep == 0 && l.on.Clock() > end {
			return l.cursor == 0
		}
	}
}

// give passes a run on to a live member.
func (s *subscription) give(r *Run) {
	m := s.m
	if m.state != memberLive {
		return // it gets it from the history
	}
	if r = r.after(max(m.last, s.from)); r != nil {
		m.deliver(r)
	}
}

// deliver passes a run on to a member that takes it. In state behind, it is not in Loop.behind.
func (m *Member) deliver(r *Run) {
	m.last, m.all = r.last(), false
	if !m.s.Deliver(r) && m.l != nil {
		m.state = memberFull
		m.l.linkFull(m)
	}
}

func (l *Loop) linkFull(m *Member) {
	m.since, m.taken = l.on.Now(), m.s.Taken()
	l.full.PushFront(m)
	if !l.ticks {
		l.ticks = true
		l.on.After(fullCheck, l.tick)
	}
}

// tick ends members that have taken nothing for too long.
func (l *Loop) tick() {
	now := l.on.Now()
	var slow []*Member
	for m := range l.full.All() {
		if now-m.since <= int64(m.patience()) {
			continue
		}
		if taken := m.s.Taken(); taken > m.taken {
			m.since, m.taken = now, taken // it reads slowly, and has no room yet
			continue
		}
		slow = append(slow, m)
	}
	for _, m := range slow {
		if m.l == l && m.state == memberFull { // its subscriber may have been ended by another
			l.endSlow(m)
		}
	}
	if l.ticks = l.full.Len() > 0; l.ticks {
		l.on.After(fullCheck, l.tick)
	}
}

// patience is how long the member may take nothing: that of the least patient of its channels.
func (m *Member) patience() time.Duration {
	h := m.l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	d := slowMax
	for c := range m.channels {
		d = min(d, h.ruleFor(c).Slow)
	}
	return d
}

// endSlow ends a member.
func (l *Loop) endSlow(m *Member) {
	m.Leave()
	l.hub.mu.Lock()
	l.hub.stats.Slow++
	l.hub.mu.Unlock()
	m.s.Slow()
}
