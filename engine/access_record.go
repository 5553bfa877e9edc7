package engine

import (
	"strconv"
	"time"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
)

// recordsKept is how many records a loop keeps for further exchanges.
const recordsKept = 256

// accessRecord is what the access log will need of an exchange in progress. It belongs to the loop, which uses it again when
// the exchange is over.
//
// What those who only count need comes first: a record of theirs takes two lines of the cache.
type accessRecord struct {
	since          int64 // when it began, of one that only counts: see loop.turn
	queue, service time.Duration
	cache          backend.CacheResult
	account        any // of the listener
	accesslog.Record
	traced traced
}

// noteTimes asks the backend how long the exchange has waited and run, before it forgets.
func (a *accessRecord) noteTimes(running backend.Running) {
	if t, ok := running.(backend.Timed); ok {
		a.queue, a.service = t.Times()
	} else if t, ok := running.(backend.CacheTimed); ok {
		a.queue, a.service, a.cache = t.CacheTimes()
	}
	if a.since == 0 && a.traced.recorded {
		if address, sent := backend.UpstreamOf(running); address != "" {
			a.traced.upstream, a.traced.sent = address, sent
		}
	}
}

// newRecord returns an empty record for an exchange that starts now.
func (l *loop) newRecord() *accessRecord {
	n := len(l.records)
	if n == 0 {
		l.records = append(l.records, new(accessRecord))
		n = 1
	}
	a := l.records[n-1]
	l.records = l.records[:n-1]
	a.queue, a.service, a.cache, a.account = -1, -1, backend.CacheNone, nil
	if l.turn != nil {
		a.Response, a.Status, a.since = httpwrite.Scan{}, 0, l.turn()
		return a
	}
	a.Start(l.began())
	if a.traced.on {
		a.traced.clear()
	}
	return a
}

// readBriefly has records for counting read the clock once instead of four times: an exchange begins with the turn in which its head
// was read, and the time of day, which nothing counts, is not kept up to date.
func (l *loop) readBriefly() {
	if l.e.counts && l.tracer == nil {
		l.turn, l.clock = l.r.Now, l.r.Clock
	}
	start, zero := time.Now(), l.r.Clock()
	l.began = func() time.Time { return start.Add(time.Duration(l.r.Now() - zero)) }
	l.ended = func() time.Time { return start.Add(time.Duration(l.r.Clock() - zero)) }
}

// useClocks gives the records of l the clocks that those of another loop object of the same loop have.
func (l *loop) useClocks(of *loop) {
	l.began, l.ended, l.turn, l.clock = of.began, of.ended, of.turn, of.clock
}

// releaseRecord keeps a record for another exchange.
func (l *loop) releaseRecord(a *accessRecord) {
	if len(l.records) < recordsKept {
		l.records = append(l.records, a)
	}
}

// AppendID implements accesslog.IDs: the prefix of the process, the loop, and a number of the loop.
func (l *loop) AppendID(to []byte) []byte {
	*l.lastID++
	to = append(to, l.e.idPrefix...)
	to = append(to, '-')
	to = strconv.AppendInt(to, int64(l.index), 10)
	to = append(to, '-')
	return strconv.AppendUint(to, *l.lastID, 10)
}
