package pool

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// crashLines and crashLineBytes bound what is kept of a worker's standard error.
	crashLines     = 50
	crashLineBytes = 16 << 10
)

// notes are what is kept of a worker in case that an exchange fails. nil: nothing is kept.
type notes struct {
	w     *Worker
	heard sync.WaitGroup // of what it says

	mu       sync.Mutex
	lines    []string // the last ones of its standard error
	bytes    int      // of these
	last     lastReport
	decided  uint64   // exchange about which it is decided whether its failure is recorded
	admitted bool     // the decision
	failed   *draft   // of an exchange that has failed, whose report has not come yet
	over     []*draft // of exchanges that have failed, to be completed when the worker has ended
}

// lastReport is the last report of a failure.
type lastReport struct {
	exchange                      uint64
	message, traceback, requestID string
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

// admit decides, once for each exchange, whether its failure is recorded. Under mu.
func (n *notes) admit(exchange uint64) bool {
	if n.decided != exchange {
		s := n.w.p.h.crashes
		n.decided, n.admitted = exchange, s.admit(s.errors)
	}
	return n.admitted
}

// report notes the report of a failure, and returns the id of its record for the log; empty: there is none. The exchange ends
// soon, or has just ended.
func (n *notes) report(r *report) string {
	if n == nil || r.Exchange == 0 {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = lastReport{
		exchange: r.Exchange, requestID: r.id,
		message: cutText(r.message, r.MessageCut), traceback: cutText(r.traceback, r.TracebackCut),
	}
	if !n.admit(r.Exchange) {
		return ""
	}
	if d := n.failed; d != nil && d.exchange == r.Exchange {
		n.failed = nil
		n.w.p.h.crashes.put(d)
	}
	return n.w.p.h.crashes.id(n.w, r.Exchange)
}

// handlerFailed: the handler of the exchange in the cell has raised an error.
func (c *cell) handlerFailed() {
	n := c.worker.notes
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	exchange := c.exchange()
	if !n.admit(exchange) {
		return
	}
	d := c.draft(c.worker, exchange)
	d.Cause = causeError
	if n.last.exchange == exchange {
		c.l.p.h.crashes.put(d)
		return
	}
	n.giveUp()
	n.failed = d
}

// giveUp passes on what no report has come for. Under mu.
func (n *notes) giveUp() {
	if n.failed != nil {
		n.w.p.h.crashes.put(n.failed)
		n.failed = nil
	}
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
	for _, other := range n.over {
		if other.exchange == exchange { // it was killed because of it
			return other.ID
		}
	}
	if s := c.l.p.h.crashes; !s.admit(s.ends) {
		return ""
	}
	d := c.draft(w, exchange)
	d.Memory = residentMemory(d.PID)
	n.decided, n.admitted = exchange, true // its traceback follows
	n.over = append(n.over, d)
	return d.ID
}

// retried notes that the last of the exchanges that have failed is given to another worker.
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

// end passes on the records of a worker that has ended. It returns the id of the first one.
func (n *notes) end() (id string) {
	if n == nil {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.giveUp()
	for _, d := range n.over {
		if id == "" {
			id = d.ID
		}
		d.Cause, d.End, d.Core = n.w.exit.cause, n.w.exit.how(), n.w.exit.reaped && n.w.exit.status.CoreDump()
		n.w.p.h.crashes.put(d)
	}
	n.over = nil
	return id
}

// hearOut waits, for a bounded time, until what the worker has said is read. It has ended.
func (n *notes) hearOut() {
	done := make(chan struct{})
	go func() {
		n.heard.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(lastWords):
	}
}

// addTo adds to a record what the worker has said.
func (n *notes) addTo(d *draft) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, line := range n.lines {
		d.Lines = append(d.Lines, strings.Clone(line))
	}
	if n.last.exchange != d.exchange || d.exchange == 0 {
		return
	}
	d.Message, d.Traceback = n.last.message, n.last.traceback
	if d.RequestID == "" {
		d.RequestID = n.last.requestID
	}
}

// withCrash adds the id of a record to what is logged, if there is one.
func withCrash(attrs []slog.Attr, id string) []slog.Attr {
	if id != "" {
		attrs = append(attrs, slog.String("crash", id))
	}
	return attrs
}
