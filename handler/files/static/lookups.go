package static

import "sync"

// lookups runs functions on goroutines. A goroutine that waits for a disk holds a thread, so their number is bounded, and what
// waits for one as well.
type lookups struct {
	running, most int // goroutines
	queueMax      int

	mu    sync.Mutex
	queue []func()
	idle  sync.Cond // signalled when nothing is running
}

func newLookups(most, queueMax int) *lookups {
	l := &lookups{most: most, queueMax: queueMax}
	l.idle.L = &l.mu
	return l
}

// run runs fn soon. false: too much is waiting.
func (l *lookups) run(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running < l.most {
		l.running++
		go l.work(fn)
		return true
	}
	if len(l.queue) >= l.queueMax {
		return false
	}
	l.queue = append(l.queue, fn)
	return true
}

// work runs fn, and then what waits.
func (l *lookups) work(fn func()) {
	for fn != nil {
		fn()
		fn = l.next()
	}
}

// next takes the first function that waits. If there is none, the goroutine ends.
func (l *lookups) next() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.running--
		if l.running == 0 {
			l.queue = nil
			l.idle.Broadcast()
		}
		return nil
	}
	fn := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return fn
}

// wait waits until nothing is running.
func (l *lookups) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.running > 0 {
		l.idle.Wait()
	}
}
