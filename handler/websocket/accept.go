package websocket

import (
	"errors"
	"math"

	"moonbridge/handler/backend"
)

// Answer is what the 101 response says, besides what the protocol demands.
type Answer struct {
	Protocol string // one of those that the client has offered, or ""
	Fields   string // further field lines, each with its CR LF

	MaxMessage int     // bound of this connection, if it is less than that of the Endpoint; 0: that one
	Rate       float64 // messages a second of this connection; 0: Rate and Burst of the Endpoint
	Burst      int     // messages at once, if there is a Rate; 0: as many as in a second, at least 1
}

// errNoUpgrade: what is between the engine and this backend cannot change the protocol.
var errNoUpgrade = errors.New("websocket: the exchange cannot leave HTTP")

// Accept sends the 101 response to x and makes a WebSocket connection of its connection. The exchange is over then: no other call
// may be made on it. h.Open is called within the call, and value is Conn.Value by then. After an error the exchange goes on, and has to be
// answered in another way. Accept is called on the loop, and not before Start of the backend has returned.
func (e *Endpoint) Accept(x backend.Exchange, s *Handshake, a Answer, h Handler, value any) (*Conn, error) {
	u, ok := x.(backend.Upgrader)
	if !ok {
		return nil, errNoUpgrade
	}
	c := e.newConn(&a, h)
	c.Value = value
	extension := ""
	if e.deflate != nil && s.offered {
		c.compressed(e.deflate.o.agree(s.deflate))
		extension = c.deflate.String()
	}
	if err := u.Upgrade(s.appendHead(nil, a.Protocol, extension, a.Fields), c, e.bounds); err != nil {
		return nil, err
	}
	return c, nil
}

func (e *Endpoint) newConn(a *Answer, h Handler) *Conn {
	c := &Conn{e: e, handler: h, maxMessage: int32(e.o.MaxMessage)}
	if a.MaxMessage > 0 {
		c.maxMessage = min(c.maxMessage, int32(min(a.MaxMessage, math.MaxInt32)))
	}
	if a.Rate > 0 {
		c.bucket.allow(a.Rate, a.Burst)
	} else {
		c.bucket.allow(e.o.Rate, e.o.Burst)
	}
	return c
}

// compressed makes c a connection that may send and receive compressed messages.
func (c *Conn) compressed(p deflateParams) {
	c.deflate, c.packed = p, true
	if !p.serverNoTakeover {
		c.out = &window{bits: p.serverBits}
	}
	if !p.clientNoTakeover {
		c.in.window = &window{bits: p.clientBits}
	}
}

// loopOf is what connections of loop l share.
func (e *Endpoint) loopOf(l backend.Loop) *perLoop {
	if found, ok := e.loops.Load(l); ok {
		return found.(*perLoop)
	}
	made := &perLoop{Loop: l, header: make([]byte, 0, headerMax+controlMax), check: backend.Checks(l)}
	e.loops.Store(l, made) // only l's goroutine does this
	return made
}
