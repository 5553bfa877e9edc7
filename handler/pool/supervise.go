package pool

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/policy"
)

// supervisor is what the goroutine that keeps the number of workers remembers. Under Pool.mu. How many there should be is
// the policy's business; here is how that comes about.
type supervisor struct {
	policy  policy.Policy
	census  policy.Census
	counted []*Worker // the members of the census
}

const (
	// lookEvery is how often a pool is looked at that has something to wait for without knowing when it comes. Loops with
	// exchanges in progress ask for a look more often.
	lookEvery = 250 * time.Millisecond
	// deafKill is how long a worker may live after it has closed its control socket.
	deafKill = time.Second
	// forkTimeout is how long the fork server may take to fork.
	forkTimeout = 10 * time.Second
	// birthSpan is how soon after its fork the death of a worker without an exchange is taken for one of prepare.
	birthSpan = time.Second
)

// corruptGrace is how long workers may go on that were there when shared memory was found destroyed. A variable for tests.
var corruptGrace = 5 * time.Second

// supervise runs until the pool is quit.
func (p *Pool) supervise() {
	defer close(p.idle)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-p.kicked:
		case <-timer.C:
		}
		timer.Stop()
		if next := p.look(time.Now()); next > 0 {
			timer.Reset(next)
		}
	}
}

// look brings the pool nearer to the number of workers that it should have, and returns when to look again if nothing
// happens; 0: never.
func (p *Pool) look(now time.Time) time.Duration {
	p.mu.Lock()
	ended := p.bury(now)
	next := p.killCondemned(now)
	var births []birth
	if !p.ending {
		c := &p.sv.census
		if p.take(c, now) {
			next = earlier(next, now.Add(lookEvery)) // nobody tells when it has gone to sleep
		}
		d := p.sv.policy.Decide(&p.spec.Options, now, c)
		next = earlier(next, d.Next)
		if births = p.carryOut(d, now); len(births) < d.Fork+len(d.Replace) && p.sv.policy.Hold.After(now) {
			next = earlier(next, p.sv.policy.Hold)
		}
		p.noWorker.Store(p.sv.policy.Refuses(c, now))
	}
	p.mu.Unlock()

	for _, w := range ended {
		p.report(w)
	}
	for _, b := range births {
		b.fork()
	}
	if next.IsZero() {
		return 0
	}
	return max(next.Sub(now), time.Millisecond)
}

// earlier is the earlier one of two times; zero: never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
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

// take takes the census: it looks at every worker. It reports whether one of them is at work.
func (p *Pool) take(c *policy.Census, now time.Time) (busy bool) {
	c.Reset()
	c.Waiting, c.Barren = p.waiting(), !p.fertile()
	p.sv.counted = p.sv.counted[:0]
	for i := range p.slots {
		w := p.slots[i].Load()
		if w == nil || w.state == policy.Gone && w.wasReady {
			continue
		}
		if w.state.Serving() {
			p.observe(w, now)
		}
		c.Count(policy.Member{
			State: w.state, IdleFrom: w.active, Stale: w.recycle, Leaving: w.retired.Load(), Followed: w.successor != nil,
		})
		p.sv.counted = append(p.sv.counted, w)
		busy = busy || w.state == policy.Busy
	}
	return busy
}

// observe decides whether a worker is idle, as far as can be seen.
func (p *Pool) observe(w *Worker, now time.Time) {
	finished := w.out.Finished.Load()
	w.seem(w.occupied())
	if w.state == policy.Busy || finished != w.finished {
		w.active = now
	}
	w.finished = finished
	if w.limit > 0 && finished >= w.limit {
		w.recycle = true
	}
	if w.fs.dead() || w.seq <= p.recycleTo.Load() {
		w.recycle = true // in the first case it has nobody who would tell how it ends
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

// carryOut does what was decided, as far as it can be done: what cannot shows in the next census.
func (p *Pool) carryOut(d policy.Decision, now time.Time) (births []birth) {
	for _, i := range d.End {
		p.drain(p.sv.counted[i])
	}
	for i := range d.Fork + len(d.Replace) {
		b, ok := p.newWorker(now)
		if !ok {
			break
		}
		if i >= d.Fork {
			b.w.replaces = p.sv.counted[d.Replace[i-d.Fork]]
			b.w.replaces.successor = b.w
		}
		births = append(births, b)
	}
	return births
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

// jitter spreads a limit by a tenth to either side, so that workers of the same age are not replaced at the same time.
func jitter(limit int, seq uint64) uint64 {
	if limit <= 0 {
		return 0
	}
	span := uint64(limit)/5 + 1
	mixed := seq * 0x9e3779b97f4a7c15 >> 33 // consecutive numbers, well spread
	return max(1, uint64(limit)-uint64(limit)/10+mixed%span)
}
