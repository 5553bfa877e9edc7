package reactor

const (
	// postedPerTurn keeps a flood of posts from starving events: the rest waits for the next turn, which does not block.
	postedPerTurn = 256
	// queueKept is the capacity up to which an empty task queue is kept for later. A larger one is left over from a flood.
	queueKept = 4096
)

// Post makes the loop call fn, at the end of this turn or in a later one, in the order of posts. Any goroutine may call it.
// It returns false if the loop has ended: then fn is not called, while every fn for which it returned true is. The queue has
// no bound of its own: those who post have to limit it.
func (l *Loop) Post(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.queue = append(l.queue, fn)
	if len(l.queue) == 1 {
		l.posted.Store(true)
		l.bell.ring()
	}
	return true
}

// Posted is how many functions that were posted have not been called yet. Any goroutine may call it.
func (l *Loop) Posted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) + int(l.left.Load())
}

// Soon is Post for the loop itself: only functions that the loop calls may call it. It costs no lock and no system call, and fn is
// called in the same turn if that has not begun its last step, after EndTurn if that has called Soon. So what a hook produces can
// still be collected and sent without another look for events. At the end of the loop, what is called after EndTurn is the last: there Soon has
// no effect.
func (l *Loop) Soon(fn func()) {
	l.soon = append(l.soon, fn)
	if !l.turning {
		l.ring() // Run has not begun
	}
}

// RepeatsEnd reports, within EndTurn, whether that is called once more before the loop blocks, since Soon was called.
func (l *Loop) RepeatsEnd() bool { return len(l.soon) > 0 }

// runSoon runs the tasks that Soon was called for. What they call it for is left for the next time.
func (l *Loop) runSoon() {
	tasks := l.soon
	l.soon, l.soonOther = l.soonOther[:0], tasks
	for i, fn := range tasks {
		tasks[i] = nil
		fn()
	}
}

// runPosted runs posted tasks, up to the limit of a turn, and reports whether there are more. What a task posts is left for
// the next turn.
func (l *Loop) runPosted() (more bool) {
	if l.next == len(l.taken) && !l.takePosted() {
		return false
	}
	l.runTaken(min(len(l.taken), l.next+postedPerTurn))
	// What was posted while the rest of taken was waiting has rung the bell in an earlier turn.
	return l.next < len(l.taken) || l.posted.Load()
}

// runAllPosted runs all posted tasks, which do not become more, and those that Soon was called for. One of these that calls it again and
// again does not keep the loop from ending.
func (l *Loop) runAllPosted() {
	for l.next < len(l.taken) || l.takePosted() {
		l.runTaken(len(l.taken))
		l.runSoon()
	}
	l.runSoon()
}

// takePosted swaps the queue with the one that was run, and reports whether it holds any task.
func (l *Loop) takePosted() bool {
	if !l.posted.Load() {
		return false
	}
	if cap(l.taken) > queueKept {
		l.taken = nil
	}
	l.mu.Lock()
	l.taken, l.queue = l.queue, l.taken[:0]
	l.posted.Store(false)
	l.left.Store(int64(len(l.taken)))
	l.mu.Unlock()
	l.next = 0
	return true
}

// runTaken runs taken tasks up to index end.
func (l *Loop) runTaken(end int) {
	for l.next < end {
		fn := l.taken[l.next]
		l.taken[l.next] = nil
		l.next++
		l.left.Store(int64(len(l.taken) - l.next))
		fn()
	}
}
