package channel

import "sync/atomic"

// Post is what is published.
type Post struct {
	Data   string
	Event  string // its kind, for clients; may be empty
	ID     string // that the application gives it, for clients; default: one of the hub
	Key    string // of messages with the same key, a history keeps the last one only; may be empty
	Binary bool   // Data is not text: WebSocket makes a difference
}

// Message is what was published. It does not change.
type Message struct {
	Post
	Channel string
	Seq     uint64 // its place in the order of all messages of the hub
	Time    int64  // milliseconds since 1970
	era     *era

	forms [formsMax]atomic.Pointer[[]byte]
}

// Position is the id that the hub has given the message.
func (m *Message) Position() string { return m.era.id(m.Seq) }

// Name is the id of the message for clients: that of the application, or else that of the hub.
func (m *Message) Name() string {
	if m.ID != "" {
		return m.ID
	}
	return m.Position()
}

// size is what a message counts for in bounds of memory: its texts, as they are and in one form, and what they are kept in.
func (m *Message) size() int {
	return messageOverhead + 2*(len(m.Data)+len(m.Event)+len(m.ID)+len(m.Key))
}

const (
	// formsMax bounds the forms of a program.
	formsMax = 4
	// messageOverhead is the memory of a message without its texts.
	messageOverhead = 384
)

// Form is a way to encode messages. Those that use it share what it makes of a message.
type Form struct {
	slot   int32
	append func(dst []byte, m *Message) []byte
}

var formsMade atomic.Int32

// NewForm makes a form, once for a program. append appends a message to dst; it may be called on any goroutine.
func NewForm(append func(dst []byte, m *Message) []byte) *Form {
	slot := formsMade.Add(1) - 1
	if slot >= formsMax {
		panic("channel: too many forms")
	}
	return &Form{slot, append}
}

// In returns the message in a form. The bytes are shared, and must not be changed.
func (m *Message) In(f *Form) []byte {
	at := &m.forms[f.slot]
	if p := at.Load(); p != nil {
		return *p
	}
	made := f.append(nil, m)
	if at.CompareAndSwap(nil, &made) {
		return made
	}
	return *at.Load()
}

// Run is some messages in their order, for the subscribers of a loop. It is valid during Subscriber.Deliver; the messages and their
// bytes stay valid.
type Run struct {
	messages []*Message
	joined   [formsMax][]byte
}

// Messages are those of the run, at least one.
func (r *Run) Messages() []*Message { return r.messages }

// In returns all messages of the run in a form, one after the other. The bytes are shared, and must not be changed.
func (r *Run) In(f *Form) []byte {
	if len(r.messages) == 1 {
		return r.messages[0].In(f)
	}
	if b := r.joined[f.slot]; b != nil {
		return b
	}
	n := 0
	for _, m := range r.messages {
		n += len(m.In(f))
	}
	b := make([]byte, 0, n)
	for _, m := range r.messages {
		b = append(b, m.In(f)...)
	}
	r.joined[f.slot] = b
	return b
}

func (r *Run) first() uint64 { return r.messages[0].Seq }
func (r *Run) last() uint64  { return r.messages[len(r.messages)-1].Seq }

// after is the part of the run that comes after a place in the order; nil: nothing.
func (r *Run) after(seq uint64) *Run {
	if r.first() > seq {
		return r
	}
	for i, m := range r.messages {
		if m.Seq > seq {
			return &Run{messages: r.messages[i:]}
		}
	}
	return nil
}
