package channel

import (
	"slices"

	"moonbridge/handler/list"
)

// Subscriber is what gets messages: a connection. Its methods are called on its loop, and not within a call on its Member.
type Subscriber interface {
	// Deliver passes on messages, in their order. It reports whether the subscriber takes more. If it does not, nothing follows until
	// Member.Resume is called, after Deliver has returned.
	Deliver(run *Run) (more bool)
	// Lost says that messages between those that the subscriber has and those that follow do not exist any more: it comes back too late,
	// or with an id that is not known. Messages that there are still follow.
	Lost()
	// Taken tells how much the subscriber has taken, in whatever unit. Only whether it grows matters. It is called when Deliver has
	// returned false, and when a Member has waited for Resume for long.
	Taken() int64
	// Slow says that the subscriber does not take messages fast enough. It is a member no more.
	Slow()
}

// Member is what a Subscriber has of a Hub. It belongs to its loop, and must not be copied.
type Member struct {
	// What each message touches comes first.
	s     Subscriber
	l     *Loop  // nil: it is none
	last  uint64 // the place in the order up to which it has everything
	state memberState
	fresh bool         // it has not been live since SubscribeAfter: what is missing was lost before it came
	lost  bool         // Lost is due
	all   bool         // it wants what there is, and has got nothing yet: it misses nothing that no history has
	own   subscription // room for one: most have no other

	first *subscription // of the list
	key   string
	since int64 // memberFull: when it was last seen to take something, on the loop's clock
	taken int64 // memberFull: Subscriber.Taken, then

	links list.Links[Member] // memberFull: in Loop.full
}

type memberState uint8

const (
	// memberLive: it has everything, and gets messages when they are published. Next: full, behind.
	memberLive memberState = iota
	// memberBehind: it gets messages of the histories, when it is its turn in Loop.behind. Next: live, full.
	memberBehind
	// memberFull: it takes nothing until Resume. Next: behind.
	memberFull
)

// subscription is a channel of a member.
type subscription struct {
	m     *Member
	from  uint64 // the place in the order when it was made
	g     *group
	index int           // in g.list
	shown bool          // in channel.keys
	next  *subscription // of m
	told  uint64        // channel.lost when Lost was called
}

// subscriptionsMax bounds the channels of a member.
const subscriptionsMax = 64

// Join makes s a member, which m stands for. key is what presence shows of it; it may be empty. The first call of a method of s comes
// in a later turn of the loop.
func (l *Loop) Join(m *Member, s Subscriber, key string) error {
	if len(key) > WordMax || !printable(key) {
		return ErrWord
	}
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.members >= h.o.Subscribers {
		return ErrSubscribers
	}
	h.members++
	*m = Member{l: l, s: s, key: key, last: h.seq}
	return nil
}

// SubscribeAfter subscribes the channels of a member that has none yet. after is the id of the last message that it has: that of any
// of the channels. If it is empty, the member gets what is published from now on; if it is "0", all that the histories have. After an
// error nothing has changed.
func (m *Member) SubscribeAfter(after string, names ...string) error {
	missed, err := m.subscribeAfter(after, names)
	if missed {
		m.fallBehind()
	}
	return err
}

func (m *Member) subscribeAfter(after string, names []string) (missed bool, err error) {
	h := m.l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := m.subscribe(names, 0); err != nil {
		return false, err
	}
	if m.all = after == fromStart; m.all {
		m.last, m.lost = 0, false
	} else {
		known := false
		m.last, known = h.place(after, m.channels)
		m.lost = !known
	}
	if m.fresh = m.lost || m.lacks() || m.nextAfter(m.last) != nil; !m.fresh {
		m.last, m.all = max(m.last, h.seq), false
	}
	return m.fresh, nil
}

// fromStart is an id before all others.
const fromStart = "0"

// Subscribe adds channels to those of a member, which gets what is published on them from now on. Those that it has already are left
// as they are. After an error nothing has changed.
func (m *Member) Subscribe(names ...string) error {
	h := m.l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	return m.subscribe(names, h.seq)
}

func (m *Member) subscribe(names []string, from uint64) error {
	fresh, err := m.missing(names)
	if err != nil {
		return err
	}
	for _, c := range fresh {
		s := &m.own
		if s.g != nil {
			s = new(subscription)
		}
		*s = subscription{m: m, from: from, next: m.first}
		m.first = s
		m.l.add(c, s)
	}
	return nil
}

