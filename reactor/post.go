package reactor

const (
	// postedPerTurn keeps a flood of posts from starving events: the rest waits for the next turn, which does not block.
	postedPerTurn = 256
	// queueKept is the capacity of an empty task queue that is kept for later; a larger one is left over from a flood.
	queueKept = 4096
)

// Post has fn called on the loop, in a later turn or at the end of this one, in the order of posts. Any goroutine may
// call it. It is false if the loop has ended: fn is not called then, while every fn for which it is true is. The queue has
// no bound of its own: it is as long as those who post let it become.
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

// runPosted runs what was posted, up to the limit of a turn, and says whether there is more. What a task posts is left
// for the next turn.
func (l *Loop) runPosted() (more bool) {
	if l.next == len(l.taken) && !l.takePosted() {
		return false
	}
	l.runTaken(min(len(l.taken), l.next+postedPerTurn))
	// What was posted while the rest of taken was waiting has rung the bell in an earlier turn.
	return l.next < len(l.taken) || l.posted.Load()
}

// runAllPosted runs everything that was posted.
func (l *Loop) runAllPosted() {
	for l.next < len(l.taken) || l.takePosted() {
		l.runTaken(len(l.taken))
	}
}

// takePosted changes the queue for the one that was run, and says whether there is something in it.
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
	l.mu.Unlock()
	l.next = 0
	return true
}

func (l *Loop) runTaken(until int) {
	for l.next < until {
		fn := l.taken[l.next]
		l.taken[l.next] = nil
		l.next++
		fn()
	}
}
