package channel

import (
	"sync"
	"sync/atomic"
	"time"

	"moonbridge/handler/list"
)

// Options of a Hub. The zero value of a field stands for its default.
type Options struct {
	Channels     int // that exist at the same time; default 100000
	Subscribers  int // connections; default 1000000
	HistoryBytes int // memory of all histories; default 256 MiB
	QueueBytes   int // memory of the messages that wait for one loop; default 64 MiB
}

const (
	channelsDefault     = 100_000
	subscribersDefault  = 1_000_000
	historyBytesDefault = 256 << 20
	queueBytesDefault   = 64 << 20
	// forgetAfter is how long a channel without subscribers and history is remembered: a client that comes back is told what it has
	// missed.
	forgetAfter = time.Minute
	// sweepEvery is how often old messages and forgotten channels are removed, and sweepPortion how many channels are looked at at a time:
	// publishers and loops wait meanwhile.
	sweepEvery   = time.Second
	sweepPortion = 256
)

// Hub has the channels of a program.
type Hub struct {
	o   Options
	now func() int64 // milliseconds since 1970

	mu       sync.Mutex
	rules    []*Rule
	ruled    uint64 // how often rules were set
	channels map[string]*channel
	all      []*channel // the same, for sweep
	swept    int        // the next one of all
	seq      uint64     // of the last message
	// forgotten is the last message of a channel that is not remembered any more: a client that has this one has missed nothing.
	forgotten uint64
	loops     []*Loop
	members   int
	bytes     int             // of all histories
	kept      list.List[kept] // of all histories, the oldest message first
	sweeping  bool
	closed    bool
	stats     Stats
	relay     *relay // nil: what is published here has its place here
	handed    bool   // the hub has been handed over: the order goes on in another one
	ahead     uint64 // the last place there that a client has named
	log       Log    // nil: the order is the hub's own
	eraNow    atomic.Pointer[era]
}

// channel is a channel of a Hub. It belongs to Hub.mu, except for the lists of its groups.
type channel struct {
	name   string
	index  int    // in Hub.all
	ruled  uint64 // the Hub.ruled that rule is of
	rule   *Rule  // see ruleFor
	last   uint64 // its last message
	lost   uint64 // the last message that its history does not have
	active int64  // when it was last used, in milliseconds since 1970
	count  int    // subscriptions
	groups []*group
	keys   map[string]int // of subscribers, with Rule.Presence

	history []*kept
	live    int // of them, those that have a message
	bytes   int
	ids     map[string]uint64 // that the application has given to messages of the history
	byKey   map[string]*kept
}

// group are the subscribers of a channel on one loop.
type group struct {
	c     *channel
	count int // belongs to Hub.mu; the list belongs to the loop
	list  []*subscription
}

// Stats are the statistics of a Hub.
type Stats struct {
	Channels    int    // that exist now
	Subscribers int    // connections now
	Messages    uint64 // published so far
	Deliveries  uint64 // messages times subscribers, at the time they were published
	Refused     uint64 // messages that were not published: too many waited
	Slow        uint64 // subscribers that were ended because they were slow
	History     int    // bytes of all histories
}

// New returns a Hub.
func New(o Options) *Hub {
	setDefault(&o.Channels, channelsDefault)
	setDefault(&o.Subscribers, subscribersDefault)
	setDefault(&o.HistoryBytes, historyBytesDefault)
	setDefault(&o.QueueBytes, queueBytesDefault)
	h := &Hub{o: o, now: func() int64 { return time.Now().UnixMilli() }, channels: make(map[string]*channel), kept: newHistories()}
	h.eraNow.Store(&era{name: newEpoch()})
	return h
}

func setDefault(v *int, to int) {
	if *v == 0 {
		*v = to
	}
}

// Close ends what the hub does by itself: old messages and unused channels are not removed any more. HandOver returns when it has passed
// on what there is.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.relay != nil {
		h.relay.signal()
	}
}

// Stats returns the statistics.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Channels, s.Subscribers, s.History = len(h.channels), h.members, h.bytes
	return s
}

// Position is the id of the last message of all channels: a client that subscribes with it gets what is published from now on.
func (h *Hub) Position() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.era().id(h.seq)
}

// channelOf returns the channel of a name, which is created if it does not exist; nil: there is no room for it.
func (h *Hub) channelOf(name string) *channel {
	c := h.channels[name]
	if c == nil {
		if len(h.channels) >= h.o.Channels {
			return nil
		}
		c = &channel{name: name, index: len(h.all), ruled: h.ruled, rule: h.ruleOf(name), last: h.forgotten, lost: h.forgotten}
		h.channels[name] = c
		h.all = append(h.all, c)
		h.startSweeping()
	}
	c.active = h.now()
	return c
}

// startSweeping makes sure that the channel that has just been created will be forgotten.
func (h *Hub) startSweeping() {
	if !h.sweeping && !h.closed {
		h.sweeping = true
		time.AfterFunc(sweepEvery, h.sweep)
	}
}

// sweep removes old messages and forgotten channels, of some channels at a time, as long as there are any.
func (h *Hub) sweep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for range min(sweepPortion, len(h.all)) {
		if h.swept >= len(h.all) {
			h.swept = 0
		}
		if c := h.all[h.swept]; !h.forget(c, now) {
			h.swept++
		}
	}
	h.sweeping = len(h.all) > 0 && !h.closed
	if h.sweeping {
		time.AfterFunc(sweepEvery/time.Duration(1+len(h.all)/sweepPortion), h.sweep)
	}
}

// forget removes what is old of a channel, and the channel itself if nothing is left. It reports whether that is so.
func (h *Hub) forget(c *channel, now int64) bool {
	h.trim(c, now)
	if c.count > 0 || len(c.history) > 0 || now-c.active <= forgetAfter.Milliseconds() {
		return false
	}
	h.forgotten = max(h.forgotten, c.last)
	delete(h.channels, c.name)
	end := len(h.all) - 1
	h.all[c.index] = h.all[end]
	h.all[c.index].index = c.index
	h.all[end] = nil
	if h.all = h.all[:end]; end == 0 {
		h.all = nil
	}
	return true
}

// place finds the place in the order that a client has reached, of which it says after. known: it is one of this hub, or that of a
// message in the history of one of the channels. Otherwise the place is the present one.
func (h *Hub) place(after string, channels func(func(*channel) bool)) (seq uint64, known bool) {
	if after == "" {
		return h.seq, true
	}
	if seq, ok := h.era().seq(after); ok && (seq <= h.seq || h.mayBeAhead(seq)) {
		return seq, true
	}
	for c := range channels {
		if n, ok := c.ids[after]; ok {
			return n, true
		}
	}
	return h.seq, false
}

// mayBeAhead reports whether a client may have got a place beyond the last one of this hub from another one: through the same log, or
// after this hub was handed over. Under mu.
func (h *Hub) mayBeAhead(seq uint64) bool {
	if h.log == nil && h.handed && seq-h.seq <= aheadMax {
		h.ahead = max(h.ahead, seq)
		return true
	}
	return h.log != nil
}

// aheadMax bounds how many places a client can have this hub skip if it goes on by itself after all.
const aheadMax = 1 << 32
