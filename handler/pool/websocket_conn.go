package pool

import (
	"log/slog"
	"unsafe"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/handler/shm"
	"moonbridge/handler/websocket"
)

// socketConn is a WebSocket whose events are exchanges of workers: its websocket.Handler. There is one event at a time; the next message
// stays in the connection until it is over. It belongs to its loop.
type socketConn struct {
	// Immutable.
	l       *socketLoop
	pool    int // index of the pool that has accepted it, in its script
	handler string
	flags   uint32 // shm.WS*

	unsubscribed error // what kept the connection from its first channels
	misses       bool  // messages that it has asked for are lost: its open handler is told
	conn         *websocket.Conn
	id           string
	state        []byte
	member       *channel.Member // nil: it has never subscribed

	event   shm.WSEventBody // in progress, or waiting for room; Event 0: none
	data    []byte          // of a message that waits for room
	batch   *batch          // of WSMessages
	left    uint32          // messages of batch that wait for Room; there is no event then
	reason  string
	verbs   shm.WSVerbs
	broken  bool // of the event in progress: its verbs are malformed
	closing bool // the close event is due, with code and why
	code    int
	why     string
}

// Open implements websocket.Handler.
func (c *socketConn) Open(conn *websocket.Conn) {
	c.conn = conn
	c.id = c.l.s.newID(conn.Loop().Index())
	c.l.conns[c.id] = c
	if err := c.unsubscribed; err != nil {
		c.complain(slog.LevelWarn, "a WebSocket does not get its channels", err.Error())
		c.flags &^= shm.WSCloses // it was not open for the script
		conn.Close(websocket.CodeTryLater, "channels")
		return
	}
	if c.flags&shm.WSOpens != 0 {
		e := shm.WSEventBody{Event: shm.WSOpen}
		if c.misses {
			e.Code = 1
		}
		c.begin(e, nil, "")
	}
}

// subscribeFirst subscribes the channels that the request has named, before there is a connection. The hub calls its members in later turns
// only.
func (c *socketConn) subscribeFirst(a *shm.WSAccept) error {
	if len(a.Names) == 0 && a.Member == "" {
		return nil
	}
	if err := c.join(a.Member); err != nil || len(a.Names) == 0 {
		return err
	}
	err := c.member.SubscribeAfter(a.After, a.Names...)
	c.misses = err == nil && c.member.Misses()
	return err
}

// join makes the connection a member of the hub.
func (c *socketConn) join(key string) error {
	m := new(channel.Member)
	err := c.l.hub.Join(m, c, key)
	if err == nil {
		c.member = m
	}
	return err
}

func (c *socketConn) leaveHub() {
	if c.member != nil {
		c.member.Leave()
	}
}

// Message implements websocket.Handler.
func (c *socketConn) Message(_ *websocket.Conn, kind websocket.Kind, data []byte) {
	if c.conn.More() {
		c.gather(kind, data)
		return
	}
	c.begin(shm.WSEventBody{Event: shm.WSMessage, Opcode: uint32(kind)}, data, "")
}

// Close implements websocket.Handler.
func (c *socketConn) Close(_ *websocket.Conn, code int, reason string) {
	delete(c.l.conns, c.id)
	c.leaveHub()
	if c.left > 0 {
		c.dropBatch()
	}
	if c.flags&shm.WSCloses == 0 {
		return
	}
	c.closing, c.code, c.why = true, code, reason
	if c.event.Event == 0 {
		c.beginClose()
	}
}

func (c *socketConn) beginClose() {
	c.closing = false
	c.begin(shm.WSEventBody{Event: shm.WSClose, Code: uint32(c.code)}, nil, c.why)
}

// Room implements what a websocket.Conn tells.
func (c *socketConn) Room(*websocket.Conn) {
	if c.member != nil {
		c.member.Resume()
	}
	c.goOn()
}

// begin gives an event to a worker, or makes it wait.
func (c *socketConn) begin(e shm.WSEventBody, data []byte, reason string) {
	c.conn.Hold()
	c.event, c.reason = e, reason
	if (!c.l.queue(c.pool).empty() || !c.start(data)) && !c.l.wait(c, data) {
		c.event = shm.WSEventBody{}
		c.over(false)
		c.conn.Close(websocket.CodeTryLater, "")
	}
}

// start gives the event to a worker. false: there is no room.
func (c *socketConn) start(data []byte) bool {
	l := c.l.poolLoop(c.pool)
	if l == nil {
		return false
	}
	event := shm.AppendWSEvent(c.l.scratch[:0], c.event, c.handler, c.id, c.state, c.reason)
	c.l.scratch = event
	if !l.startSocketEvent(c, event, data) {
		return false
	}
	c.verbs, c.broken = shm.WSVerbs{}, false
	return true
}

// startSocketEvent puts an event into a cell. It waits for a worker without a limit: the client waits too.
func (l *loop) startSocketEvent(x backend.Exchange, event, data []byte) bool {
	// Requests must find room too.
	if len(l.cells.free) <= len(l.cells.all)/4 || l.p.inFlight.Load() > l.p.limit-l.p.limit/4 {
		return false
	}
	c, err := l.reserve()
	if err != nil {
		return false
	}
	b := l.headBlock(shm.KindWebSocket, 0)
	b.Name = unsafe.String(unsafe.SliceData(event), len(event)) // put copies it
	c.body.flags = shm.InEnd
	if err := c.put(&b, data); err != nil {
		l.release(c)
		l.p.log.Error("event of a WebSocket not given to a worker", "err", err)
		return false
	}
	c.x, c.kind = x, shm.KindWebSocket
	l.living.Add(1)
	l.taken.Add(1)
	l.publish(c, l.on.Now())
	return true
}
