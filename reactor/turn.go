package reactor

// A turn, in this order:
//
//  1. BeginTurn of each hook, with a new Now
//  2. events: Ready of handlers
//  3. tasks that were posted before this step, at most postedPerTurn, and those that Soon was called for before this step
//  4. timers that were due at Now
//  5. EndTurn of each hook
//  6. if Soon was called in 3 to 5: these tasks, and EndTurn of each hook once more
//  7. descriptors are closed
//
// On Linux a turn is a batch of events: batchDone. On kqueue gnet's Polling calls back for each event and does not say where
// a batch ends. There the loop rings its own bell at the first event of a turn. The poller reports the bell in its next
// batch, which it fetches without blocking, after any events that were ready before. What comes before the bell belongs to
// the turn, and the bell ends it: steps 3 to 6. This costs one write per turn. Step 7 has to wait until the poller has
// reported the rest of the batch: see closeAll.
//
// When others ring the bell (a post, Stop), or the alarm goes off, that is a turn without events. A turn that has to follow at once needs no bell on
// Linux: batchDone says so.

// event is what the poller calls for each event. It returns true at the end of the turn in which Stop was noticed.
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

// Pending reports whether the poller has an event of fd that is to be reported in this turn, other than Writable alone. It needs no system
// call. On kqueue nobody knows, and the answer is no.
func (l *Loop) Pending(fd int) bool { return l.poller.pending(fd) }

// batchDone is what the poller calls after the last event of a batch, if it knows which that is. again asks for another batch, even an
// empty one, without blocking.
func (l *Loop) batchDone() (stop, again bool) {
	if l.turning || l.again {
		l.again = false
		stop = l.endTurn()
	}
	l.closeAll()
	l.yield()
	return stop, l.again
}

// begin starts a turn, unless the loop is in one.
func (l *Loop) begin() {
	if l.turning {
		return
	}
	l.turning = true
	l.now = l.Clock()
	if l.watch != nil {
		l.watch.begin(l.now)
	}
	for _, hook := range l.hooks {
		hook.BeginTurn()
	}
}

func (l *Loop) endTurn() (stop bool) {
	l.begin()
	again := l.runPosted()
	l.runSoon()
	l.expire()
	if l.callHooks() {
		again = true
	}
	if len(l.soon) > 0 {
		l.runSoon()
		if l.callHooks() || len(l.soon) > 0 {
			again = true
		}
	}
	l.turning = false
	if l.watch != nil {
		l.watch.end(l.Clock())
	}
	if l.setAlarm() || again {
		if batchesKnown {
			l.again = true
		} else {
			l.ring()
		}
	}
	return l.stopping.Load()
}

// callHooks calls EndTurn of each hook.
func (l *Loop) callHooks() (again bool) {
	for _, hook := range l.hooks {
		if hook.EndTurn() {
			again = true
		}
	}
	return again
}

// ring makes the poller report the bell in its next batch, without blocking first.
func (l *Loop) ring() {
	l.rung = true
	l.bell.ring()
}

// OnTurn makes the loop call t around each turn from now on. Several are called in the order of the calls of OnTurn.
func (l *Loop) OnTurn(t Turn) { l.hooks = append(l.hooks, t) }

// OffTurn ends OnTurn. In a turn that has started, t may still be called.
func (l *Loop) OffTurn(t Turn) {
	// A new slice: a range over the old one may be in progress, and stays valid.
	hooks := make([]Turn, 0, len(l.hooks))
	for _, hook := range l.hooks {
		if hook != t {
			hooks = append(hooks, hook)
		}
	}
	l.hooks = hooks
}
