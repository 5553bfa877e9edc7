package policy

import (
	"slices"
	"time"

	"moonbridge/handler/pool/listen"
)

// How many workers a pool should have is decided here, without a clock, a process or a lock. From the options, a census and
// the time, Decide says what is to be done now, and when to ask again if nothing happens. What has been done shows in the
// next census, so nothing has to be undone when it fails.
//
// The rules, the more urgent first:
//
//   - There are never more processes than max_fork, including those that are about to end.
//   - When a worker has failed to start, none is forked for fork_error_delay, then for twice that, and so on up to
//     startPauseMax. The first one after the pause is a trial: the others follow when it is ready.
//   - Below min_fork workers are forked at once. So are replacements for workers that have died or left, if they are missed,
//     and the first worker of a pool that has none, if an exchange waits.
//   - Workers that are to be replaced go on until their successors are ready. At max_fork there is no room for that: there they
//     end one at a time, and never the last one that serves, unless max_fork is 1.
//   - When for lastsLong fewer than pre_fork workers are idle, or exchanges wait, one more worker is forked, and the next one
//     after fork_delay. A shorter shortage is a burst, which the existing workers get through. While exchanges wait, a pool
//     with a short fork_delay doubles with each step.
//   - When for exit_delay there are more than min_fork workers, and more than pre_fork of them are idle, one ends.

const (
	// SampleEvery is how often a pool with exchanges in progress samples which of its workers are idle.
	SampleEvery = 25 * time.Millisecond
	// lastsLong is how long idle workers have to be too few, or exchanges have to wait, before a worker is forked for that,
	// unless fork_delay is shorter. Idle workers are seen in samples, every SampleEvery: several samples agree then.
	lastsLong = 100 * time.Millisecond
	// lastsShort is the same if there is no fork_delay: a worker that has just become ready looks busy for a moment.
	lastsShort = 10 * time.Millisecond
	// doublesUpTo is the longest fork_delay with which a pool doubles while exchanges wait. It is the default.
	doublesUpTo = 250 * time.Millisecond
	// startPauseMin is the shortest pause after a worker has failed to start, whatever fork_error_delay is.
	startPauseMin = 10 * time.Millisecond
	// startPauseMax bounds the pause, unless fork_error_delay is longer.
	startPauseMax = 30 * time.Second
)

// Policy is what is remembered from one decision to the next. The zero value is that of a new pool.
type Policy struct {
	Failing bool      // no worker has become ready since one failed to start
	series  int       // failures to start in a row; those after the same pause count once
	Hold    time.Time // no fork before
	owed    int       // workers that have died or left and have not been replaced

	lastSpare time.Time // fork of a worker that is not for another one
	short     time.Time // since when fewer than pre_fork workers are idle; zero: not so
	queued    time.Time // since when exchanges wait and no worker is idle; zero: not so
	surplus   time.Time // since when there are more workers than needed; zero: there are not
}

// Decision is what is to be done.
type Decision struct {
	Fork    int       // number of new workers
	Replace []int     // members that need a successor; a successor ends its member when it is ready
	End     []int     // members that are to end now
	Next    time.Time // when to ask again if nothing happens; zero: never
}

// at has the policy be asked again at t, if not sooner.
func (d *Decision) at(t time.Time) {
	if d.Next.IsZero() || t.Before(d.Next) {
		d.Next = t
	}
}

// Failed: a fork has failed, or a worker has died before it was ready.
func (p *Policy) Failed(o *listen.Options, now time.Time) {
	if !now.Before(p.Hold) {
		p.series++
	}
	p.Failing = true
	if hold := now.Add(startPause(o.ForkErrorDelay, p.series)); hold.After(p.Hold) {
		p.Hold = hold
	}
}

// startPause is the pause after the last of a series of failures to start.
func startPause(delay time.Duration, series int) time.Duration {
	delay = max(delay, startPauseMin)
	for ; series > 1 && delay < startPauseMax; series-- {
		delay = min(2*delay, startPauseMax)
	}
	return delay
}

