package channel

import (
	"bufio"
	"crypto/rand"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// A hub may be taken over by that of another process. It passes on its place in the order and its histories, and from then on every
// message that is published in this process: the other hub gives them their places. So there is one order, without a gap, and clients
// continue in the other process with the ids that they have.

// handoverVersion is that of what is passed on. Another program may take over.
const handoverVersion = 1

// handedHub is the first thing that is passed on.
type handedHub struct {
	Version        int
	Epoch          string
	Base           uint64
	Seq, Forgotten uint64
	Channels       map[string]handedChannel
	Log            []byte // state of a Movable log
	Messages       int    // so many handedMessage follow, then the Posts of the time after
}

type handedChannel struct{ Last, Lost uint64 }

type handedMessage struct {
	Channel string
	Seq     uint64
	Time    int64
	Post    Post
}

// handedPost is what is published after the hub has been handed over.
type handedPost struct {
	Channel string
	Post    Post
}

// size is what it counts for while it waits.
func (p *handedPost) size() int {
	return messageOverhead + len(p.Post.Data) + len(p.Post.Event) + len(p.Post.ID) + len(p.Post.Key)
}

// relay is where messages go that are published after the hub has been handed over.
type relay struct {
	posts []handedPost // that wait
	bytes int
	more  chan struct{} // has room for one
	ended bool          // Reclaim was called
}

// errReclaimed ends HandOver.
var errReclaimed = errors.New("channel: the other process has not taken over")

// Reclaim ends HandOver, and lets the hub go on by itself, if the other process does not live.
func (h *Hub) Reclaim() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.relay != nil {
		h.relay.ended = true
		h.relay.signal()
	}
}

func (r *relay) signal() {
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// HandOver passes the hub on, and then what is published, until writing fails, or Reclaim or Close is called. Then the hub goes on by itself,
// with other ids: a client that comes back with one of before is told that messages may be lost.
func (h *Hub) HandOver(w io.Writer) error {
	first, messages, r, err := h.beginRelay()
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(w)
	e := gob.NewEncoder(buf)
	err = e.Encode(first)
	for i := range messages {
		if err == nil {
			err = e.Encode(&messages[i])
		}
	}
	if err == nil {
		err = buf.Flush()
	}
	for err == nil {
		<-r.more
		err = h.passOn(r, e, buf)
	}
	h.endRelay(r)
	return err
}

// beginRelay takes what is to be passed on.
func (h *Hub) beginRelay() (first *handedHub, messages []handedMessage, r *relay, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.relay != nil || h.closed {
		return nil, nil, nil, errors.New("channel: the hub has been handed over already")
	}
	first = &handedHub{Version: handoverVersion, Epoch: h.era().name, Base: h.era().base, Seq: h.seq, Forgotten: h.forgotten, Channels: make(map[string]handedChannel)}
	for _, c := range h.channels {
		first.Channels[c.name] = handedChannel{c.last, c.lost}
	}
	for k := range h.kept.All() {
		messages = append(messages, handedMessage{k.c.name, k.seq, k.m.Time, k.m.Post})
	}
	if l, ok := h.log.(Movable); ok {
		first.Log = l.HandOver()
	}
	first.Messages = len(messages)
	h.relay = &relay{more: make(chan struct{}, 1)}
	return first, messages, h.relay, nil
}

// passOn passes on what waits. What it could not write waits again. If the hub is closed, it was the last.
func (h *Hub) passOn(r *relay, e *gob.Encoder, buf *bufio.Writer) error {
	h.mu.Lock()
	if r.ended {
		h.mu.Unlock()
		return errReclaimed
	}
	posts, closed := r.posts, h.closed
	r.posts, r.bytes = nil, 0
	h.mu.Unlock()
	for i := range posts {
		if err := e.Encode(&posts[i]); err != nil {
			return h.unsent(r, posts[i:], err)
		}
	}
	if err := buf.Flush(); err != nil {
		return h.unsent(r, posts, err)
	}
	if closed {
		return io.ErrClosedPipe
	}
	return nil
}

func (h *Hub) unsent(r *relay, posts []handedPost, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.posts = append(posts, r.posts...)
	for i := range posts {
		r.bytes += posts[i].size()
	}
	return err
}

// endRelay lets the hub go on by itself.
func (h *Hub) endRelay(r *relay) {
	h.mu.Lock()
	h.relay = nil
	if l, ok := h.log.(Movable); ok && !h.closed {
		l.Stay()
	}
	if h.log == nil {
		h.eraNow.Store(&era{name: newEpoch()})
	}
	posts := r.posts
	h.mu.Unlock()
	for _, p := range posts {
		h.Publish(p.Channel, p.Post)
	}
}

// add is Publish for a hub that has been handed over.
func (r *relay) add(name string, p *Post, max int) error {
	post := handedPost{name, *p}
	if r.bytes+post.size() > max {
		return ErrBusy
	}
	r.bytes += post.size()
	r.posts = append(r.posts, post)
	r.signal()
	return nil
}

// TakeOver makes the hub the heir of the one that writes to r with HandOver. It has no subscribers yet; what was published to it comes
// after all that it takes over. follow publishes what the other process publishes from now on, until it ends.
func (h *Hub) TakeOver(r io.Reader) (follow func() error, err error) {
	d := gob.NewDecoder(bufio.NewReader(r))
	var first handedHub
	if err := d.Decode(&first); err != nil {
		return nil, fmt.Errorf("channels of the old process: %w", err)
	}
	if first.Version != handoverVersion {
		return nil, fmt.Errorf("channels of the old process: version %d, not %d", first.Version, handoverVersion)
	}
	var messages []handedMessage
	for range first.Messages {
		var m handedMessage
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("channels of the old process: %w", err)
		}
		messages = append(messages, m)
	}
	if err := h.adopt(&first, messages); err != nil {
		return nil, err
	}
	if l, ok := h.log.(Movable); ok && first.Log != nil {
		if err := l.TakeOver(first.Log); err != nil {
			return nil, err
		}
	}
	return func() error { return h.follow(d) }, nil
}

