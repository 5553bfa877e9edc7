package pool

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/policy"
)

// The moves of a worker through its life, which has the states of package policy. All of them are made under Pool.mu. News
// of a worker may come too late for a move: then the verb reports that it has done nothing.

// move is the only place where a worker's state changes. An illegal move is a mistake of this package.
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

// ready: prepare has returned, and the worker takes exchanges. false: it is not to take any, now.
func (w *Worker) ready(now time.Time) bool {
	if w.state != policy.Booting {
		return false
	}
	w.activity.ready, w.activity.last, w.activity.stirred = true, now, now
	w.move(policy.Idle)
	return true
}

// setBusy: the supervisor sees the worker at an exchange, or not. For workers that serve.
func (w *Worker) setBusy(busy bool) {
	switch {
	case busy && w.state == policy.Idle:
		w.move(policy.Busy)
	case !busy && w.state == policy.Busy:
		w.move(policy.Idle)
	}
}

// drain: the worker takes no further exchange. One that is booting finds out when prepare has returned. false: that was
// known.
func (w *Worker) drain() bool {
	if w.state == policy.Draining || w.state == policy.Gone {
		return false
	}
	w.move(policy.Draining)
	return true
}

// end: the process has ended. reaped: status is what waitpid said. false: that was known.
func (w *Worker) end(status unix.WaitStatus, reaped bool) bool {
	if w.state == policy.Gone {
		return false
	}
	w.exit.status, w.exit.reaped = status, reaped
	w.move(policy.Gone)
	return true
}
