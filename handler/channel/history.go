package channel

import (
	"slices"
	"sort"

	"moonbridge/handler/list"
)

// kept is a message in a history. All of a hub are linked in their order.
type kept struct {
	m     *Message // nil: another one has taken its place (Post.Key)
	c     *channel
	seq   uint64
	links list.Links[kept]
}

func newHistories() list.List[kept] {
	return list.New(func(k *kept) *list.Links[kept] { return &k.links })
}

// keep puts a message into the history of its channel.
func (h *Hub) keep(c *channel, m *Message) {
	if h.ruleFor(c).Messages == 0 {
		c.lost = m.Seq
		return
	}
	k := &kept{m: m, c: c, seq: m.Seq}
	h.kept.PushBack(k)
	c.history = append(c.history, k)
	c.live++
	c.bytes += m.size()
	h.bytes += m.size()
	if m.ID != "" {
		put(&c.ids, m.ID, m.Seq)
	}
	if m.Key != "" {
		if old := c.byKey[m.Key]; old != nil {
			h.drop(old)
			c.compact()
		}
		put(&c.byKey, m.Key, k)
	}
	h.trim(c, m.Time)
	for h.bytes > h.o.HistoryBytes {
		h.shorten(h.kept.First().c)
	}
}

func put[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = make(map[string]V)
	}
	(*m)[key] = v
}

// drop removes the message of k, whose place in the history stays until it is the first.
func (h *Hub) drop(k *kept) {
	m, c := k.m, k.c
	if m == nil {
		return
	}
	k.m = nil
	c.live--
	c.bytes -= m.size()
	h.bytes -= m.size()
	if m.ID != "" && c.ids[m.ID] == k.seq {
		delete(c.ids, m.ID)
	}
	if m.Key != "" && c.byKey[m.Key] == k {
		delete(c.byKey, m.Key)
	}
	h.kept.Remove(k)
}

// compact removes the places of messages that others have taken the place of, when there are more of these than of the others.
func (c *channel) compact() {
	if len(c.history) >= 2*c.live+compactFrom {
		c.history = slices.DeleteFunc(c.history, func(k *kept) bool { return k.m == nil })
	}
}

// compactFrom keeps short histories from being gone through with each message.
const compactFrom = 64

// shorten removes the first message of a history, which is not empty.
func (h *Hub) shorten(c *channel) {
	k := c.history[0]
	if k.m != nil {
		c.lost = max(c.lost, k.seq)
		h.drop(k)
	}
	c.history[0] = nil
	if c.history = c.history[1:]; len(c.history) == 0 {
		c.history = nil
	}
}

// trim makes a history as short as its rule wants.
func (h *Hub) trim(c *channel, now int64) {
	rule := h.ruleFor(c)
	for len(c.history) > 0 {
		k := c.history[0]
		if k.m != nil && c.live <= rule.Messages && c.bytes <= rule.Bytes && now-k.m.Time <= rule.Age.Milliseconds() {
			return
		}
		h.shorten(c)
	}
}

// after is the index of the first message of the history after a place in the order.
func (c *channel) after(seq uint64) int {
	return sort.Search(len(c.history), func(i int) bool { return c.history[i].seq > seq })
}

// History returns the messages of a channel after the one with the id after, the oldest first; all if after is empty or not known. If
// there are more than max, it returns the last ones. complete: none is missing between after and the first.
func (h *Hub) History(name, after string, max int) (list []*Message, complete bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.channels[name]
	if c == nil {
		seq, known := h.place(after, func(func(*channel) bool) {})
		return nil, after == "" || known && h.forgotten <= seq
	}
	h.trim(c, h.now())
	seq, known := h.place(after, func(yield func(*channel) bool) { yield(c) })
	if after == "" || !known {
		seq = 0
	}
	for _, k := range c.history[c.after(seq):] {
		if k.m != nil {
			list = append(list, k.m)
		}
	}
	complete = after == "" || known && c.lost <= seq
	if len(list) > max {
		list, complete = list[len(list)-max:], false
	}
	return list, complete
}
