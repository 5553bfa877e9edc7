package logging

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"sync"
	"time"
)

// ErrLost is returned by Queue.Write for a record that did not fit.
var ErrLost = errors.New("logging: record lost: the queue is full")

const (
	// bytesDefault is how much may wait in a lane: about 5000 lines of an ordinary log.
	bytesDefault = 1 << 20
	// tellEvery is how often lost records are reported, and how often the writer tries to write a mark.
	tellEvery = time.Second
)

// Options configure a Queue. The zero value is a usable default.
type Options struct {
	// Lanes is the number of buffers. Default 1.
	Lanes int
	// Bytes bounds the records that wait in a lane. As many bytes again may be in a write. Default 1 MiB.
	Bytes int
	// Delay is how long records are collected before they are written together. A lane that is half full is written at
	// once. Default: none.
	Delay time.Duration
	// Mark appends a record to b that says how many records are missing at that place in the target. err is why the target
	// refused them; nil: they did not fit into the queue. It is called by the goroutine that writes, when the target can
	// take records again. Optional.
	Mark func(b []byte, lost int, err error) []byte
	// Lost is called with the number of records that were lost since the last call, at most once a second. It is called on
	// a separate goroutine, even while the target blocks. Optional.
	Lost func(lost int, err error)
}

// Queue is a bounded queue of records in front of a target. Its writer goroutine runs until Close.
type Queue struct {
	// Immutable.
	to      io.Writer
	o       Options
	lanes   []lane
	wake    chan struct{} // a lane is no longer empty
	hurry   chan struct{} // a lane is half full
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed when the writer has ended
	once    sync.Once

	// Owned by the writer.
	missing int   // records lost at this place of the target, not marked yet
	refusal error // why the target refused some of them

	mu     sync.Mutex
	lost   int   // records since the last call of Options.Lost
	reason error // why the target refused some of them
}

// lane is one of the buffers.
type lane struct {
	mu      sync.Mutex
	records []byte
	lost    int    // records that did not fit since records was taken
	spare   []byte // the other of two alternating buffers; owned by the writer
}

// NewQueue starts a queue in front of to, whose writes may block. If one fails, the rest of it is lost, and is not written
// again. Write must return the number of bytes written even if it fails.
func NewQueue(to io.Writer, o Options) *Queue {
	o.Lanes = cmp.Or(o.Lanes, 1)
	o.Bytes = cmp.Or(o.Bytes, bytesDefault)
	q := &Queue{
		to: to, o: o, lanes: make([]lane, o.Lanes),
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		closing: make(chan struct{}), ended: make(chan struct{}),
	}
	go q.run()
	return q
}

// Write puts p into the first lane. It never blocks. The error is ErrLost if there is no room; then p is lost as a whole.
func (q *Queue) Write(p []byte) (int, error) {
	if !q.Append(0, func(b []byte) []byte { return append(b, p...) }) {
		return 0, ErrLost
	}
	return len(p), nil
}

// Append calls record to append records to the buffer of a lane. It returns false if they do not fit; then they are lost.
// It waits only for other calls for the same lane.
func (q *Queue) Append(n int, record func(b []byte) []byte) bool {
	l := &q.lanes[n]
	l.mu.Lock()
	refused, ok := q.put(l, record)
	lost := Lines(refused) // before others overwrite it
	l.mu.Unlock()
	if !ok {
		q.loseFrom(l, lost)
	}
	return ok
}

// Offer is Write for a caller that counts lost records itself: if p does not fit, it is not counted.
func (q *Queue) Offer(p []byte) bool {
	l := &q.lanes[0]
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := q.put(l, func(b []byte) []byte { return append(b, p...) })
	return ok
}

// Lose counts records that were not put into the queue.
func (q *Queue) Lose(n int) { q.loseFrom(&q.lanes[0], n) }

// put appends records to a lane. If there is no room, it returns them instead, for as long as the lane is locked. Under l.mu.
func (q *Queue) put(l *lane, record func(b []byte) []byte) (refused []byte, ok bool) {
	before := len(l.records)
	l.records = record(l.records)
	after := len(l.records)
	switch {
	case after > q.o.Bytes:
		refused = l.records[before:]
		l.records = l.records[:before]
		return refused, false
	case before == 0:
		signal(q.wake)
	case before < q.o.Bytes/2 && after >= q.o.Bytes/2:
		signal(q.hurry)
	}
	return nil, true
}

// loseFrom counts records that did not fit into a lane.
func (q *Queue) loseFrom(l *lane, n int) {
	l.mu.Lock()
	l.lost += n
	l.mu.Unlock()
	q.lose(n, nil)
	signal(q.wake) // the lane may be empty: the record was longer than a whole lane
}

// signal sends on a channel with a buffer of one; a pending signal is enough.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Lines returns the number of lines in b. The last one may be incomplete.
func Lines(b []byte) int {
	n := bytes.Count(b, lineBreak)
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return n
}

var lineBreak = []byte("\n")

// Close writes everything that was put into the queue before, and ends the writer. It waits for at most the given time, and
// returns false if the target has not taken everything by then. Records that are put into the queue later may be lost.
func (q *Queue) Close(within time.Duration) (written bool) {
	q.once.Do(func() { close(q.closing) })
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-q.ended:
		written = true
	case <-t.C:
	}
	q.tell()
	return written
}

// lose counts lost records, and schedules their report. The writer does not make it, because it may be blocked.
func (q *Queue) lose(n int, err error) {
	if q.o.Lost == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost == 0 {
		time.AfterFunc(tellEvery, q.tell)
	}
	q.lost += n
	if err != nil {
		q.reason = err
	}
}

// tell calls Options.Lost if records were lost.
func (q *Queue) tell() {
	q.mu.Lock()
	lost, reason := q.lost, q.reason
	q.lost, q.reason = 0, nil
	q.mu.Unlock()
	if lost > 0 {
		q.o.Lost(lost, reason)
	}
}
