package proxy

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/list"
	"moonbridge/handler/upstream"
)

// pool is the connections of one loop to one server.
type pool struct {
	service *service
	server  *upstream.Server
	links   int // all of them

	large bool // the last response was large enough to be moved: see move.go

	// The newest of the unused ones is the first, and is taken first: the target is least likely to close it just now, and those that
	// are not needed grow old together.
	unused list.List[link]
}

func newPool(v *service, s *upstream.Server) *pool {
	return &pool{service: v, server: s, unused: list.New(func(k *link) *list.Links[link] { return &k.inPool })}
}

// take returns the newest unused connection, or nil. What the loop was told of has been closed. If there is an event that the loop has not
// handled yet, there are bytes or an end, which belong to no request: the connection is closed now.
func (p *pool) take() *link {
	for {
		k := p.unused.First()
		if k == nil {
			return nil
		}
		if k.conn.(backend.Quiet).Quiet() {
			p.remove(k)
			return k
		}
		k.close()
	}
}

func (p *pool) remove(k *link) {
	p.unused.Remove(k)
	k.state = linkBusy
	k.conn.(backend.Expendable).SetExpendable(false)
}

// keep keeps a connection whose exchange is complete, or closes it.
func (p *pool) keep(k *link, now int64) {
	o := p.service.o
	if o.Idle <= 0 || o.IdleMax <= 0 || p.server.Gone() || k.l.config.ProxyOut != 0 {
		k.close()
		return
	}
	if p.unused.Len() >= o.IdleMax {
		old := p.unused.Last()
		p.remove(old)
		old.close()
	}
	idle := o.Idle
	if k.told > 0 && k.told < idle {
		idle = k.told
	}
	k.state = linkIdle
	p.unused.PushFront(k)
	k.conn.(backend.Expendable).SetExpendable(true)
	k.setDeadline(now + int64(idle))
}

// givePlace closes the unused connection of the loop that was opened first, whatever its target is. false: there is none.
func (l *loop) givePlace() bool {
	var oldest *link
	for k := range l.links.All() {
		if k.state == linkIdle {
			oldest = k
		}
	}
	if oldest == nil {
		return false
	}
	oldest.close()
	return true
}

// linkState is what a connection to a target is used for.
type linkState uint8

const (
	linkBusy  linkState = iota // it has an exchange
	linkIdle                   // it is unused, and in its pool
	linkDrain                  // the rest of a response that nobody wants is read
	linkCheck                  // a health check
	linkOver                   // it is closed, or is part of a tunnel
)

// link is a connection to a target: a backend.Protocol while it is being established, and then a Stream.
type link struct {
	l     *loop
	pool  *pool
	conn  backend.Conn // nil while it is being established
	state linkState
	used  bool          // it has had an exchange before the present one
	told  time.Duration // what the target has said in Keep-Alive; 0: nothing
	reads reader

	exchange *exchange // linkBusy
	check    *check    // linkCheck
	tunnel   *tunnel   // linkOver: the loop has forgotten it, but the tunnel goes on

	deadline int64 // never: none
	inPool   list.Links[link]
	inLoop   list.Links[link] // in loop.links
}

// Open implements backend.Protocol: the connection is established.
func (k *link) Open(c backend.Conn) backend.Stream {
	k.conn = c
	k.pool.server.Connected(k.l.Index())
	k.l.links.PushFront(k)
	k.pool.links++
	switch {
	case k.check != nil:
		k.check.send()
	case k.exchange != nil:
		k.exchange.connected()
	}
	return k
}

// Data implements backend.Stream.
func (k *link) Data(backend.Conn) {
	switch k.state {
	case linkBusy:
		k.exchange.received()
	case linkIdle:
		// Bytes that nothing was asked for would be taken for the next response; an end is an end.
		k.close()
	case linkDrain:
		k.drain()
	case linkCheck:
		k.check.received()
	case linkOver:
		if k.tunnel != nil {
			k.tunnel.data()
		}
	}
}

// Room implements backend.Stream.
func (k *link) Room(backend.Conn) {
	if k.state == linkBusy {
		k.exchange.upstreamRoom()
	}
}

// Closed implements backend.Stream.
func (k *link) Closed(_ backend.Conn, err error) {
	k.pool.server.Disconnected(k.l.Index())
	if k.tunnel != nil {
		k.tunnel.closed(err)
		return
	}
	state := k.state
	k.leave()
	switch state {
	case linkBusy:
		k.exchange.linkLost(err)
	case linkCheck:
		k.check.over(false)
	}
}

// leave takes the connection out of all lists.
func (k *link) leave() {
	if k.state == linkOver {
		return
	}
	if k.state == linkIdle {
		k.pool.remove(k)
	}
	k.state = linkOver
	k.l.links.Remove(k)
	if k.pool.links--; k.pool.links == 0 && k.pool.server.Gone() {
		k.pool.service.forget()
	}
}

// close ends a connection on which nothing is missing.
func (k *link) close() {
	k.leave()
	k.conn.Close()
}

// reset ends a connection in the middle of something.
func (k *link) reset() {
	k.leave()
	k.conn.Reset()
}

// abandonBy leaves a connection whose client has gone. It is kept if that is cheaper than a new one: little of the response is
// missing.
func (k *link) abandonBy(e *exchange) {
	k.exchange = nil
	if k.state == linkOver {
		return
	}
	if !e.drainable() || k.conn.Held() > 0 {
		k.reset()
		return
	}
	k.reads = e.reads
	k.state = linkDrain
	k.setDeadline(addTime(k.l.Now(), k.pool.service.o.Stall))
	k.conn.Resume() // see move
	k.drain()
}

// drainMax is how many bytes of a response that nobody wants are read to keep the connection.
const drainMax = 64 << 10

// drainable reports whether the rest of the response is worth reading when nobody wants it.
func (e *exchange) drainable() bool {
	return e.phase == phaseBody && !e.more && e.keeps && e.reads.left >= 0 && e.reads.left <= drainMax
}

// drain reads what is left of a response.
func (k *link) drain() {
	if k.reads.skip(k.conn) {
		k.pool.keepOrClose(k)
	} else if k.conn.Ended() {
		k.close()
	}
}

// keepOrClose keeps a connection if nothing but the next response can come.
func (p *pool) keepOrClose(k *link) {
	if k.conn.Ended() || len(k.conn.Unread()) > 0 {
		k.close()
		return
	}
	k.used = true
	p.keep(k, k.l.Now())
}