// missing are the channels of names that the member does not have. Those that do not exist are created, if there is room for all.
func (m *Member) missing(names []string) (fresh []*channel, err error) {
	wanted, err := m.wanted(names)
	if err != nil {
		return nil, err
	}
	h, unknown := m.l.hub, 0
	for _, name := range wanted {
		if h.channels[name] == nil {
			unknown++
		}
	}
	if unknown > 0 && len(h.channels)+unknown > h.o.Channels {
		return nil, ErrChannels
	}
	for _, name := range wanted {
		fresh = append(fresh, h.channelOf(name))
	}
	return fresh, nil
}

// wanted are those of names that the member does not have, each once.
func (m *Member) wanted(names []string) (wanted []string, err error) {
	n := 0
	for s := m.first; s != nil; s = s.next {
		n++
	}
	for _, name := range names {
		switch {
		case !validName(name):
			return nil, ErrName
		case m.has(name) || slices.Contains(wanted, name):
		case n+len(wanted) == subscriptionsMax:
			return nil, ErrMany
		default:
			wanted = append(wanted, name)
		}
	}
	return wanted, nil
}

func (m *Member) has(name string) bool {
	for s := m.first; s != nil; s = s.next {
		if s.g.c.name == name {
			return true
		}
	}
	return false
}

// channels are those of the member.
func (m *Member) channels(yield func(*channel) bool) {
	for s := m.first; s != nil; s = s.next {
		if !yield(s.g.c) {
			return
		}
	}
}

// Channels are the names of the member's channels.
func (m *Member) Channels() (names []string) {
	for c := range m.channels {
		names = append(names, c.name)
	}
	return names
}

// Unsubscribe removes channels of a member.
func (m *Member) Unsubscribe(names ...string) {
	if m.l == nil {
		return
	}
	m.l.hub.mu.Lock()
	defer m.l.hub.mu.Unlock()
	for at := &m.first; *at != nil; {
		s := *at
		if !slices.Contains(names, s.g.c.name) {
			at = &s.next
			continue
		}
		*at = s.next
		m.l.remove(s)
		*s = subscription{}
	}
}

// Leave ends the membership. It may be called in any state, and within the methods of the Subscriber. No call follows.
func (m *Member) Leave() {
	l := m.l
	if l == nil {
		return
	}
	if m.state == memberFull {
		l.full.Remove(m)
	}
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	for s := m.first; s != nil; s = m.first {
		m.first = s.next
		l.remove(s)
		*s = subscription{}
	}
	l.hub.members--
	m.l = nil
}

// Resume says that the subscriber takes messages again. What there is for it follows in a later turn.
func (m *Member) Resume() {
	if m.l != nil && m.state == memberFull {
		m.l.full.Remove(m)
		m.fallBehind()
	}
}

// fallBehind gives the member messages of the histories.
func (m *Member) fallBehind() {
	m.state = memberBehind
	m.l.behind = append(m.l.behind, m)
	m.l.again()
}

// Position is the id of the last message that the member has got, or that it has said that it has. It is one of the hub, even if
// the message has another one. It is "0" as long as the member has got nothing of all that it wants. Leave ends it.
func (m *Member) Position() string {
	if m.all {
		return fromStart
	}
	return m.l.hub.era().id(m.last)
}

// LossDue reports whether the member is to be told of a loss because the id that it came with is not known (Subscriber.Lost).
func (m *Member) LossDue() bool { return m.lost }

// Misses reports, after SubscribeAfter, whether messages are missing that no history has. Then Subscriber.Lost is called before the first
// message.
func (m *Member) Misses() bool {
	m.l.hub.mu.Lock()
	defer m.l.hub.mu.Unlock()
	return m.fresh && (m.lost || m.lacks())
}

// add makes s a subscription of c. Under Hub.mu, on the loop.
func (l *Loop) add(c *channel, s *subscription) {
	for len(c.groups) <= l.index {
		c.groups = append(c.groups, nil)
	}
	g := c.groups[l.index]
	if g == nil {
		g = &group{c: c}
		c.groups[l.index] = g
	}
	s.g, s.index = g, len(g.list)
	g.list = append(g.list, s)
	g.count++
	c.count++
	if s.shown = s.m.key != "" && l.hub.ruleFor(c).Presence; s.shown {
		put(&c.keys, s.m.key, c.keys[s.m.key]+1)
	}
}

// remove undoes add.
func (l *Loop) remove(s *subscription) {
	g := s.g
	moved := g.list[len(g.list)-1]
	g.list[s.index], moved.index = moved, s.index
	g.list[len(g.list)-1] = nil
	if g.list = g.list[:len(g.list)-1]; len(g.list) == 0 {
		g.list = nil
	}
	g.count--
	c := g.c
	c.count--
	c.active = l.hub.now()
	if s.shown {
		if c.keys[s.m.key]--; c.keys[s.m.key] == 0 {
			delete(c.keys, s.m.key)
		}
	}
}
