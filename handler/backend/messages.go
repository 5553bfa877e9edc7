package backend

// Messages is a Stream for a peer that sends messages, such as commands or frames, each of which is handled at once: see EachMessage. It is
// also a Protocol, whose connections all have the same function.
//
// A type that embeds *Messages is a Stream with the same Data, Room and Drain. It may have a Closed of its own, to hear of the end.
type Messages struct {
	handle   func(c Conn, input []byte) int
	draining bool
}

// EachMessage returns a Stream that calls handle for each message of the peer. As a Protocol it may be used on all loops, which call handle
// at the same time; as a Stream it is for one connection, so what handle remembers of that needs no lock.
//
// input is all that is unread, and never empty. handle carries out the message that it begins with, writes the answer, and returns the
// length of the message. It returns 0 if the message is not complete: it is called again when more has arrived, with the same bytes at the
// beginning. input is a view, valid until handle returns. handle must not call Discard or Pause. A message whose answer takes time needs
// those, and so a Stream of its own.
//
// Memory is bounded. handle is not called while c is Full, so what waits for a peer that does not read is Bounds.Output and one answer. A
// message that is not complete when Bounds.Input are unread never will be: the connection is closed. To tell the peer why, handle has to
// notice it before.
//
// handle ends a connection with Close, after an error message for example, or with Reset. Then what it returns does not matter.
// When the peer has finished sending, the connection is closed after the last complete message; a rest is dropped. When the engine
// drains, it is closed as soon as there is no message whose beginning has arrived.
func EachMessage(handle func(c Conn, input []byte) (length int)) *Messages {
	if handle == nil {
		panic("backend: EachMessage: the function is nil")
	}
	return &Messages{handle: handle}
}

// Open implements Protocol: c gets a Messages of its own, with the same function.
func (m *Messages) Open(Conn) Stream { return EachMessage(m.handle) }

// Data implements Stream.
func (m *Messages) Data(c Conn) {
	for len(c.Unread()) > 0 && !c.Full() {
		n := m.handle(c, c.Unread())
		if n == 0 {
			break
		}
		c.Discard(n)
	}
	switch {
	case c.Full(): // Room follows, or the connection is closed
	case c.Ended(), inputFull(c), m.draining && len(c.Unread()) == 0:
		c.Close()
	}
}

// Room implements Stream.
func (m *Messages) Room(c Conn) { m.Data(c) }

// Closed implements Stream.
func (m *Messages) Closed(Conn, error) {}

// Drain implements Drainer.
func (m *Messages) Drain(c Conn) {
	m.draining = true
	if len(c.Unread()) == 0 {
		c.Close() // after what is held
	}
}

func inputFull(c Conn) bool {
	b, ok := c.(Bounded)
	return ok && b.InputFull()
}

var (
	_ Protocol = (*Messages)(nil)
	_ Drainer  = (*Messages)(nil)
)
