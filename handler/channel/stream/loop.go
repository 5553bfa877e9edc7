package stream

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/handler/list"
	"moonbridge/httpwrite"
)

// Loop has the streams of one loop of a hub. Only that loop touches it.
type Loop struct {
	*channel.Loop
	on    backend.Loop
	date  httpwrite.Date
	beats map[time.Duration]*beat
	polls list.List[poll] // those that wait
	ended bool
}

// On returns what has the streams of a hub on a loop. It is called on that loop; there is one for each index.
func On(hub *channel.Hub, on backend.Loop) *Loop {
	c := hub.On(on)
	return c.Value(loopKey{}, func() channel.Drainer {
		return &Loop{
			Loop: c, on: on, beats: make(map[time.Duration]*beat), polls: list.New(func(p *poll) *list.Links[poll] { return &p.links }),
		}
	}).(*Loop)
}

// loopKey is the key of Loop among what programs have on a loop.
type loopKey struct{}

// Drain ends all streams, so that their clients come back to another server. Those that begin afterwards end at once.
func (l *Loop) Drain() {
	l.ended = true
	for _, b := range l.beats {
		for e := b.streams.First(); e != nil; e = b.streams.First() {
			e.finish()
		}
	}
	for p := l.polls.First(); p != nil; p = l.polls.First() {
		p.answer()
	}
}

// beat are the streams of events that get a comment after the same time without a message, in the order in which they are due.
type beat struct {
	l       *Loop
	every   time.Duration // 0: never
	streams list.List[events]
	timer   bool // is running
}

const (
	// beatSlot is how far apart comments are sent at least, so that the streams of many clients that have come together do not
	// have theirs in one turn.
	beatSlot = 5 * time.Millisecond
	// beatMax is how many comments are sent in a turn.
	beatMax = 256
)

func (l *Loop) beatOf(every time.Duration) *beat {
	b := l.beats[every]
	if b == nil {
		b = &beat{l: l, every: every, streams: list.New(func(e *events) *list.Links[events] { return &e.links })}
		l.beats[every] = b
	}
	return b
}

// add makes e the last that is due.
func (b *beat) add(e *events) {
	e.beat = b
	b.append(e)
	b.arm(b.every)
}

func (b *beat) append(e *events) {
	e.due = b.l.on.Now() + int64(b.every)
	b.streams.PushBack(e)
}

// remove removes e. A beat that has no streams is forgotten.
func (b *beat) remove(e *events) {
	b.streams.Remove(e)
	e.beat = nil
	if b.streams.Len() == 0 && !b.timer {
		delete(b.l.beats, b.every)
	}
}

func (b *beat) arm(d time.Duration) {
	if b.every > 0 && !b.timer {
		b.timer = true
		b.l.on.After(max(d, beatSlot), b.tick)
	}
}

// tick sends the comments that are due.
func (b *beat) tick() {
	now := b.l.on.Now()
	for range beatMax {
		e := b.streams.First()
		if e == nil || e.due > now {
			break
		}
		b.streams.Remove(e)
		b.append(e)
		e.comment(now - int64(b.every)/2)
	}
	b.timer = false
	if e := b.streams.First(); e != nil {
		b.arm(time.Duration(e.due - now))
	} else {
		delete(b.l.beats, b.every)
	}
}
