package stream

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/handler/list"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// events is a stream of server-sent events: the Running of its exchange, and a Subscriber.
type events struct {
	nothing
	member         channel.Member
	x              backend.Exchange // nil: it is over
	rest           []byte           // of what the connection has not taken, in memory that is shared
	given          int64            // bytes that the connection has taken
	queue, service time.Duration

	// Its place among those that wait for a comment.
	beat      *beat
	sent, due int64 // when something was sent, and when it is looked at again, on the loop's clock
	links     list.Links[events]
}

// Events answers a request with server-sent events. It takes over the exchange x, which must be a backend.Streamer whose response has
// not begun. It may be called on the loop only, but not within Start.
func (l *Loop) Events(x backend.Exchange, q *Request) {
	e := &events{x: x, queue: q.Queue, service: q.Service}
	if !takeOver(x, e) {
		return
	}
	if err := subscribe(l, &e.member, e, q); err != nil {
		e.x = nil
		refuse(x)
		return
	}
	every := cmp.Or(q.KeepAlive, keepAliveDefault)
	l.beatOf(max(every, 0)).add(e)
	last := q.IsHead || l.ended
	e.send(e.begin(l, q), last)
	if last {
		e.finish()
	}
}

// begin is the head, and what comes before the first message: an id too, so that a client that loses the connection before then misses
// nothing. One that is to be told of a loss gets the id with that: if it lost the connection in between, it would never be told.
func (e *events) begin(l *Loop, q *Request) []byte {
	own := ""
	if !httpparse.HasField(q.Fields, "content-type") {
		own = "Content-Type: text/event-stream\r\n"
	}
	b := q.head(nil, l, 200, own, httpwrite.LengthNone, true)
	if q.IsHead {
		return b
	}
	if q.Retry > 0 {
		b = append(b, "retry: "...)
		b = strconv.AppendInt(b, q.Retry.Milliseconds(), 10)
		b = append(b, '\n')
	}
	if q.First != nil {
		b = appendData(b, *q.First)
	}
	switch {
	case !e.member.LossDue():
		b = append(e.appendPosition(b), '\n')
	case q.First != nil:
		b = append(b, '\n') // it ends here: what says that something is lost is another event
	}
	return b
}

// appendPosition appends a field with the id of the last message that the client has.
func (e *events) appendPosition(b []byte) []byte {
	b = append(b, "id: "...)
	b = append(b, e.member.Position()...)
	return append(b, '\n')
}

// form is a message as an event.
var form = channel.NewForm(func(dst []byte, m *channel.Message) []byte {
	dst = append(dst, "id: "...)
	dst = append(dst, m.Name()...)
	if m.Event != "" {
		dst = append(dst, "\nevent: "...)
		dst = append(dst, m.Event...)
	}
	dst = append(dst, '\n')
	return append(appendData(dst, m.Data), '\n')
})

// appendData appends data, a field for each line. All three kinds of line end are one to the client.
func appendData(dst []byte, data string) []byte {
	for {
		dst = append(dst, "data: "...)
		i := strings.IndexAny(data, "\r\n")
		if i < 0 {
			return append(append(dst, data...), '\n')
		}
		dst = append(append(dst, data[:i]...), '\n')
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		data = data[i+1:]
	}
}

// send gives bytes to the connection. It reports whether that has taken all; otherwise the rest is kept.
func (e *events) send(p []byte, last bool) bool {
	e.sent = e.beat.l.on.Now()
	n := e.x.Output(p, nil, last)
	e.given += int64(n)
	if e.x == nil || n == len(p) {
		return true
	}
	e.rest = p[n:]
	return false
}

// Deliver implements channel.Subscriber.
func (e *events) Deliver(r *channel.Run) bool {
	if e.rest != nil {
		e.rest = append(e.rest[:len(e.rest):len(e.rest)], r.In(form)...)
		return false
	}
	return e.send(r.In(form), false)
}

// Lost implements channel.Subscriber. In place of messages that it has missed and that are kept no more, a client gets an event of its own.
func (e *events) Lost() {
	b := append(e.appendPosition(nil), "event: lost\ndata: \n\n"...)
	if e.rest == nil {
		e.send(b, false)
		return
	}
	e.rest = append(e.rest[:len(e.rest):len(e.rest)], b...)
}

// Taken implements channel.Subscriber.
func (e *events) Taken() int64 {
	if e.x == nil {
		return e.given
	}
	return e.given - backend.PendingOf(e.x)
}

// Slow implements channel.Subscriber. The client is to come back with its last id.
func (e *events) Slow() { e.end(backend.EndReset) }

// comment shows the peer and proxies that the stream lives, unless something else has since.
func (e *events) comment(since int64) {
	if e.rest == nil && e.sent <= since {
		e.send([]byte(":\n\n"), false)
	}
}

// OutputRoom implements backend.Running.
func (e *events) OutputRoom() {
	if e.x == nil {
		return
	}
	if rest := e.rest; rest != nil {
		e.rest = nil
		if !e.send(rest, false) {
			return
		}
	}
	e.member.Resume()
}

// PeerEnd implements backend.Running.
func (e *events) PeerEnd() { e.finish() }

// Cancel implements backend.Running.
func (e *events) Cancel() { e.leave() }

// Times implements backend.Timed.
func (e *events) Times() (queue, service time.Duration) { return e.queue, e.service }

// finish ends the stream. What it has not sent yet, its client gets from the history when it comes back.
func (e *events) finish() { e.end(backend.EndClose) }

func (e *events) end(how backend.End) {
	if x := e.x; x != nil {
		e.leave()
		x.Done(how)
	}
}

// leave lets go of everything but the connection.
func (e *events) leave() {
	e.x, e.rest = nil, nil
	e.member.Leave()
	if e.beat != nil {
		e.beat.remove(e)
	}
}

var (
	_ backend.Running    = (*events)(nil)
	_ backend.Timed      = (*events)(nil)
	_ channel.Subscriber = (*events)(nil)
)
