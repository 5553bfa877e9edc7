package channel

import (
	"bufio"
	"crypto/rand"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// A hub may be taken over by that of another process. It passes on its place in the order and its histories, and from then on every
// message that is published in this process: the other hub gives them their places (relay.go). So there is one order, without a gap,
// and clients continue in the other process with the ids that they have.

// handoverVersion is that of what is passed on, with the state of a Movable log. Another program may take over.
const handoverVersion = 3

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

// TakeOver makes the hub the heir of the one that writes to conn with HandOver. It has no subscribers yet; what was published to it comes
// after all that it takes over. follow publishes what the other process publishes from now on, until it ends, and tells it what it has.
func (h *Hub) TakeOver(conn io.ReadWriter) (follow func() error, err error) {
	buf := bufio.NewReader(conn)
	d := gob.NewDecoder(buf)
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
	return func() error { return h.follow(d, buf, conn) }, nil
}

// errEnds ends follow.
var errEnds = errors.New("channel: the hub ends, and has no room")

// follow answers each post with a byte, or several of them with one that has their number.
func (h *Hub) follow(d *gob.Decoder, buf *bufio.Reader, answers io.Writer) error {
	for n := byte(1); ; n++ {
		var p handedPost
		if err := d.Decode(&p); err != nil {
			return err
		}
		if !h.publishHanded(&p) {
			if n > 1 {
				answers.Write([]byte{n - 1})
			}
			return errEnds
		}
		if n == math.MaxUint8 || buf.Buffered() == 0 {
			h.AwaitHeir()            // there may be a third process already
			answers.Write([]byte{n}) // if the other process is gone, there may still be posts of it
			n = 0
		}
	}
}

// publishHanded publishes what the other process was told to publish. It cannot refuse that any more: as long as there is no room, what
// follows waits in the other process, which refuses messages when that is too much. false: the hub ends before there is room.
func (h *Hub) publishHanded(p *handedPost) bool {
	if !validName(p.Channel) || p.Post.check() != nil {
		return true // the other program has other rules
	}
	for {
		if _, err := h.tryPublish(p.Channel, p.Post); !noRoom(err) {
			return true
		}
		if h.isClosed() {
			return false
		}
		time.Sleep(roomWait)
	}
}

// roomWait is how often it is tried.
const roomWait = 5 * time.Millisecond

func (h *Hub) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
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
