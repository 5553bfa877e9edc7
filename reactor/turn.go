package reactor

// A turn, in this order:
//
//  1. BeginTurn of each hook, with a new Now
//  2. events: Ready of handlers
//  3. tasks that were posted before this step, at most postedPerTurn
//  4. timers that were due at Now
//  5. EndTurn of each hook
//  6. descriptors are closed
//
// On Linux a turn is a batch of events: batchDone. On kqueue gnet's Polling calls back for each event and does not say where
// a batch ends. There the loop rings its own bell at the first event of a turn: the bell is the first that the poller
// reports in its next batch, but for events that were ready before it, and fetching that batch does not block. What comes
// before the bell belongs to the turn, and the bell is its end: steps 3 to 5. Cost: one write per turn. Step 6 has to wait
// until the poller has reported the rest of the batch, see closeAll.
//
// Ringing by others (a post, a timer, Stop) is a turn without events.

// event is what the poller calls. It says stop at the end of the turn in which Stop was noticed.
func (l *Loop) event(fd int, got Readiness) (stop bool) {
	if fd == l.bell.fd {
		l.bell.heard()
		l.rung = false
		if batchesKnown {
			l.begin()
			return false
		}
		return l.endTurn()
	}
	if uint(fd) >= uint(len(l.table)) {
		return false
	}
	h := l.table[fd].handler
	if h == nil {
		return false // closed since the event was fetched
	}
	l.begin()
	if !batchesKnown && !l.rung {
		l.ring()
	}
	h.Ready(got)
	return false
}

// batchDone is what the poller calls behind the last event of a batch, where it knows that.
func (l *Loop) batchDone() (stop bool) {
	if l.turning {
		stop = l.endTurn()
	}
	l.closeAll()
	return stop
}

// begin begins a turn if the loop is not in one.
func (l *Loop) begin() {
	if l.turning {
		return
	}
	l.turning = true
	l.now = l.Clock()
	for _, hook := range l.hooks {
		hook.BeginTurn()
	}
}

func (l *Loop) endTurn() (stop bool) {
	l.begin()
	again := l.runPosted()
	l.expire()
	for _, hook := range l.hooks {
		if hook.EndTurn() {
			again = true
		}
	}
	l.turning = false
	if l.setAlarm() || again {
		l.ring()
	}
	return l.stopping.Load()
}

// ring has the poller report the bell in its next batch, without blocking before.
func (l *Loop) ring() {
	l.rung = true
	l.bell.ring()
}

// OnTurn has t called around each turn from now on, in the order of the calls of OnTurn.
func (l *Loop) OnTurn(t Turn) { l.hooks = append(l.hooks, t) }

// OffTurn ends OnTurn. In a turn that has begun t is not called any more.
func (l *Loop) OffTurn(t Turn) {
	// A new slice: the old one may be gone through at this moment, and calls t then once more, or not.
	hooks := make([]Turn, 0, len(l.hooks))
	for _, hook := range l.hooks {
		if hook != t {
			hooks = append(hooks, hook)
		}
	}
	l.hooks = hooks
}
