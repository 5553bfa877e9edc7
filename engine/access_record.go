package engine

import (
	"time"

	"moonbridge/handler/backend"
)

// recordsKept is how many records a loop keeps for further exchanges.
const recordsKept = 256

// accessRecord is what the access log will need of an exchange in progress. It belongs to the loop, which uses it again when
// the exchange is over.
type accessRecord struct {
	at             time.Time
	b              []byte // the parts, one after the other
	ends           [recordParts]uint16
	minor          int
	queue, service time.Duration
	response       responseScan
	own            int // status of an exchange that ended without a response, if it has one
}

// The parts of accessRecord.b, in their order.
const (
	partMethod = iota
	partTarget
	partReferer
	partAgent
	partID
	recordParts
)

func (a *accessRecord) part(i int) []byte {
	start := uint16(0)
	if i > 0 {
		start = a.ends[i-1]
	}
	return a.b[start:a.ends[i]]
}

// add appends part i, cut at limit bytes. The parts are added in their order.
func (a *accessRecord) add(i int, p []byte, limit int) {
	a.b = append(a.b, p[:min(len(p), limit)]...)
	a.ends[i] = uint16(len(a.b))
}

// noteTimes asks the backend how long the exchange has waited and run, before it forgets.
func (a *accessRecord) noteTimes(running backend.Running) {
	if t, ok := running.(backend.Timed); ok {
		a.queue, a.service = t.Times()
	}
}

// status is that of the final response, or of an exchange that ended without one; 0: there is none.
func (a *accessRecord) status() int {
	if a.own != 0 {
		return a.own
	}
	return a.response.final()
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
	*a = accessRecord{at: l.sys.wallClock(), b: a.b[:0], queue: -1, service: -1}
	return a
}

// releaseRecord keeps a record for another exchange.
func (l *loop) releaseRecord(a *accessRecord) {
	if len(l.records) < recordsKept {
		l.records = append(l.records, a)
	}
}
