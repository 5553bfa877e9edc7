package pool

// pairState is what keepPair remembers.
type pairState struct {
	next     int64   // time of the next look
	worker   *Worker // that the loop is paired with, or looks whether it should be
	finished uint64  // exchanges that it had finished at the last look
	cpu      int     // that it is bound to; -1: to none
}

const (
	pairEvery = 50_000_000 // ns
	// pairFinished is how many exchanges a worker finishes between two looks if they are short: at one in a millisecond
	// the loop loses more by waiting for its CPU than it wins.
	pairFinished = 50
)

// keepPair has the home worker follow the loop to the CPU that the system has put it on, as long as exchanges are short.
func (l *loop) keepPair() {
	s := &l.pair
	now := l.on.Now()
	if now < s.next || l.p.h.cfg.NoPairing || l.p.cpus.n < 2 {
		return
	}
	w := l.home
	if w != s.worker || now-s.next > pairEvery {
		// Another worker, or the loop has not been busy all the time: the count begins here.
		l.unpair(w)
		if w != nil {
			s.finished = w.out.Finished.Load()
		}
		s.next = now + pairEvery
		return
	}
	s.next = now + pairEvery
	if w == nil || w.home != l.index || w.pid.Load() == 0 {
		return
	}
	finished := w.out.Finished.Load()
	short := finished-s.finished >= pairFinished
	s.finished = finished
	cpu := currentCPU()
	switch {
	case short && cpu >= 0 && cpu != s.cpu:
		if l.p.cpus.pin(int(w.pid.Load()), cpu) {
			s.cpu = cpu
			w.pinned.Store(true)
		}
	case !short:
		l.unpair(w)
	}
}

// unpair lets the paired worker run anywhere, and goes on with another one.
func (l *loop) unpair(next *Worker) {
	s := &l.pair
	if w := s.worker; w != nil && w.pinned.Swap(false) && w.serving.Load() {
		l.p.cpus.release(int(w.pid.Load()))
	}
	s.worker, s.cpu = next, -1
}
