package pool

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// State is where a worker is in its life. Changed under Pool.mu only, by the verbs below only.
type State uint8

const (
	// Booting: the fork is asked for, or prepare runs. Next: Idle, Draining, Gone.
	Booting State = iota
	// Idle: it waits for exchanges, as far as the supervisor saw. Next: Busy, Draining, Gone.
	Idle
	// Busy: it is at an exchange, as far as the supervisor saw. Next: Idle, Draining, Gone.
	Busy
	// Draining: it takes no further exchange. It completes what it is at, runs finish, or is being killed. Next: Gone.
	Draining
	// Gone: the process has ended. When every loop has reclaimed its cells, the slot is free for another worker.
	Gone

	stateCount
)

var stateNames = [stateCount]string{"booting", "idle", "busy", "draining", "gone"}

// legal[from][to]: the moves that there are.
var legal = [stateCount][stateCount]bool{
	Booting:  {Idle: true, Draining: true, Gone: true},
	Idle:     {Busy: true, Draining: true, Gone: true},
	Busy:     {Idle: true, Draining: true, Gone: true},
	Draining: {Gone: true},
}

func (s State) String() string { return stateNames[s] }

// serving reports whether the worker takes exchanges.
func (s State) serving() bool { return s == Idle || s == Busy }

// alive reports whether there is a process, or may be.
func (s State) alive() bool { return s != Gone }

// move is the only place where a worker's state changes. What others tell may come too late for a move: then the verbs do
// not get here. An illegal one is a mistake of ours.
func (w *Worker) move(to State) {
	from := w.state
	if !legal[from][to] {
		panic(fmt.Sprintf("pool: worker is %v and cannot become %v", from, to))
	}
	w.state = to
	if to == Gone {
		w.gone.Store(true)
	}
	if to == Gone || from.serving() != to.serving() {
		w.serving.Store(to.serving())
		w.p.epoch.Add(1)
	}
}

// begin: prepare has returned, and it takes exchanges. false: it is not to any more.
func (w *Worker) begin(now time.Time) bool {
	if w.state != Booting {
		return false
	}
	w.wasReady, w.active = true, now
	w.move(Idle)
	return true
}

// seem: the supervisor sees it at work, or not. For those that serve.
func (w *Worker) seem(busy bool) {
	switch {
	case busy && w.state == Idle:
		w.move(Busy)
	case !busy && w.state == Busy:
		w.move(Idle)
	}
}

// dismiss: it is to take no further exchange. One that boots sees that when prepare has returned. false: that was known.
func (w *Worker) dismiss() bool {
	if w.state == Draining || w.state == Gone {
		return false
	}
	w.move(Draining)
	return true
}

// end: its process has ended. false: that was known.
func (w *Worker) end(status unix.WaitStatus, known bool) bool {
	if w.state == Gone {
		return false
	}
	w.status, w.statusSeen = status, known
	w.move(Gone)
	return true
}
