package stream

import (
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/channel"
	"moonbridge/httpwrite"
)

// Loop has the streams of one loop of a hub. Only that loop touches it.
type Loop struct {
	*channel.Loop
	on    backend.Loop
	date  httpwrite.Date
	beats map[time.Duration]*beat
	polls *poll // list of those that wait
	ended bool
}

// On returns what has the streams of a hub on a loop. It is called on that loop; there is one for each index.
func On(hub *channel.Hub, on backend.Loop) *Loop {
	c := hub.On(on)
	return c.Value(loopKey{}, func() channel.Drainer {
		return &Loop{Loop: c, on: on, beats: make(map[time.Duration]*beat)}
	}).(*Loop)
}

// loopKey is the key of Loop among what programs have on a loop.
type loopKey struct{}

// Drain ends all streams, so that their clients come back to another server. Those that begin afterwards end at once.
func (l *Loop) Drain() {
	l.ended = true
	for _, b := range l.beats {
		for e := b.first; e != nil; e = b.first {
			e.finish()
		}
	}
	for p := l.polls; p != nil; p = l.polls {
		p.answer()
	}
}

// beat are the streams of events that get a comment after the same time without a message, in the order in which they are due.
type beat struct {
	l           *Loop
	every       time.Duration // 0: never
	first, last *events
	timer       bool // is running
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
		b = &beat{l: l, every: every}
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
	e.earlier, e.later = b.last, nil
	if b.last != nil {
		b.last.later = e
	} else {
		b.first = e
	}
	b.last = e
}

// remove removes e. A beat that has no streams is forgotten.
func (b *beat) remove(e *events) {
	b.unlink(e)
	e.beat = nil
	if b.first == nil && !b.timer {
		delete(b.l.beats, b.every)
	}
}

func (b *beat) unlink(e *events) {
	if e.earlier != nil {
		e.earlier.later = e.later
	} else {
		b.first = e.later
	}
	if e.later != nil {
		e.later.earlier = e.earlier
	} else {
		b.last = e.earlier
	}
	e.earlier, e.later = nil, nil
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
		e := b.first
		if e == nil || e.due > now {
			break
		}
		b.unlink(e)
		b.append(e)
		e.comment(now - int64(b.every)/2)
	}
	b.timer = false
	if b.first != nil {
		b.arm(time.Duration(b.first.due - now))
	} else {
		delete(b.l.beats, b.every)
	}
}
