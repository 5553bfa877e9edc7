package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// causesMax bounds the causes that a Tally tells apart, in case a caller derives them from bytes that peers send.
const causesMax = 256

// otherCause stands for the causes above causesMax.
const otherCause = "other"

// Event is what a Tally counts: events that are equal are counted together.
type Event struct {
	Level   slog.Level
	Message string // of the log line
	Status  int    // that a peer was answered with; 0: none
	Cause   string // empty: the message says it
}

// Tally counts events and logs them at a bounded rate.
type Tally struct {
	log *slog.Logger

	mu sync.Mutex
	by map[Event]*count
}

// count is what is known about one event.
type count struct {
	total, told uint64
	at          time.Time   // of the last line
	about       []slog.Attr // of the first event that is not reported yet
}

// NewTally returns a Tally that logs to log, which must not block.
func NewTally(log *slog.Logger) *Tally { return &Tally{log: log, by: make(map[Event]*count)} }

// Add counts an event. The first one is logged at once, the next ones together in one line per second, with the number since
// the last line, the total, and the attributes that about returns for one of them. about is called only if its result is
// going to be used, and before Add returns.
func (t *Tally) Add(e Event, about func() []slog.Attr) {
	t.mu.Lock()
	c := t.count(&e)
	c.total++
	now := time.Now()
	first := c.total == c.told+1
	wait := tellEvery - now.Sub(c.at)
	if !first {
		t.mu.Unlock()
		return
	}
	c.about = about()
	if wait > 0 {
		t.mu.Unlock()
		time.AfterFunc(wait, func() { t.tell(e) })
		return
	}
	line := c.line(&e, now)
	t.mu.Unlock()
	t.write(&e, line)
}

// Totals returns how often each event was counted.
func (t *Tally) Totals() map[Event]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	totals := make(map[Event]uint64, len(t.by))
	for e, c := range t.by {
		totals[e] = c.total
	}
	return totals
}

// count is the count of an event. e becomes another event if there are too many.
func (t *Tally) count(e *Event) *count {
	c := t.by[*e]
	if c == nil && len(t.by) >= causesMax {
		e.Cause = otherCause
		c = t.by[*e]
	}
	if c == nil {
		c = &count{}
		t.by[*e] = c
	}
	return c
}

// tell logs the occurrences of an event that have not been reported.
func (t *Tally) tell(e Event) {
	t.mu.Lock()
	c := t.by[e]
	if c.total == c.told {
		t.mu.Unlock()
		return
	}
	line := c.line(&e, time.Now())
	t.mu.Unlock()
	t.write(&e, line)
}

// Flush logs everything that has not been reported yet.
func (t *Tally) Flush() {
	t.mu.Lock()
	var left []Event
	for e, c := range t.by {
		if c.total > c.told {
			left = append(left, e)
		}
	}
	t.mu.Unlock()
	for _, e := range left {
		t.tell(e)
	}
}

// line makes the line for the occurrences of an event that have not been reported.
func (c *count) line(e *Event, now time.Time) []slog.Attr {
	line := make([]slog.Attr, 0, 4+len(c.about))
	if e.Status != 0 {
		line = append(line, slog.Int("status", e.Status))
	}
	if e.Cause != "" {
		line = append(line, slog.String("cause", e.Cause))
	}
	line = append(line, slog.Uint64("count", c.total-c.told), slog.Uint64("total", c.total))
	line = append(line, c.about...)
	c.told, c.at, c.about = c.total, now, nil
	return line
}

func (t *Tally) write(e *Event, line []slog.Attr) {
	t.log.LogAttrs(context.Background(), e.Level, e.Message, line...)
}
