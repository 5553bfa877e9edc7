package pool

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"time"
	"unicode/utf8"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/handler/logging"
	"moonbridge/handler/shm"
	"moonbridge/handler/websocket"
)

// This file is the backend.Exchange of an event of a WebSocket: its handler outputs verbs.

// Messages of what is logged at a bounded rate.
const (
	notText        = "text of a WebSocket is not sent: it is not valid UTF-8"
	malformedVerbs = "a worker has sent malformed verbs of a WebSocket"
	notAccepted    = "WebSocket not accepted"
)

// Output implements backend.Exchange.
func (c *socketConn) Output(a, b []byte, _ bool) int {
	c.conn.Cork()
	for _, p := range [][]byte{a, b} {
		if len(p) > 0 && !c.broken && c.verbs.Add(p, c.do) != nil {
			c.broken = true
		}
	}
	c.conn.Uncork()
	return len(a) + len(b)
}

// do does what a handler wants.
func (c *socketConn) do(verb uint32, data []byte) {
	if c.broken {
		return // what follows a wrong verb does not count, whether it has come with that or later
	}
	switch verb {
	case shm.WSSendText:
		if c.conn.Send(websocket.Text, data) == websocket.ErrText {
			c.complain(slog.LevelWarn, notText, "")
		}
	case shm.WSSendBinary:
		c.conn.Send(websocket.Binary, data)
	case shm.WSEnd:
		if len(data) >= 4 {
			c.conn.Close(int(binary.NativeEndian.Uint32(data)), string(data[4:]))
		}
	case shm.WSState:
		if len(data) <= shm.WSStateMax {
			c.state = append(c.state[:0:0], data...)
		}
	case shm.WSSubscribe, shm.WSUnsubscribe:
		c.changeChannels(verb, data)
	case shm.WSUnknown:
		c.complain(slog.LevelWarn, "a WebSocket is closed: the script has no handler with its name", "")
		c.conn.Close(websocket.CodeRestart, "")
	case shm.WSDone:
		if c.event.Event != shm.WSMessages || c.batch.done == c.event.Count {
			c.broken = true
			return
		}
		c.batch.done++
	}
}

// changeChannels subscribes channels, or ends subscriptions.
func (c *socketConn) changeChannels(verb uint32, data []byte) {
	names, ok := shm.SplitNames(data)
	if !ok || len(names) == 0 || c.l.conns[c.id] != c {
		return
	}
	if verb == shm.WSUnsubscribe {
		if c.member != nil {
			c.member.Unsubscribe(names...)
		}
		return
	}
	err := error(nil)
	if c.member == nil {
		err = c.join("")
	}
	if err == nil {
		err = c.member.Subscribe(names...)
	}
	if err != nil {
		c.complain(slog.LevelWarn, "a WebSocket does not get a channel", err.Error(), slog.String("channel", logging.Quoted([]byte(names[0]), namedMax)))
	}
}

// Done implements backend.Exchange. A handler that has failed ends with a reset.
func (c *socketConn) Done(end backend.End) {
	if !c.broken && end != backend.EndReset && !c.verbs.Whole() {
		c.broken = true
	}
	if c.broken {
		c.complain(slog.LevelError, malformedVerbs, "")
	}
	c.over(end == backend.EndReset || c.broken)
}

// Failed implements backend.Exchange: the worker has died, or was ended.
func (c *socketConn) Failed(int, time.Duration) { c.over(true) }

// over ends an event.
func (c *socketConn) over(failed bool) {
	event := c.event.Event
	left, failed := c.rest(failed)
	c.event, c.reason, c.verbs = shm.WSEventBody{}, "", shm.WSVerbs{}
	if failed && c.flags&shm.WSStrict != 0 && event != shm.WSClose {
		c.conn.Close(websocket.CodeInternal, "")
	}
	c.conn.Release() // it closes the connection if the engine drains
	if c.left = left; left > 0 && c.conn.IsOpen() {
		c.goOn()
		c.l.next(c.pool)
		return
	}
	c.dropBatch()
	if c.closing {
		c.beginClose()
	}
	c.l.next(c.pool)
}

// The other methods of a backend.Exchange have no meaning here.

func (c *socketConn) Complete(backend.Running, backend.End) {}
func (c *socketConn) Left(backend.Running)                  {}
func (c *socketConn) BodyRoom()                             {}
func (c *socketConn) BodyWanted()                           {}
func (c *socketConn) Addrs() (local, remote netip.AddrPort) { return c.conn.Raw().Addrs() }

// frames is a message of a channel as a frame.
var frames = channel.NewForm(func(dst []byte, m *channel.Message) []byte {
	kind := websocket.Text
	if m.Binary || !utf8.ValidString(m.Data) {
		kind = websocket.Binary
	}
	return websocket.AppendFrame(dst, kind, []byte(m.Data))
})

// Deliver implements channel.Subscriber.
func (c *socketConn) Deliver(run *channel.Run) (more bool) {
	return c.conn.SendFrames(run.In(frames)) == nil && !c.conn.Full()
}

// Lost implements channel.Subscriber. The open handler knows it already, unless a history has become shorter meanwhile: then the client has
// to come back. A client without an open handler learns it from the ids in the messages, if the application has put them there.
func (c *socketConn) Lost() {
	if !c.misses && c.flags&shm.WSOpens != 0 {
		c.Slow()
	}
}

// Taken implements channel.Subscriber.
func (c *socketConn) Taken() int64 { return c.conn.Taken() }

// Slow implements channel.Subscriber.
func (c *socketConn) Slow() { c.conn.Close(websocket.CodeTryLater, "") }