func (h *Hub) follow(d *gob.Decoder) error {
	for {
		var p handedPost
		if err := d.Decode(&p); err != nil {
			return err
		}
		h.Publish(p.Channel, p.Post)
	}
}

// adopt puts what comes from another hub before what this one has.
func (h *Hub) adopt(first *handedHub, messages []handedMessage) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.members > 0 {
		return errors.New("channels of the old process: there are subscribers already")
	}
	own := h.takeHistories()
	for _, c := range h.channels {
		c.last, c.lost = moved(c.last, first.Seq, first.Forgotten), moved(c.lost, first.Seq, first.Forgotten)
	}
	for name, old := range first.Channels {
		if c := h.channelOf(name); c != nil {
			c.last, c.lost = max(c.last, old.Last), max(old.Lost, above(c.lost, first.Seq))
		}
	}
	e := &era{first.Epoch, first.Base}
	h.eraNow.Store(e)
	h.seq, h.forgotten = h.seq+first.Seq, first.Forgotten
	for _, m := range messages {
		if c := h.channels[m.Channel]; c != nil && m.Seq <= first.Seq {
			h.keep(c, &Message{Post: m.Post, Channel: m.Channel, Seq: m.Seq, Time: m.Time, era: e})
		}
	}
	for _, m := range own {
		h.keep(h.channels[m.Channel], &Message{Post: m.Post, Channel: m.Channel, Seq: m.Seq + first.Seq, Time: m.Time, era: e})
	}
	return nil
}

// moved is a place of this hub in the order of another one, whose last place is by.
func moved(seq, by, none uint64) uint64 {
	if seq == 0 {
		return none
	}
	return seq + by
}

// above is seq if it is above the bound, or else 0.
func above(seq, bound uint64) uint64 {
	if seq > bound {
		return seq
	}
	return 0
}

// takeHistories empties all histories, and returns their messages in their order.
func (h *Hub) takeHistories() (all []*Message) {
	for k := range h.kept.All() {
		all = append(all, k.m)
	}
	for _, c := range h.channels {
		c.history, c.live, c.bytes, c.ids, c.byKey = nil, 0, 0, nil, nil
	}
	h.bytes, h.kept = 0, newHistories()
	return all
}

func newEpoch() string {
	var b [6]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
