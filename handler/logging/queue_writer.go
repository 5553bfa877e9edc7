package logging

import "time"

// run is the writer.
func (q *Queue) run() {
	defer close(q.ended)
	for ending := false; !ending; {
		var again <-chan time.Time // to write a mark that could not be written
		if q.missing > 0 && q.o.Mark != nil {
			again = time.After(tellEvery)
		}
		select {
		case <-q.wake:
			ending = q.collect()
		case <-again:
			q.mark()
			continue
		case <-q.closing:
			ending = true
		}
		for i := range q.lanes {
			q.writeLane(&q.lanes[i])
		}
	}
}

// collect waits for more records, so that they are written together. It reports whether the queue is being closed.
func (q *Queue) collect() (ending bool) {
	if q.o.Delay == 0 {
		return false
	}
	t := time.NewTimer(q.o.Delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-q.hurry:
	case <-q.closing:
		return true
	}
	return false
}

// writeLane writes the records that wait in a lane. Records that did not fit into it came later.
func (q *Queue) writeLane(l *lane) {
	l.mu.Lock()
	records, lost := l.records, l.lost
	l.records, l.lost = l.spare[:0], 0
	l.mu.Unlock()
	q.mark()
	if len(records) > 0 {
		q.write(records)
	}
	l.spare = records
	q.missing += lost
	q.mark()
}

// write writes records. Those that the target refuses are lost.
func (q *Queue) write(records []byte) {
	n, err := q.to.Write(records)
	if err == nil {
		return
	}
	lost := Lines(records[min(max(n, 0), len(records)):])
	q.missing += lost
	q.refusal = err
	q.lose(lost, err)
}

// mark writes how many records are missing at this place, if any are. If that fails too, run tries again.
func (q *Queue) mark() {
	if q.missing == 0 || q.o.Mark == nil {
		return
	}
	if _, err := q.to.Write(q.o.Mark(nil, q.missing, q.refusal)); err == nil {
		q.missing, q.refusal = 0, nil
	}
}
