package pool

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
	"moonbridge/handler/websocket"
)

// blockingSocket is a WebSocket that a worker has to itself, in the exchange of its handshake (request:websocket): the Handler of its
// connection, and the backend.Exchange of its cell. The worker asks for each message. It gets records in the in-window, and outputs verbs.
type blockingSocket struct {
	c       *cell // nil: the handler has ended
	handler *loop // for the log
	conn    *websocket.Conn
	records []byte // that did not fit into the in-window
	verbs   shm.WSVerbs
	asked   bool // the worker waits for the client
	broken  bool
	closed  bool // nothing can be sent any more
}

// beginWebSocket makes a WebSocket of the connection, for the worker that has the exchange. It reports whether the exchange goes on.
func (c *cell) beginWebSocket() bool {
	if c.x == nil && c.kind == shm.KindHTTP && !c.answered { // the client has gone. What was published may be thrown away already
		c.took(c.response.left())
		c.blocking, c.response.message = true, false
		return true
	}
	a, b := c.response.unsent()
	w, err := readAccept(a, b)
	if err != nil || c.kind != shm.KindHTTP || c.answered {
		c.violated("malformed acceptance of a WebSocket")
		return false
	}
	c.took(c.response.left())
	c.blocking, c.response.message = true, false // verbs follow
	shake, refusal := websocket.NewHandshake([]byte(w.Key), []byte(w.Extensions))
	s, x := &blockingSocket{c: c, handler: c.l}, c.x
	c.x = s
	c.body.setFlags(c.body.flags &^ shm.InEnd) // that of the request
	status := 0
	if refusal != nil || w.Protocol != "" && !websocket.ValidProtocol(w.Protocol) {
		status = 400
	} else if _, err := c.l.p.h.cfg.WebSockets.blockingOf(w.Flags).Accept(x, &shake, answerOf(&w), s, nil); err != nil {
		c.l.p.h.complain(slog.LevelWarn, notAccepted, err.Error(), slog.Int("pool", c.l.p.index))
		status = 500
	}
	if status != 0 {
		s.c = nil
		c.leave()
		c.abandon()
		c.l.p.h.cfg.WebSockets.refused.Add(1)
		x.Failed(status, 0)
	}
	return status == 0
}

// --- the connection ---

// Open implements websocket.Handler.
func (s *blockingSocket) Open(conn *websocket.Conn) {
	s.conn = conn
	conn.Hold()
	s.tell(shm.WSOpen, 0, nil)
}

// Message implements websocket.Handler.
func (s *blockingSocket) Message(_ *websocket.Conn, kind websocket.Kind, data []byte) {
	s.conn.Hold()
	s.asked = false
	if s.c != nil {
		s.c.watch.claimed = 0 // request_timeout limits what the worker does with it
		s.tell(shm.WSMessage, uint32(kind), data)
	}
}

// Close implements websocket.Handler.
func (s *blockingSocket) Close(_ *websocket.Conn, code int, reason string) {
	s.closed = true
	if s.c != nil {
		if s.asked { // request_timeout limits what the worker does then
			s.asked, s.c.watch.claimed = false, 0
		}
		s.tell(shm.WSClose, uint32(code), []byte(reason))
		s.c.OutputRoom()
	}
}

// Room implements what a websocket.Conn tells.
func (s *blockingSocket) Room(*websocket.Conn) {
	if s.c != nil {
		s.c.OutputRoom()
	}
}

// tell gives the worker a record.
func (s *blockingSocket) tell(event, code uint32, data []byte) {
	s.records = shm.AppendWSRecord(s.records, event, code, data)
	s.BodyRoom()
}

// --- the exchange ---

// BodyRoom implements backend.Exchange: there is room in the in-window.
func (s *blockingSocket) BodyRoom() {
	for len(s.records) > 0 && s.c != nil {
		a, b := s.c.BodyRoom()
		n := copy(a, s.records)
		n += copy(b, s.records[n:])
		if n == 0 {
			return
		}
		s.records = s.records[n:]
		s.c.BodyCommit(n)
	}
	if s.records = nil; s.closed && s.c != nil {
		s.c.BodyEnd()
	}
}

// Output implements backend.Exchange. A client that takes too little makes the worker wait.
func (s *blockingSocket) Output(a, b []byte, _ bool) int {
	if !s.closed && s.conn.Full() {
		return 0
	}
	for _, p := range [][]byte{a, b} {
		if len(p) > 0 && !s.broken && !s.closed && s.verbs.Add(p, s.do) != nil {
			s.broken = true
		}
	}
	return len(a) + len(b)
}

// do does what the handler wants.
func (s *blockingSocket) do(verb uint32, data []byte) {
	switch verb {
	case shm.WSSendText:
		if s.conn.Send(websocket.Text, data) == websocket.ErrText {
			s.complain(slog.LevelWarn, notText)
		}
	case shm.WSSendBinary:
		s.conn.Send(websocket.Binary, data)
	case shm.WSEnd:
		if len(data) >= 4 {
			s.conn.Close(int(binary.NativeEndian.Uint32(data)), string(data[4:]))
			s.conn.Release()
		}
	case shm.WSReceive:
		s.asked = true
		s.conn.Release()
	}
}

// Done implements backend.Exchange: the handler has ended.
func (s *blockingSocket) Done(end backend.End) {
	if s.broken || !s.closed && !s.verbs.Whole() && end != backend.EndReset {
		s.complain(slog.LevelError, malformedVerbs)
		end = backend.EndReset
	}
	s.over(end == backend.EndReset)
}

func (s *blockingSocket) complain(level slog.Level, message string) {
	s.handler.p.h.complain(level, message, "", slog.Int("pool", s.handler.p.index))
}

// Failed implements backend.Exchange: the worker has died, or was ended.
func (s *blockingSocket) Failed(int, time.Duration) { s.over(true) }

func (s *blockingSocket) over(failed bool) {
	s.c, s.records, s.verbs = nil, nil, shm.WSVerbs{}
	code := websocket.CodeNormal
	if failed {
		code = websocket.CodeInternal
	}
	s.conn.Close(code, "")
	s.conn.Release()
}

// The other methods of a backend.Exchange have no meaning here.

func (s *blockingSocket) Complete(backend.Running, backend.End) {}
func (s *blockingSocket) Left(backend.Running)                  {}
func (s *blockingSocket) BodyWanted()                           {}
func (s *blockingSocket) Addrs() (local, remote netip.AddrPort) { return s.conn.Raw().Addrs() }

// --- the pool ---

// waitsForClient reports whether the worker has nothing to do: request_timeout does not apply.
func (c *cell) waitsForClient() bool {
	if !c.blocking {
		return false
	}
	s, ok := c.x.(*blockingSocket)
	return ok && s.asked
}

// endBlocking closes the connections that workers have to themselves, when their handlers wait for a message: the pool ends.
func (l *loop) endBlocking() {
	for i := range l.cells.all {
		if s, ok := l.cells.all[i].x.(*blockingSocket); ok {
			s.conn.CloseReleased(websocket.CodeRestart)
		}
	}
}
