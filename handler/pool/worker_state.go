package pool

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/policy"
)

// move is the only place where a worker's state changes, under Pool.mu. What others tell may come too late for a move: then the verbs do
// not get here. An illegal one is a mistake of ours.
func (w *Worker) move(to policy.State) {
	from := w.state
	if !from.CanBecome(to) {
		panic(fmt.Sprintf("pool: worker is %v and cannot become %v", from, to))
	}
	w.state = to
	if to == policy.Gone {
		w.gone.Store(true)
	}
	if to == policy.Gone || from.Serving() != to.Serving() {
		w.serving.Store(to.Serving())
		w.p.epoch.Add(1)
	}
}

// begin: prepare has returned, and it takes exchanges. false: it is not to any more.
func (w *Worker) begin(now time.Time) bool {
	if w.state != policy.Booting {
		return false
	}
	w.wasReady, w.active = true, now
	w.move(policy.Idle)
	return true
}

// seem: the supervisor sees it at work, or not. For those that serve.
func (w *Worker) seem(busy bool) {
	switch {
	case busy && w.state == policy.Idle:
		w.move(policy.Busy)
	case !busy && w.state == policy.Busy:
		w.move(policy.Idle)
	}
}

// dismiss: it is to take no further exchange. One that boots sees that when prepare has returned. false: that was known.
func (w *Worker) dismiss() bool {
	if w.state == policy.Draining || w.state == policy.Gone {
		return false
	}
	w.move(policy.Draining)
	return true
}

// end: its process has ended. false: that was known.
func (w *Worker) end(status unix.WaitStatus, known bool) bool {
	if w.state == policy.Gone {
		return false
	}
	w.status, w.statusSeen = status, known
	w.move(policy.Gone)
	return true
}