// Ready: a worker has become ready.
func (p *Policy) Ready() { p.Failing, p.series = false, 0 }

// Lost: a worker has ended, or has failed to start, and no other one was to replace it.
func (p *Policy) Lost() { p.owed++ }

// Renewed: there is a new fork server, with a new state of the script. What has failed may work now.
func (p *Policy) Renewed() { p.Hold = time.Time{} }

// Refuses reports whether exchanges are to be refused: no worker serves, and as far as can be known none will soon. When the
// pause is over and no worker is on trial, the next exchange is taken, so that one is forked for it.
func (p *Policy) Refuses(c *Census, now time.Time) bool {
	return c.serving == 0 && (c.NoForkServer || p.Failing && (now.Before(p.Hold) || c.booting > 0))
}

// Decide is the policy. It changes the census to what it will be when the decision has been carried out.
func (p *Policy) Decide(o *listen.Options, now time.Time, c *Census) (d Decision) {
	p.leave(c, &d)
	p.retire(o, now, c, &d)
	p.remember(o, now, c)
	if c.NoForkServer {
		return d // there will be no others: none is ended
	}
	if now.Before(p.Hold) {
		d.at(p.Hold)
		return d
	}
	p.need(o, c, &d)
	p.succeed(o, c, &d)
	p.grow(o, now, c, &d)
	p.shrink(o, now, c, &d)
	return d
}

// leave ends the workers that have decided to take nothing more.
func (p *Policy) leave(c *Census, d *Decision) {
	for i, m := range c.members {
		if m.State.Serving() && m.Leaving {
			if !m.Followed {
				p.owed++
			}
			d.End = append(d.End, i)
			c.ended(i)
		}
	}
}

// retire ends the workers that have been idle for too long. Those that the pool needs are replaced instead.
func (p *Policy) retire(o *listen.Options, now time.Time, c *Census, d *Decision) {
	if o.IdleTimeout <= 0 {
		return
	}
	for i := range c.members {
		m := &c.members[i]
		if m.State != Idle || m.Followed || m.Stale {
			continue
		}
		switch due := m.IdleFrom.Add(o.IdleTimeout); {
		case now.Before(due):
			d.at(due)
		case c.surplus(o):
			d.End = append(d.End, i)
			c.ended(i)
		default:
			m.Stale = true
		}
	}
}

// surplus reports whether the pool can do with one worker fewer. Booting workers do not count: they may never serve.
func (c *Census) surplus(o *listen.Options) bool {
	return c.idle > o.PreFork && c.live-c.booting-c.unknown > o.MinFork
}

// remember notes since when each condition that has to last has been true.
func (p *Policy) remember(o *listen.Options, now time.Time, c *Census) {
	since := func(t *time.Time, is bool) {
		switch {
		case !is:
			*t = time.Time{}
		case t.IsZero():
			*t = now
		}
	}
	since(&p.short, c.idle+c.booting < o.PreFork)
	since(&p.queued, c.Waiting > c.booting && c.idle == 0)
	since(&p.surplus, c.surplus(o))
}

// room is how many workers may be forked now.
func (p *Policy) room(o *listen.Options, c *Census) int {
	n := o.MaxFork - c.processes
	if p.Failing {
		n = min(n, 1-c.booting) // a trial
	}
	return max(n, 0)
}

// fork decides on a new worker that does not replace a member.
func (c *Census) fork(d *Decision) {
	d.Fork++
	c.forked(-1)
}

