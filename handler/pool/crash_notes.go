package pool

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"

	"moonbridge/handler/logging"
)

const (
	// crashLines and crashLineBytes bound what is kept of a worker's standard error.
	crashLines     = 50
	crashLineBytes = 16 << 10
	// crashRecent is how many failed exchanges of a worker are remembered of which either the report or the end has not come.
	crashRecent = 64
)

// notes are what is kept of a worker in case an exchange fails. nil: nothing is kept.
type notes struct {
	w     *Worker
	heard sync.WaitGroup // of what it says

	mu     sync.Mutex
	lines  []string // the last ones of its standard error
	bytes  int      // of these
	recent []*failure
	over   []*draft // of exchanges that have ended with the worker: they are complete when it has ended
}

// failure is an exchange that has failed. Its report and its end come in any order.
type failure struct {
	exchange uint64
	admitted bool   // it is recorded
	reported bool   // its report has come
	ended    bool   // its end has come
	draft    *draft // whose report has not come yet; nil: there is none

	message, traceback, requestID, traceID string
}

// keepNotes begins to keep notes of a new worker, if failures are recorded.
func (w *Worker) keepNotes() {
	if w.p.h.crashes != nil {
		w.notes = &notes{w: w}
	}
}

// line keeps a line of standard error.
func (n *notes) line(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, text)
	n.bytes += len(text)
	for len(n.lines) > crashLines || n.bytes > crashLineBytes && len(n.lines) > 1 {
		n.bytes -= len(n.lines[0])
		n.lines = n.lines[1:]
	}
}

// failed is the failure of an exchange. The first call decides whether it is recorded. Under mu.
func (n *notes) failed(exchange uint64, quota *logging.Quota) *failure {
	for _, f := range n.recent {
		if f.exchange == exchange {
			return f
		}
	}
	if len(n.recent) == crashRecent {
		n.giveUp(n.recent[0])
		n.recent = slices.Delete(n.recent, 0, 1)
	}
	f := &failure{exchange: exchange, admitted: n.w.p.h.crashes.admit(quota)}
	n.recent = append(n.recent, f)
	return f
}

// settle forgets a failure of which everything has come. Under mu.
func (n *notes) settle(f *failure) {
	if f.reported && f.ended {
		n.giveUp(f)
		n.recent = slices.DeleteFunc(n.recent, func(other *failure) bool { return other == f })
	}
}

// giveUp passes on what no report has come for. Under mu.
func (n *notes) giveUp(f *failure) {
	if f.draft != nil {
		n.w.p.h.crashes.put(f.draft)
		f.draft = nil
	}
}

// report notes the report of a failure, and returns the id of its record for the log; empty: there is none. The exchange ends
// soon, or has just ended.
func (n *notes) report(r *report) string {
	if n == nil || r.Exchange == 0 {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.w.p.h.crashes
	f := n.failed(r.Exchange, s.errors)
	f.reported = true
	defer n.settle(f)
	if !f.admitted {
		return ""
	}
	f.requestID, f.traceID = r.id, r.trace
	f.message, f.traceback = cutText(r.message, r.MessageCut), cutText(r.traceback, r.TracebackCut)
	return s.id(n.w, r.Exchange)
}

// handlerFailed: the handler of the exchange in the cell has raised an error.
func (c *cell) handlerFailed() {
	n := c.worker.notes
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.failed(c.exchange(), c.l.p.h.crashes.errors)
	f.ended = true
	if f.admitted && f.draft == nil {
		f.draft = c.draft(c.worker, f)
		f.draft.Cause = causeError
	}
	n.settle(f)
}

// workerFails: the worker is to be killed because of the exchange in the cell, or has ended with it. It returns the id of the
// record; empty: there is none.
func (c *cell) workerFails(w *Worker) string {
	n := w.notes
	if n == nil {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	exchange := c.exchange()
	for _, d := range n.over {
		if d.failure.exchange == exchange { // it was killed because of it
			return d.ID
		}
	}
	f := n.failed(exchange, c.l.p.h.crashes.ends)
	if !f.admitted {
		return ""
	}
	d := c.draft(w, f)
	d.Memory = residentMemory(d.PID)
	n.over = append(n.over, d)
	return d.ID
}

// retried notes that the last of the exchanges that have ended with the worker is given to another one.
func (n *notes) retried() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := len(n.over) - 1; k >= 0 {
		n.over[k].Retried = true
	}
}

// end passes on the records of a worker that has ended. It returns the id of the first one whose exchange has ended with it.
func (n *notes) end() (id string) {
	if n == nil {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range n.recent {
		n.giveUp(f)
	}
	for _, d := range n.over {
		id = cmp.Or(id, d.ID)
		d.Cause, d.End, d.Core = n.w.exit.cause, n.w.exit.how(), n.w.exit.reaped && n.w.exit.status.CoreDump()
		n.w.p.h.crashes.put(d)
	}
	n.over = nil
	return id
}

// hearOut waits, for a bounded time, until what the worker has said is read. It has ended.
func (n *notes) hearOut() { waitAtMost(&n.heard, lastWords) }

// addTo adds to a record what the worker has said.
func (n *notes) addTo(d *draft) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d.Lines = slices.Clone(n.lines)
	d.Message, d.Traceback = d.failure.message, d.failure.traceback
	if d.RequestID == "" {
		d.RequestID, d.TraceID = d.failure.requestID, d.failure.traceID
	}
}

// withCrash adds the id of a record to what is logged, if there is one.
func withCrash(attrs []slog.Attr, id string) []slog.Attr {
	if id != "" {
		attrs = append(attrs, slog.String("crash", id))
	}
	return attrs
}
