package pool

import (
	"bytes"
	"log/slog"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
	"moonbridge/handler/websocket"
)

// acceptSocket makes a WebSocket of the connection: what the worker has published is not a response but a shm.WSAccept. The worker
// goes on with the handler of the request.
func (c *cell) acceptSocket() {
	a, b := c.response.unsent()
	w, err := readAccept(a, b)
	if err != nil {
		c.notInstead("malformed acceptance of a WebSocket")
		return
	}
	l := c.l
	s := l.p.h.cfg.WebSockets
	conn := &socketConn{l: s.loopOf(l.on, l.p.h.cfg.Channels), pool: l.p.index, handler: w.Handler, state: w.State, flags: w.Flags}
	shake, refusal := websocket.NewHandshake([]byte(w.Key), []byte(w.Extensions))
	x := c.leave()
	c.discard()
	if refusal != nil || w.Protocol != "" && !websocket.ValidProtocol(w.Protocol) {
		s.refused.Add(1)
		x.Failed(400, 0)
		return
	}
	if err := conn.accept(x, &shake, &w); err != nil {
		l.p.h.complain(slog.LevelWarn, notAccepted, err.Error(), slog.Int("pool", l.p.index))
		s.refused.Add(1)
		x.Failed(500, 0)
	}
}

// accept answers the handshake. The client may publish, and be answered, as soon as it has the response: so it is subscribed before.
func (c *socketConn) accept(x backend.Exchange, shake *websocket.Handshake, w *shm.WSAccept) error {
	c.unsubscribed = c.subscribeFirst(w)
	_, err := c.l.s.endpointOf(w.Flags).Accept(x, shake, answerOf(w), c, nil)
	if err != nil {
		c.leaveHub()
	}
	return err
}

func readAccept(a, b []byte) (shm.WSAccept, error) {
	return shm.ReadWSAccept(bytes.Join([][]byte{a, b}, nil))
}

func answerOf(w *shm.WSAccept) websocket.Answer {
	a := websocket.Answer{Protocol: w.Protocol, Fields: string(w.Fields), MaxMessage: int(w.MessageMax)}
	if w.Interval > 0 {
		a.Rate, a.Burst = float64(time.Second)/float64(w.Interval), int(w.Burst)
	}
	return a
}
