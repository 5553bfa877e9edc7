package proxy

import (
	"errors"
	"fmt"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
	"moonbridge/httpparse"
)

var errInterims = fmt.Errorf("%w: too many interim responses", ErrInvalid)

// errUpgradeHead is the error of a 101 response that changes to something that was not asked for.
var errUpgradeHead = errors.New("101 without the Upgrade that was asked for")

// switchTo passes on the 101 response that is the first n bytes of the input, and makes the two connections a tunnel. What the client
// has sent early, and what the target has sent after the head, is the beginning of it.
func (e *exchange) switchTo(n int) {
	h := &e.l.response.ResponseHead
	u, ok := e.x.(backend.Upgrader)
	if e.upgrade == "" || !ok || !confirms(h, e.upgrade) {
		e.kept = false
		e.attemptFailed(fmt.Errorf("%w: %w", ErrUpgrade, errUpgradeHead))
		return
	}
	e.works()
	out, _ := e.appendResponseFields(appendStatusLine(e.l.head[:0], h), h, nil)
	out = appendUpgrade(out, e.upgrade)
	e.l.head = out
	e.link.conn.Discard(n)
	t := &tunnel{link: e.link, server: e.server, l: e.l}
	if err := u.Upgrade(out, t, backend.Bounds{Idle: max(e.l.config.Stream, 0), Output: e.l.config.Window}); err != nil {
		e.fail(fmt.Errorf("%w: %w", ErrUpgrade, err))
		return
	}
	k := e.link
	k.leave()
	k.exchange, k.tunnel, e.link = nil, t, nil
	e.begun = false // the tunnel ends it
	e.finish(nil)
	t.join()
}

// confirms reports whether a 101 response changes to protocol, and to nothing else.
func confirms(h *httpparse.ResponseHead, protocol string) bool {
	i := h.Find("upgrade", 0)
	return h.Upgrade && i >= 0 && h.Find("upgrade", i+1) < 0 && httpparse.EqualFold(h.Value(h.Fields[i]), protocol)
}

// tunnel is a client's connection and one to a target, which send each other everything that they get. It is the Protocol and the
// Stream of the client's.
type tunnel struct {
	l      *loop
	server *upstream.Server
	link   *link         // of the target
	client backend.Conn  // nil before Open
	timer  backend.Timer // of Config.CloseDelay; nil: it was not set
	over   bool
}

// Open implements backend.Protocol.
func (t *tunnel) Open(c backend.Conn) backend.Stream {
	t.client = c
	t.join()
	return t
}

// join begins to relay, when both sides are there.
func (t *tunnel) join() {
	if t.client == nil || t.link.tunnel == nil {
		return
	}
	if t.over {
		t.client.Reset()
		return
	}
	target := t.link.conn
	t.client.Follow(target)
	target.Follow(t.client)
	relay(target, t.client)
	relay(t.client, target)
}

// relay passes on what has come, and the end.
func relay(from, to backend.Conn) {
	if p := from.Unread(); len(p) > 0 {
		to.Write(p)
		from.Discard(len(p))
	}
	if from.Ended() {
		to.CloseWrite()
	}
}

// Data implements backend.Stream for the client's connection.
func (t *tunnel) Data(c backend.Conn) { relay(c, t.link.conn) }

// Room implements backend.Stream: Follow does what is to be done.
func (t *tunnel) Room(backend.Conn) {}

// Closed implements backend.Stream for the client's connection.
func (t *tunnel) Closed(c backend.Conn, err error) { t.end(c, t.link.conn, err) }

// data is Data for the connection to the target.
func (t *tunnel) data() {
	if t.client != nil {
		relay(t.link.conn, t.client)
	}
}

// closed is Closed for the connection to the target.
func (t *tunnel) closed(err error) {
	t.end(t.link.conn, t.client, err)
}

// end closes the other connection when one is gone, and what it has been sent counts: an error is passed on as one, unless everything had come
// before it.
func (t *tunnel) end(gone, other backend.Conn, err error) {
	if t.over {
		return
	}
	t.over = true
	if t.timer != nil {
		t.timer.Stop()
	}
	t.server.End(t.l.Now(), upstream.Lasted)
	if other == nil {
		return
	}
	if err != nil && gone.Ended() {
		other.Write(gone.Unread())
		err = nil
	}
	switch {
	case err == nil && other == t.link.conn:
		// Its Bounds have no Linger, and a close with bytes on their way here would destroy those that are on their way to the target.
		other.CloseWrite()
		other.SetDeadline(targetLinger)
	case err == nil:
		other.Close()
	default:
		other.Reset()
	}
}

// targetLinger is how long the target of a tunnel that is over may take to read the rest and to end.
const targetLinger = 5 * time.Second

// Drain implements backend.Drainer: connections are to end soon.
func (t *tunnel) Drain(backend.Conn) {
	switch delay := t.l.config.CloseDelay; {
	case delay > 0:
		t.timer = t.l.After(delay, t.close)
	case delay < 0:
		t.l.Post(t.close)
	}
}

// close ends both connections.
func (t *tunnel) close() {
	if !t.over {
		t.client.Close()
		t.end(t.client, t.link.conn, nil)
	}
}
