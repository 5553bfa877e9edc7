package pool

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/policy"
)

// forkTimeout is how long the fork server may take for one fork. A variable for tests.
var forkTimeout = 10 * time.Second

// startSpan is how soon after its fork the end of a worker that had no exchange counts as a failure of prepare.
const startSpan = time.Second

// killDue kills the workers that have broken the protocol or exceeded a time limit, that have closed their control
// socket and live on, and that do not end after memory was destroyed. It returns when to do so again if nothing happens;
// zero: never. Under mu.
func (p *Pool) killDue(now time.Time) (next time.Time) {
	for w := range p.workers() {
		if w.state == policy.Gone {
			continue
		}
		if p.seqs.isStale(w.seq) && w.exit.due.IsZero() {
			w.exit.due = now.Add(corruptGrace)
		}
		faulty := w.fault.Load() != nil
		if (faulty || w.exit.late(now)) && !w.exit.killed && w.pid.Load() > 0 {
			w.exit.killed = true
			if faulty || w.exit.hungUp.IsZero() {
				w.signal(unix.SIGKILL)
			} else {
				w.signalAlone(unix.SIGKILL)
			}
			w.drain()
		}
		if w.unreported() && now.Sub(w.fs.stuckSince(w.exit.hungUp)) > forkTimeout ||
			w.state == policy.Booting && w.pid.Load() == 0 && now.Sub(w.fs.stuckSince(w.activity.forked)) > forkTimeout {
			w.fs.hangs()
		}
		switch {
		case faulty || !w.exit.hungUp.IsZero() || w.state == policy.Booting:
			next = earlier(next, now.Add(checkEvery))
		case !w.exit.due.IsZero() && !w.exit.killed:
			next = earlier(next, w.exit.due)
		}
	}
	return next
}

// unreported reports whether the process has ended, as far as can be seen, and its fork server has not said so. Until then nobody gets its
// exchange. Under mu.
func (w *Worker) unreported() bool {
	return !w.exit.hungUp.IsZero() && w.pid.Load() > 0 && w.proc.ended()
}

// freeSlots frees the slots of workers that are gone and whose cells are reclaimed. It returns these workers. Under mu.
func (p *Pool) freeSlots(now time.Time) (ended []*Worker) {
	oldest := p.seqs.youngest.Load() + 1
	for w := range p.workers() {
		if !w.reclaim.done.Load() {
			oldest = min(oldest, w.seq)
			continue
		}
		p.slots[w.slot].Store(nil)
		w.close()
		w.bell.Close()
		p.judge(w, p.ending)
		p.tellPolicy(w, now)
		ended = append(ended, w)
	}
	p.seqs.oldest.Store(oldest)
	return ended
}

// tellPolicy tells the policy of the end of a worker, if that leaves a gap. Under mu.
func (p *Pool) tellPolicy(w *Worker, now time.Time) {
	old := w.succession.replaces
	if old != nil {
		old.succession.successor = nil
	}
	if p.ending || w.exit.told {
		return
	}
	if w.failedToStart(now) && !w.fs.dead() {
		p.sv.policy.Failed(&p.spec.Options, now)
	}
	if w.succession.successor == nil && (old == nil || !old.state.Serving()) {
		p.sv.policy.Lost()
	}
}

// judge decides whether a worker ended because it was told to, or by its handler's decision, and counts its end. Under mu.
func (p *Pool) judge(w *Worker, ending bool) {
	w.exit.judge(w.in.Quit.Load() != 0 || w.retired.Load())
	p.counts.add(w)
	w.exit.cause = w.cause(ending)
	p.counts.countEnd(w.exit.cause)
}

// failedToStart reports whether a worker has ended before its first exchange, and has probably failed in prepare. (That it
// is ready may not have been read yet when its first exchange ends it.)
func (w *Worker) failedToStart(now time.Time) bool {
	if w.worked.Load() {
		return false
	}
	return !w.activity.ready || !w.exit.expected && w.activity.age(now) < startSpan
}

// report logs the end of a worker: one line.
func (p *Pool) report(w *Worker) {
	level := slog.LevelWarn
	if w.exit.expected {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.Int("pid", int(w.pid.Load())), slog.String("end", w.exit.how()),
		slog.Int("lost", int(w.reclaim.lost.Load())), slog.Int("retried", int(w.reclaim.retried.Load())),
	}
	if why := w.fault.Load(); why != nil {
		attrs = append(attrs, slog.String("err", *why))
	}
	p.log.LogAttrs(context.Background(), level, "worker ended", withCrash(attrs, w.notes.end())...)
}
