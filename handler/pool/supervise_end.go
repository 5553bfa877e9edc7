package pool

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/policy"
)

const (
	// deafKill is how long a worker may live after it has closed its control socket.
	deafKill = time.Second
	// forkTimeout is how long the fork server may take to fork.
	forkTimeout = 10 * time.Second
	// birthSpan is how soon after its fork the death of a worker without an exchange is taken for one of prepare.
	birthSpan = time.Second
)

// corruptGrace is how long workers may go on that were there when shared memory was found destroyed. A variable for tests.
var corruptGrace = 5 * time.Second

// drain tells a worker to end. Under mu.
func (p *Pool) drain(w *Worker) {
	if w.dismiss() {
		w.told = true
		w.quit()
	}
}

// killCondemned ends the workers that have broken the protocol, or a limit of time, or that nobody hears of any more, or
// that do not end after memory was destroyed. It returns when to do so again if nothing happens; zero: never.
func (p *Pool) killCondemned(now time.Time) (next time.Time) {
	for i := range p.slots {
		w := p.slots[i].Load()
		if w == nil || w.state == policy.Gone {
			continue
		}
		if w.seq <= p.recycleTo.Load() && w.endBy.IsZero() {
			w.endBy = now.Add(corruptGrace)
		}
		late := !w.deaf.IsZero() && now.Sub(w.deaf) >= deafKill || !w.endBy.IsZero() && !now.Before(w.endBy)
		if (w.condemned.Load() != nil || late) && !w.killed && w.pid.Load() > 0 {
			w.killed = true
			w.signal(unix.SIGKILL)
			w.dismiss()
		}
		if w.state == policy.Booting && w.pid.Load() == 0 && now.Sub(w.since) > forkTimeout {
			w.fs.hangs()
		}
		switch {
		case w.condemned.Load() != nil || !w.deaf.IsZero() || w.state == policy.Booting:
			next = earlier(next, now.Add(lookEvery))
		case !w.endBy.IsZero() && !w.killed:
			next = earlier(next, w.endBy)
		}
	}
	return next
}

// bury frees the slots of workers whose cells are reclaimed.
func (p *Pool) bury(now time.Time) (ended []*Worker) {
	oldest := p.seq.Load() + 1
	for i := range p.slots {
		w := p.slots[i].Load()
		if w == nil {
			continue
		}
		if !w.reclaimed.Load() {
			oldest = min(oldest, w.seq)
			continue
		}
		p.slots[i].Store(nil)
		w.release()
		w.bell.Close()
		ended = append(ended, w)
		lost, retried := w.lost.Load(), w.retried.Load()
		p.counts.lost += uint64(lost)
		p.counts.retried += uint64(retried)
		w.expected = w.endExpected()
		if !w.expected {
			p.counts.deaths++
		}
		old := w.replaces
		if old != nil {
			old.successor = nil
		}
		if p.ending || w.told {
			continue
		}
		// (That it is ready may not have been read yet when it dies of its first exchange.)
		atBirth := !w.worked.Load() && (!w.wasReady || !w.expected && now.Sub(w.since) < birthSpan)
		if atBirth && !w.fs.dead() {
			p.sv.policy.Failed(&p.spec.Options, now)
		}
		if w.successor == nil && (old == nil || !old.state.Serving()) {
			p.sv.policy.Lost()
		}
	}
	p.oldest.Store(oldest)
	return ended
}

// endExpected reports whether the worker ended because it was told to, or by its handler's decision.
func (w *Worker) endExpected() bool {
	told := w.in.Quit.Load() != 0 || w.retired.Load()
	return told && (!w.statusSeen || w.status.Exited() && w.status.ExitStatus() == 0)
}

// report logs the end of a worker: one line.
func (p *Pool) report(w *Worker) {
	level, how := slog.LevelWarn, "unknown"
	switch {
	case !w.statusSeen:
	case w.status.Signaled():
		how = "signal " + unix.SignalName(w.status.Signal())
	default:
		how = fmt.Sprintf("status %d", w.status.ExitStatus())
	}
	if w.expected {
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.Int("pid", int(w.pid.Load())), slog.String("end", how),
		slog.Int("lost", int(w.lost.Load())), slog.Int("retried", int(w.retried.Load())),
	}
	if why := w.condemned.Load(); why != nil {
		attrs = append(attrs, slog.String("err", *why))
	}
	p.log.LogAttrs(context.Background(), level, "worker ended", attrs...)
}

// recycleAll has every worker replaced that there is now. It returns false if that is under way. Callable from anywhere.
func (p *Pool) recycleAll() bool {
	youngest := p.seq.Load()
	for {
		last := p.recycleTo.Load()
		if last >= youngest {
			return false
		}
		if p.recycleTo.CompareAndSwap(last, youngest) {
			p.kick()
			return true
		}
	}
}
