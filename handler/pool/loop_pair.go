package pool

import "time"

// Pairing: a loop and its home worker take turns on one CPU as long as exchanges are short. The loop gives the CPU away
// when it has published a batch, the worker when it has served it: no doorbell, no wake-up on another CPU, warm caches.
// With long exchanges the worker would keep the loop from its work, so then it may run on any CPU.

const (
	// pairEvery is how often a loop decides whether it is paired.
	pairEvery = 50 * time.Millisecond
	// pairFinished is how many exchanges a worker finishes in pairEvery if they are short: at one in a millisecond the loop
	// loses more by waiting for its CPU than it wins.
	pairFinished = 50
)

// pair is what a loop remembers of the worker that it shares a CPU with.
type pair struct {
	next     int64   // time of the next decision
	worker   *Worker // that the loop is paired with, or counts the exchanges of
	finished uint64  // exchanges that it had finished at the last decision
	cpu      int     // that it is bound to; -1: to none
}

// count returns how many exchanges the worker has finished since the last decision.
func (s *pair) count() uint64 {
	finished := s.worker.out.Finished.Load()
	n := finished - s.finished
	s.finished = finished
	return n
}

// keepPair has the home worker follow the loop to the CPU that the system has put it on, as long as exchanges are short.
func (l *loop) keepPair(now int64) {
	s := &l.pair
	if now < s.next || l.p.h.cfg.NoPairing || l.p.cpus.n < 2 {
		return
	}
	w, idle := l.roster.home, now-s.next > int64(pairEvery)
	s.next = now + int64(pairEvery)
	if w != s.worker || idle {
		// Another worker, or the loop has not been busy all the time: the count starts here.
		l.unpair(w)
		return
	}
	if w == nil || w.home != l.index || w.pid.Load() == 0 {
		return
	}
	if s.count() < pairFinished {
		l.unpair(w)
		return
	}
	if cpu := currentCPU(); cpu >= 0 && cpu != s.cpu && l.p.cpus.pin(int(w.pid.Load()), cpu) {
		s.cpu = cpu
		w.pinned.Store(true)
	}
}

// unpair lets the paired worker run anywhere, and starts to count the exchanges of another one.
func (l *loop) unpair(next *Worker) {
	s := &l.pair
	if w := s.worker; w != nil && w.pinned.Swap(false) && w.serving.Load() {
		l.p.cpus.release(int(w.pid.Load()))
	}
	s.worker, s.cpu = next, -1
	if next != nil {
		s.finished = next.out.Finished.Load()
	}
}
