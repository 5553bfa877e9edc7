package pool

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// supervisor is what the goroutine that keeps the number of workers remembers. Under Pool.mu.
type supervisor struct {
	failures   int       // workers in a row that did not get ready
	errorUntil time.Time // no fork before, after one of those
	lastSpare  time.Time // fork of a spare worker
	short      time.Time // since when fewer than pre_fork workers are idle; zero: not so
	surplus    time.Time // since when there are more workers than needed; zero: there are not
	queued     time.Time // since when exchanges wait and nobody is idle; zero: not so
}

const (
	// lookEvery is how often a pool is looked at that has something to wait for without knowing when it comes. Loops with
	// exchanges in progress ask for a look more often.
	lookEvery = 250 * time.Millisecond
	// shortLong is for how long there have to be too few idle workers before a spare one is forked, unless fork_delay is
	// shorter: who is idle is seen in samples, and a worker that was woken in vain does not look so.
	shortLong = 100 * time.Millisecond
	// queuedLong is for how long exchanges have to wait before more workers than the spare ones are forked for them.
	queuedLong = 20 * time.Millisecond
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

// census is who is there.
type census struct {
	workers            []*Worker // not gone
	booting, idle      int
	live               int // booting and serving, a worker and its successor counted once
	draining           int
	stale              []*Worker // serving, to be replaced, without a successor
	serving, processes int
}

// look brings the pool nearer to the number of workers that it should have, and returns when to look again if nothing
// happens; 0: never.
func (p *Pool) look(now time.Time) time.Duration {
	p.mu.Lock()
	ended := p.bury(now)
	c := p.census(now)
	p.killCondemned(c, now)
	var births []birth
	if !p.ending {
		p.retire(&c, now)
		births = p.births(&c, now)
		p.shrink(&c, now)
	}
	p.noWorker.Store(c.serving == 0 && (!p.fertile() || p.sv.failures > 0))
	next := p.nextLook(&c, now)
	p.mu.Unlock()

	for _, w := range ended {
		p.report(w)
	}
	for _, b := range births {
		b.fork()
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
		if old := w.replaces; old != nil {
			old.successor = nil
		}
		// (That it is ready may not have been read yet when it dies of its first exchange.)
		atBirth := !w.worked.Load() && (!w.wasReady || !w.expected && now.Sub(w.since) < birthSpan)
		if atBirth && !p.ending && w.in.Quit.Load() == 0 && !w.fs.dead() {
			p.sv.failures++
			p.sv.errorUntil = now.Add(p.spec.Options.ForkErrorDelay)
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

// census looks at every worker.
func (p *Pool) census(now time.Time) (c census) {
	for i := range p.slots {
		w := p.slots[i].Load()
		if w == nil {
			continue
		}
		if w.state == Gone {
			if !w.wasReady { // it is not replaced before it is known whether that is an error
				c.live++
				c.processes++
			}
			continue
		}
		c.workers = append(c.workers, w)
		c.processes++
		if w.seq <= p.recycleTo.Load() && w.endBy.IsZero() {
			w.endBy = now.Add(corruptGrace)
		}
		switch {
		case w.state.serving():
			p.observe(w, now)
			c.serving++
			if w.state == Idle {
				c.idle++
			}
			if w.successor == nil {
				c.live++
			}
		case w.state == Booting && w.in.Quit.Load() == 0:
			c.booting++
			c.live++
		default:
			c.draining++
		}
	}
	return c
}

// observe decides whether a worker is idle, as far as can be seen.
func (p *Pool) observe(w *Worker, now time.Time) {
	finished := w.out.Finished.Load()
	w.state = Idle
	if w.occupied() {
		w.state = Busy
	}
	if w.state == Busy || finished != w.finished {
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
// that do not end after memory was destroyed.
func (p *Pool) killCondemned(c census, now time.Time) {
	for _, w := range c.workers {
		late := !w.deaf.IsZero() && now.Sub(w.deaf) >= deafKill || !w.endBy.IsZero() && !now.Before(w.endBy)
		if (w.condemned.Load() != nil || late) && !w.killed && w.pid.Load() > 0 {
			w.killed = true
			w.signal(unix.SIGKILL)
			if w.state.serving() {
				w.state = Draining
				w.serving.Store(false)
				p.epoch.Add(1)
			}
		}
		if w.state == Booting && w.pid.Load() == 0 && now.Sub(w.since) > forkTimeout {
			w.fs.hangs()
		}
	}
}

// retire ends the workers that are to be replaced or not needed, and those that have ended themselves.
func (p *Pool) retire(c *census, now time.Time) {
	o := &p.spec.Options
	for _, w := range c.workers {
		if !w.state.serving() {
			continue
		}
		switch {
		case w.retired.Load(), o.IdleTimeout > 0 && w.state == Idle && now.Sub(w.active) >= o.IdleTimeout:
			p.end(c, w)
		case w.recycle && w.successor == nil:
			c.stale = append(c.stale, w)
		}
	}
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

// end drains a serving worker and counts it so.
func (p *Pool) end(c *census, w *Worker) {
	if w.state == Idle {
		c.idle--
	}
	if w.successor == nil {
		c.live--
	}
	c.serving--
	c.draining++
	p.drain(w)
}

// births decides which workers to fork.
func (p *Pool) births(c *census, now time.Time) (births []birth) {
	if !p.fertile() || now.Before(p.sv.errorUntil) {
		return nil
	}
	o := &p.spec.Options
	one := func(replaces *Worker) bool {
		if c.processes >= o.MaxFork {
			return false
		}
		b, ok := p.newWorker(now)
		if !ok {
			return false
		}
		if b.w.replaces = replaces; replaces != nil {
			replaces.successor = b.w
		} else {
			c.live++
		}
		c.booting++
		c.processes++
		births = append(births, b)
		return true
	}
	for c.live < o.MinFork && one(nil) {
	}
	for i, w := range c.stale {
		if one(w) {
			continue
		}
		// max_fork is a hard limit: one after the other ends first and is replaced then.
		if c.draining == 0 && i == 0 {
			p.end(c, w)
		}
		break
	}
	waits := p.waiting() > 0 && c.idle == 0
	short := lasts(c.idle+c.booting < o.PreFork, &p.sv.short, now, min(shortLong, o.ForkDelay))
	long := lasts(waits && c.booting == 0, &p.sv.queued, now, queuedLong)
	if c.live == 0 && waits || (short || long) && now.Sub(p.sv.lastSpare) >= o.ForkDelay {
		if one(nil) {
			p.sv.lastSpare = now
		}
	}
	return births
}

// lasts reports whether something has been so for a span of time. since is what it remembers.
func lasts(so bool, since *time.Time, now time.Time, span time.Duration) bool {
	if !so {
		*since = time.Time{}
		return false
	}
	if since.IsZero() {
		*since = now
	}
	return now.Sub(*since) >= span
}

// shrink ends a worker if there have been more than needed for long enough.
func (p *Pool) shrink(c *census, now time.Time) {
	o := &p.spec.Options
	if !lasts(c.idle > o.PreFork && c.live > o.MinFork, &p.sv.surplus, now, o.ExitDelay) {
		return
	}
	p.sv.surplus = now
	// The youngest slot: the loops prefer to wake the others, whose caches are warm.
	for _, w := range slices.Backward(c.workers) {
		if w.state == Idle {
			p.end(c, w)
			return
		}
	}
}

// nextLook is when something may be due that nobody kicks for.
func (p *Pool) nextLook(c *census, now time.Time) time.Duration {
	o := &p.spec.Options
	next := time.Duration(0)
	at := func(t time.Time) {
		if d := max(t.Sub(now), time.Millisecond); next == 0 || d < next {
			next = d
		}
	}
	for _, w := range c.workers {
		switch {
		case w.condemned.Load() != nil || !w.deaf.IsZero() || w.state == Booting:
			at(now.Add(lookEvery))
		case !w.endBy.IsZero() && !w.killed:
			at(w.endBy)
		case w.state == Idle && o.IdleTimeout > 0:
			at(w.active.Add(o.IdleTimeout))
		}
	}
	if p.ending || !p.fertile() {
		return next
	}
	if now.Before(p.sv.errorUntil) {
		at(p.sv.errorUntil)
	} else if c.processes < o.MaxFork {
		for _, s := range []struct {
			since time.Time
			span  time.Duration
		}{{p.sv.short, min(shortLong, o.ForkDelay)}, {p.sv.queued, queuedLong}} {
			if due := s.since.Add(s.span); !s.since.IsZero() && due.After(p.sv.lastSpare.Add(o.ForkDelay)) {
				at(due)
			} else if !s.since.IsZero() {
				at(p.sv.lastSpare.Add(o.ForkDelay))
			}
		}
	}
	if !p.sv.surplus.IsZero() {
		at(p.sv.surplus.Add(o.ExitDelay))
	}
	return next
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
