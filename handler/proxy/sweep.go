package proxy

import (
	"math"
	"time"

	"moonbridge/handler/backend"
)

// never is the deadline of what has none.
const never = math.MaxInt64

// sweepMin is the least time between two looks at all connections.
const sweepMin = 50 * time.Millisecond

// sweep looks after the deadlines of all connections to targets. They change with nearly every event, and mostly to a later time, so
// none has a timer of its own: from time to time all of them are looked at. A deadline is met late, by sweepMin at most.
type sweep struct {
	loop  *loop
	timer backend.Timer // nil: none is set
	at    int64         // when it fires
}

// setDeadline sets when something is done about a connection on which nothing happens.
func (k *link) setDeadline(at int64) {
	k.deadline = at
	if at != never {
		k.l.sweep.arm(at)
	}
}

func (s *sweep) arm(at int64) {
	if s.timer != nil {
		if at >= s.at {
			return
		}
		s.timer.Stop()
	}
	s.at = at
	s.timer = s.loop.After(time.Duration(max(at-s.loop.Clock(), 0)), s.run)
}

// run does what is due, and sets the timer for what is due next.
func (s *sweep) run() {
	s.timer = nil
	now := s.loop.Clock()
	var due []*link // what is done about one changes the list
	for k := range s.loop.links.All() {
		if k.deadline <= now {
			due = append(due, k)
		}
	}
	for _, k := range due {
		if k.deadline <= now {
			k.timedOut()
		}
	}
	next := int64(never)
	for k := range s.loop.links.All() {
		next = min(next, k.deadline)
	}
	if next != never {
		s.arm(max(next, now+int64(sweepMin)))
	}
}

func (k *link) timedOut() {
	k.deadline = never
	switch k.state {
	case linkIdle:
		k.close()
	case linkDrain:
		k.reset()
	case linkCheck:
		c := k.check
		k.reset()
		c.over(false)
	case linkBusy:
		k.exchange.timedOut()
	}
}
