package stream

import (
	"bytes"
	"cmp"
	"encoding/json"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/handler/list"
	"moonbridge/httpparse"
)

// poll is a request that waits for messages: the Running of its exchange, and a Subscriber.
type poll struct {
	nothing
	member  channel.Member
	l       *Loop
	x       backend.Exchange // nil: it is over
	request Request
	timer   backend.Timer
	lost    bool
	rest    []byte // of the response

	links  list.Links[poll] // in Loop.polls
	listed bool
}

// Poll answers a request with the next messages, or after a time without any: 204. The response says which id the next request is to
// have. Like Events, it takes over the exchange.
func (l *Loop) Poll(x backend.Exchange, q *Request) {
	p := &poll{l: l, x: x, request: *q}
	p.request.Fields = bytes.Clone(q.Fields)
	if !takeOver(x, p) {
		return
	}
	if err := subscribe(l, &p.member, p, &p.request); err != nil {
		p.x = nil
		refuse(x)
		return
	}
	p.listed = true
	l.polls.PushFront(p)
	p.timer = l.on.After(cmp.Or(q.Timeout, timeoutDefault), p.answer)
	if l.ended {
		p.answer()
	}
}

// answered is a message as JSON has it.
type answered struct {
	Channel string `json:"channel"`
	ID      string `json:"id"`
	Event   string `json:"event,omitempty"`
	Data    string `json:"data"`
}

// answer answers without a message.
func (p *poll) answer() {
	if p.waits() {
		p.answerWith(nil, p.member.Position())
	}
}

// waits reports whether there is no answer yet.
func (p *poll) waits() bool { return p.x != nil && p.rest == nil }

// answerWith ends the wait with messages, or without. id is the one that the next request is to have.
func (p *poll) answerWith(messages []*channel.Message, id string) {
	body := struct {
		ID       string     `json:"id"`
		Lost     bool       `json:"lost,omitempty"`
		Messages []answered `json:"messages"`
	}{ID: id, Lost: p.lost, Messages: make([]answered, 0, len(messages))}
	for _, m := range messages {
		body.Messages = append(body.Messages, answered{m.Channel, m.Name(), m.Event, m.Data})
	}
	own := "Last-Event-ID: " + body.ID + "\r\n"
	p.unsubscribe()
	if len(messages) == 0 && !p.lost {
		p.respond(p.request.head(nil, p.l, 204, own, -1, !p.request.Keepalive), nil)
		return
	}
	text := encode(&body)
	if !httpparse.HasField(p.request.Fields, "content-type") {
		own += "Content-Type: application/json\r\n"
	}
	p.respond(p.request.head(nil, p.l, 200, own, int64(len(text)), !p.request.Keepalive), text)
}

// encode is v as JSON on a line. Characters of HTML are left as they are, and bytes that are not UTF-8 are replaced.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(v) // of strings and a bool: there is no error
	return b.Bytes()
}

// respond sends the response.
func (p *poll) respond(head, body []byte) {
	if !p.request.IsHead {
		head = append(head, body...)
	}
	p.rest = head
	p.send()
}

func (p *poll) send() {
	n := p.x.Output(p.rest, nil, true)
	if p.x == nil {
		return
	}
	if p.rest = p.rest[n:]; len(p.rest) > 0 {
		return
	}
	x, end := p.x, backend.EndClose
	if p.request.Keepalive {
		end = backend.EndKeep
	}
	p.x = nil
	x.Done(end)
}

// Deliver implements channel.Subscriber.
func (p *poll) Deliver(r *channel.Run) bool {
	if messages := r.Messages(); p.waits() {
		p.answerWith(messages, messages[len(messages)-1].Position())
	}
	return false
}

// Lost implements channel.Subscriber. If no messages follow at once, the client is told without.
func (p *poll) Lost() {
	p.lost = true
	p.l.on.Post(p.answer)
}

// Taken implements channel.Subscriber. It does not wait after its first messages.
func (p *poll) Taken() int64 { return 0 }

// Slow implements channel.Subscriber: something was lost before the first message. The client goes on from now.
func (p *poll) Slow() {
	p.lost = true
	if p.waits() {
		p.answerWith(nil, p.l.Hub().Position())
	}
}

// OutputRoom implements backend.Running.
func (p *poll) OutputRoom() {
	if p.x != nil && len(p.rest) > 0 {
		p.send()
	}
}

// PeerEnd implements backend.Running: the client does not wait any more.
func (p *poll) PeerEnd() {
	if x := p.x; x != nil && p.rest == nil {
		p.Cancel()
		x.Failed(backend.StatusClientGone, 0)
	}
}

// Cancel implements backend.Running.
func (p *poll) Cancel() {
	p.x = nil
	p.unsubscribe()
}

// Times implements backend.Timed.
func (p *poll) Times() (queue, service time.Duration) { return p.request.Queue, p.request.Service }

// unsubscribe ends the wait.
func (p *poll) unsubscribe() {
	p.member.Leave()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.unlink()
}

func (p *poll) unlink() {
	if p.listed {
		p.listed = false
		p.l.polls.Remove(p)
	}
}

var (
	_ backend.Running    = (*poll)(nil)
	_ backend.Timed      = (*poll)(nil)
	_ channel.Subscriber = (*poll)(nil)
)