// need forks the workers that are needed at once.
func (p *Policy) need(o *listen.Options, c *Census, d *Decision) {
	p.owed = min(p.owed, o.MaxFork)
	for c.live < o.MinFork && p.room(o, c) > 0 {
		c.fork(d)
		p.owed--
	}
	missed := func() bool { return c.idle+c.booting < o.PreFork || c.Waiting > c.booting && c.idle == 0 }
	for p.owed > 0 && missed() && p.room(o, c) > 0 {
		c.fork(d)
		p.owed--
	}
	p.owed = max(p.owed, 0)
	if !missed() {
		p.owed = 0
	}
	if c.live == 0 && c.Waiting > 0 && p.room(o, c) > 0 {
		c.fork(d)
	}
}

// succeed replaces the members that are stale.
func (p *Policy) succeed(o *listen.Options, c *Census, d *Decision) {
	for i, m := range c.members {
		if !m.State.Serving() || !m.Stale || m.Followed {
			continue
		}
		if p.room(o, c) == 0 {
			p.succeedInPlace(o, c, d)
			return
		}
		d.Replace = append(d.Replace, i)
		c.forked(i)
	}
}

// succeedInPlace ends one of the stale members, at max_fork, to make room for another worker. An idle one is preferred.
func (p *Policy) succeedInPlace(o *listen.Options, c *Census, d *Decision) {
	full := c.processes >= o.MaxFork && c.processes == c.serving // none is about to end or to start: the others go on serving
	if !full || p.Failing {
		return
	}
	worst := -1
	for i, m := range c.members {
		if m.State.Serving() && m.Stale && !m.Followed && (worst < 0 || m.State == Idle && c.members[worst].State == Busy) {
			worst = i
		}
	}
	d.End = append(d.End, worst)
	c.ended(worst)
	p.owed++
}

// grow forks a worker if for long enough spare ones have been missing, or exchanges have waited.
func (p *Policy) grow(o *listen.Options, now time.Time, c *Census, d *Decision) {
	p.remember(o, now, c) // including what was decided above
	if p.short.IsZero() && p.queued.IsZero() || p.room(o, c) == 0 {
		return
	}
	since := p.short
	if since.IsZero() || !p.queued.IsZero() && p.queued.Before(since) {
		since = p.queued
	}
	due := since.Add(min(lastsLong, max(o.ForkDelay, lastsShort)))
	if pause := p.lastSpare.Add(o.ForkDelay); !p.lastSpare.IsZero() && pause.After(due) {
		due = pause
	}
	if now.Before(due) {
		d.at(due)
		return
	}
	for range p.step(o, c) {
		c.fork(d)
	}
	p.lastSpare = now
	p.remember(o, now, c)
	if !p.short.IsZero() || !p.queued.IsZero() {
		d.at(now.Add(max(o.ForkDelay, lastsShort)))
	}
}

// step is how many workers grow forks at once: one, or as many as exchanges wait for, but no more than there are. So a pool
// that is much too small doubles with each step. A script with a longer fork_delay wants it to grow slowly.
func (p *Policy) step(o *listen.Options, c *Census) int {
	if p.queued.IsZero() || o.ForkDelay > doublesUpTo {
		return 1
	}
	return min(max(1, min(c.Waiting-c.booting, c.live)), p.room(o, c))
}

// shrink ends a worker if for long enough there have been more than needed. It prefers one that would have to be replaced,
// then the last one: loops prefer to wake the others, whose caches are warm.
func (p *Policy) shrink(o *listen.Options, now time.Time, c *Census, d *Decision) {
	if !c.surplus(o) {
		p.surplus = time.Time{}
	}
	if p.surplus.IsZero() {
		return
	}
	if due := p.surplus.Add(o.ExitDelay); now.Before(due) {
		d.at(due)
		return
	}
	last := -1
	for i, m := range slices.Backward(c.members) {
		if m.State == Idle && !m.Followed && (last < 0 || m.Stale && !c.members[last].Stale) {
			last = i
		}
	}
	if last < 0 {
		return // the idle ones are being replaced
	}
	p.surplus = now
	d.End = append(d.End, last)
	c.ended(last)
	if c.surplus(o) {
		d.at(now.Add(o.ExitDelay))
	}
}
