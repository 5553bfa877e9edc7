package channel

import (
	"bufio"
	"encoding/gob"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// relay has what is published after the hub has been handed over. The other hub tells how much of it it has: whoever was told that its
// message is published, and then publishes through the other process, must not be faster than the message.
type relay struct {
	posts        []handedPost // that the other hub does not have, in their order
	sent         int          // of them, those that have been written
	bytes        int          // of posts
	added, taken uint64       // the number of all posts so far, and of those that the other hub has
	more         chan struct{}
	answered     chan struct{} // closed at the next answer, or at the end
	late         bool          // the other hub did not answer in time
	err          error         // ends HandOver
	end          func()        // closes the connection, once
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

var (
	// errReclaimed ends HandOver.
	errReclaimed = errors.New("channel: the other process has not taken over")
	// errAnswers also does.
	errAnswers = errors.New("channel: the other process has more messages than were passed on")
)

// heirTimeout is how long AwaitHeir waits. A variable for tests.
var heirTimeout = time.Second

// HandOver passes the hub on, and then what is published, until conn fails, or Reclaim or Close is called. Then the hub goes on by itself,
// with other ids: a client that comes back with one of before is told that messages may be lost. What the other process has not confirmed
// is published here then. HandOver closes conn. After Close it first waits until the other process has everything.
func (h *Hub) HandOver(conn io.ReadWriteCloser) error {
	end := sync.OnceFunc(func() { conn.Close() })
	first, messages, r, err := h.beginRelay(end)
	if err != nil {
		end()
		return err
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		h.hear(r, conn)
	}()
	buf := bufio.NewWriter(conn)
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
	end()
	<-heard
	if h.endRelay(r) {
		err = errReclaimed // which is why nothing could be written
	}
	return err
}

// beginRelay takes what is to be passed on.
func (h *Hub) beginRelay(end func()) (first *handedHub, messages []handedMessage, r *relay, err error) {
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
	h.relay, h.handed = &relay{more: make(chan struct{}, 1), answered: make(chan struct{}), end: end}, true
	return first, messages, h.relay, nil
}

// passOn passes on what has been added. If the hub is closed, it ends when the other one has everything.
func (h *Hub) passOn(r *relay, e *gob.Encoder, buf *bufio.Writer) error {
	h.mu.Lock()
	posts, err := slices.Clone(r.posts[r.sent:]), r.err
	if err == nil && h.closed && len(r.posts) == 0 {
		err = io.ErrClosedPipe
	}
	r.sent = len(r.posts)
	h.mu.Unlock()
	for i := range posts {
		if err == nil {
			err = e.Encode(&posts[i])
		}
	}
	if err != nil {
		return err
	}
	return buf.Flush()
}

// hear takes the answers of the other hub, until there are no more. Each byte is a number of posts.
func (h *Hub) hear(r *relay, conn io.Reader) {
	var numbers [256]byte
	for {
		n, err := conn.Read(numbers[:])
		taken := 0
		for _, number := range numbers[:n] {
			taken += int(number)
		}
		if h.answered(r, taken, err) != nil {
			return
		}
	}
}

// answered takes note that the other hub has the next posts, or that there are no more answers. It returns what ends the relay.
func (h *Hub) answered(r *relay, n int, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n > r.sent {
		n, err = 0, errAnswers
	}
	for i := range r.posts[:n] {
		r.bytes -= r.posts[i].size()
	}
	r.posts = slices.Delete(r.posts, 0, n)
	r.sent, r.taken, r.late = r.sent-n, r.taken+uint64(n), false
	if r.err == nil {
		r.err = err
	}
	r.tell()
	if r.err != nil || h.closed {
		r.signal()
	}
	return err
}

// tell tells those who wait for an answer.
func (r *relay) tell() {
	close(r.answered)
	r.answered = make(chan struct{})
}

// signal makes HandOver look at what there is.
func (r *relay) signal() {
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// Reclaim ends HandOver, and lets the hub go on by itself, if the other process does not live.
func (h *Hub) Reclaim() {
	h.mu.Lock()
	r := h.relay
	if r != nil {
		r.err = errReclaimed
		r.signal()
	}
	h.mu.Unlock()
	if r != nil {
		r.end() // HandOver may wait for the other process to read
	}
}

// endRelay lets the hub go on by itself. What the other one has not confirmed comes before everything that is published from now on. It
// reports whether Reclaim was called.
func (h *Hub) endRelay(r *relay) (reclaimed bool) {
	h.mu.Lock()
	reclaimed = r.err == errReclaimed
	h.relay = nil
	if !h.closed || len(r.posts) > 0 { // otherwise the other one has everything
		h.handed = false
		if l, ok := h.log.(Movable); ok {
			l.Stay(r.takePosts())
		}
	}
	if h.log == nil && !h.handed {
		h.seq = max(h.seq, h.ahead) // those who have come with a place there are to get what follows
		h.eraNow.Store(&era{name: newEpoch()})
	}
	var ring []*Loop
	for i := range r.posts {
		ring = append(ring, h.publishAfterAll(&r.posts[i])...)
	}
	r.tell()
	h.mu.Unlock()
	for _, l := range ring {
		l.on.Post(l.turn)
	}
	return reclaimed
}

// takePosts takes what the other hub has not confirmed.
func (r *relay) takePosts() (list []Entry) {
	for i := range r.posts {
		list = append(list, Entry{r.posts[i].Channel, r.posts[i].Post})
	}
	r.posts = nil
	return list
}

// publishAfterAll publishes what the other hub has not confirmed. There is room for it: it was taken when it was published, and is not
// more than the relay may have. It returns the loops that are to be told. Under Hub.mu.
func (h *Hub) publishAfterAll(p *handedPost) (ring []*Loop) {
	err := error(nil)
	if h.log == nil {
		ring, _, err = h.publish(p.Channel, &p.Post, h.seq+1, h.now())
	} else {
		err = h.log.Append(p.Channel, p.Post)
	}
	if noRoom(err) {
		h.stats.Refused++
	}
	return ring
}

// add is Publish for a hub that has been handed over.
func (r *relay) add(name string, p *Post, max int) error {
	post := handedPost{name, *p}
	if r.bytes+post.size() > max {
		return ErrBusy
	}
	r.bytes += post.size()
	r.posts = append(r.posts, post)
	r.added++
	r.signal()
	return nil
}

// AwaitHeir returns when the hub that has taken over (HandOver) has everything that was published here before. What is published there
// afterwards has a later place in the order. It returns at once if the hub has not been handed over. If the other hub does not answer
// within a second, nobody waits any more until it does.
func (h *Hub) AwaitHeir() {
	h.mu.Lock()
	r := h.relay
	if r == nil {
		h.mu.Unlock()
		return
	}
	upTo, late := r.added, time.After(heirTimeout)
	for r == h.relay && r.taken < upTo && !r.late {
		answered := r.answered
		h.mu.Unlock()
		select {
		case <-answered:
			h.mu.Lock()
		case <-late:
			h.mu.Lock()
			r.late = true
			r.tell()
		}
	}
	h.mu.Unlock()
}
