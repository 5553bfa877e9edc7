package stream

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Request is what a stream is asked for.
type Request struct {
	Channels []string
	After    string // the id of the last message that the client has; see channel.Member.SubscribeAfter
	Key      string // of the client, for presence; may be empty

	// Fields are field lines of the response, already checked, each with its CR LF. Content-Type, Cache-Control and Date are added
	// if they are missing. Content-Length and Connection must not be there.
	Fields []byte

	IsHead    bool // the method is HEAD: there is no body
	HTTP10    bool // the client speaks HTTP/1.0
	Keepalive bool // the connection may persist
	Queue     time.Duration
	Service   time.Duration // times of the exchange until now, for logs

	Poll bool // Loop.Poll answers the request, not Loop.Events

	// For events.
	First     *string       // data of an event before all others; nil: there is none
	Retry     time.Duration // after which a client connects again; 0: it decides
	KeepAlive time.Duration // time without a message after which a comment is sent; default 15 s, negative: never

	// For a poll.
	Timeout time.Duration // until it is answered without a message; default 25 s
}

// Begin answers a request with what it asks for: with Events, or with Poll.
func (l *Loop) Begin(x backend.Exchange, q *Request) {
	if q.Poll {
		l.Poll(x, q)
	} else {
		l.Events(x, q)
	}
}

const (
	keepAliveDefault = 15 * time.Second
	timeoutDefault   = 25 * time.Second
)

// head appends the head of a response. length is that of httpwrite.Head, own are further fields.
func (q *Request) head(dst []byte, l *Loop, status int, own string, length int64, closes bool) []byte {
	fields := q.Fields
	for _, f := range [...]struct{ name, line string }{
		{"cache-control", "Cache-Control: no-store\r\n"},
		{"x-accel-buffering", "X-Accel-Buffering: no\r\n"},
	} {
		if !httpparse.HasField(fields, f.name) {
			own += f.line
		}
	}
	h := httpwrite.Head{Status: status, Fields: fields, Fixed: own, Length: length, Close: closes, KeepAlive: !closes && q.HTTP10}
	if !httpparse.HasField(fields, "date") {
		h.Date = l.date.At(l.on.Now())
	}
	return h.Append(dst)
}

// nothing is a Running whose request body is not read.
type nothing struct{}

func (nothing) BodyRoom() (a, b []byte) { return nil, nil }
func (nothing) BodyCommit(int)          {}
func (nothing) BodyEnd()                {}
func (nothing) BodyAbort(bool)          {}

// takeOver makes r the Running of an exchange. false: the exchange cannot go on for long, and is answered.
func takeOver(x backend.Exchange, r backend.Running) bool {
	s, ok := x.(backend.Streamer)
	if !ok {
		x.Failed(501, 0)
		return false
	}
	s.Stream(r)
	return true
}

// subscribe makes s a member that has the channels of a request.
func subscribe(l *Loop, m *channel.Member, s channel.Subscriber, q *Request) error {
	err := l.Join(m, s, q.Key)
	if err == nil {
		if err = m.SubscribeAfter(q.After, q.Channels...); err != nil {
			m.Leave()
		}
	}
	return err
}

// refuse answers a request whose subscription has failed.
func refuse(x backend.Exchange) { x.Failed(503, retryAfter) }

// retryAfter is what a client is told that has been refused because there is no room.
const retryAfter = 5 * time.Second
