package policy

import (
	"slices"
	"time"

	"moonbridge/handler/pool/listen"
)

// How many workers a pool should have is decided here, without a clock, a process or a lock: from the options, a census and
// the time, decide says what is to be done now, and when to ask again if nothing happens. Whatever is done shows in the next
// census, so that nothing has to be taken back when it fails.
//
// The rules, those that are more urgent first:
//
//   - There are never more processes than max_fork: those included that are about to end.
//   - After a birth that failed there is none for fork_error_delay, then for twice that, and so on up to birthPauseMax. The
//     first one then is a trial: the others follow when it is ready.
//   - Below min_fork workers are forked at once. So are those for workers that have died or left, if they are missed, and the
//     first one of a pool that has none, if somebody waits.
//   - Workers that are to be replaced go on until their successors are ready. At max_fork there is no room for that: there one
//     ends at a time, and not the last one that serves, unless max_fork is 1.
//   - With fewer than pre_fork idle workers, or with exchanges that wait, for lastsLong, one more worker is forked, and the
//     next one after fork_delay. What is over sooner is a burst, and the workers that are there get through it.
//   - With more than min_fork workers and more than pre_fork idle ones for exit_delay, one ends.

const (
	// SampleEvery is how often a pool with exchanges in progress samples which of its workers are idle.
	SampleEvery = 25 * time.Millisecond
	// lastsLong is for how long there have to be too few idle workers, or waiting exchanges, before a worker is forked for
	// that, unless fork_delay is shorter. Who is idle is seen in samples, every SampleEvery: several of them agree then.
	lastsLong = 100 * time.Millisecond
	// lastsShort is the same if there is no fork_delay: a worker that has just become ready looks busy for a moment.
	lastsShort = 10 * time.Millisecond
	// birthPauseMin is the shortest pause after a birth that failed, whatever fork_error_delay is.
	birthPauseMin = 10 * time.Millisecond
	// birthPauseMax bounds the pause, unless fork_error_delay is longer.
	birthPauseMax = 30 * time.Second
)

// policy is what is remembered from one decision to the next. Zero: of a pool that begins.
type Policy struct {
	Failing bool      // no worker has become ready since a birth failed
	series  int       // births that failed in a row, those after one pause together counted once
	Hold    time.Time // no fork before
	owed    int       // workers that have died or left, and were not replaced yet

	lastSpare time.Time // fork of a worker that is not for another one
	short     time.Time // since when fewer than pre_fork workers are idle; zero: not so
	queued    time.Time // since when exchanges wait and nobody is idle; zero: not so
	surplus   time.Time // since when there are more workers than needed; zero: there are not
}

// decision is what is to be done.
type Decision struct {
	Fork    int       // so many new workers
	Replace []int     // members that a worker is forked for, which ends them when it is ready
	End     []int     // members that are to end now
	Next    time.Time // ask again then, or when something happens; zero: only then
}

// at has the policy be asked again at t, if not sooner.
func (d *Decision) at(t time.Time) {
	if d.Next.IsZero() || t.Before(d.Next) {
		d.Next = t
	}
}

// failed: a fork has failed, or a worker has died at birth.
func (y *Policy) Failed(o *listen.Options, now time.Time) {
	if !now.Before(y.Hold) {
		y.series++
	}
	y.Failing = true
	if hold := now.Add(birthPause(o.ForkErrorDelay, y.series)); hold.After(y.Hold) {
		y.Hold = hold
	}
}

// birthPause is the pause after the last one of a series of births that failed.
func birthPause(delay time.Duration, series int) time.Duration {
	delay = max(delay, birthPauseMin)
	for ; series > 1 && delay < birthPauseMax; series-- {
		delay = min(2*delay, birthPauseMax)
	}
	return delay
}

// ready: a worker has become ready.
func (y *Policy) Ready() { y.Failing, y.series = false, 0 }

// lost: a worker has ended, or was not born, that nobody else was to replace.
func (y *Policy) Lost() { y.owed++ }

// renewed: there is another fork server, with another state of the script: what failed may not fail any more.
func (y *Policy) Renewed() { y.Hold = time.Time{} }

// refuses reports whether exchanges are not to be taken: nobody serves, and nobody is about to, as far as can be known. If
// nobody is even on trial, the next exchange is taken, and has one forked.
func (y *Policy) Refuses(c *Census, now time.Time) bool {
	return c.serving == 0 && (c.NoForkServer || y.Failing && (now.Before(y.Hold) || c.booting > 0))
}

// decide is the policy. The census is changed to what it will be.
func (y *Policy) Decide(o *listen.Options, now time.Time, c *Census) (d Decision) {
	y.leave(c, &d)
	y.retire(o, now, c, &d)
	y.remember(o, now, c)
	if c.NoForkServer {
		return d // those that are there are precious
	}
	if now.Before(y.Hold) {
		d.at(y.Hold)
		return d
	}
	y.need(o, c, &d)
	y.succeed(o, c, &d)
	y.grow(o, now, c, &d)
	y.shrink(o, now, c, &d)
	return d
}

// leave ends the workers that take nothing more.
func (y *Policy) leave(c *Census, d *Decision) {
	for i, m := range c.members {
		if m.State.Serving() && m.Leaving {
			if !m.Followed {
				y.owed++
			}
			d.End = append(d.End, i)
			c.ended(i)
		}
	}
}

// retire ends the workers that have been idle for too long, but those that the pool has to have are replaced.
func (y *Policy) retire(o *listen.Options, now time.Time, c *Census, d *Decision) {
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

// surplus reports whether the pool can do with one worker fewer. Whether those that boot will be there is not known yet.
func (c *Census) surplus(o *listen.Options) bool {
	return c.idle > o.PreFork && c.live-c.booting-c.unknown > o.MinFork
}

// remember notes since when what lasts has been so.
func (y *Policy) remember(o *listen.Options, now time.Time, c *Census) {
	since := func(t *time.Time, is bool) {
		switch {
		case !is:
			*t = time.Time{}
		case t.IsZero():
			*t = now
		}
	}
	since(&y.short, c.idle+c.booting < o.PreFork)
	since(&y.queued, c.Waiting > c.booting && c.idle == 0)
	since(&y.surplus, c.surplus(o))
}

// room is how many workers may be forked now.
func (y *Policy) room(o *listen.Options, c *Census) int {
	n := o.MaxFork - c.processes
	if y.Failing {
		n = min(n, 1-c.booting) // a trial
	}
	return max(n, 0)
}

// fork adds a worker that is not to replace a member.
func (c *Census) fork(d *Decision) {
	d.Fork++
	c.forked(-1)
}

// need forks what must be there at once.
func (y *Policy) need(o *listen.Options, c *Census, d *Decision) {
	y.owed = min(y.owed, o.MaxFork)
	for c.live < o.MinFork && y.room(o, c) > 0 {
		c.fork(d)
		y.owed--
	}
	missed := func() bool { return c.idle+c.booting < o.PreFork || c.Waiting > c.booting && c.idle == 0 }
	for y.owed > 0 && missed() && y.room(o, c) > 0 {
		c.fork(d)
		y.owed--
	}
	y.owed = max(y.owed, 0)
	if !missed() {
		y.owed = 0
	}
	if c.live == 0 && c.Waiting > 0 && y.room(o, c) > 0 {
		c.fork(d)
	}
}

// succeed replaces the members that are stale.
func (y *Policy) succeed(o *listen.Options, c *Census, d *Decision) {
	for i, m := range c.members {
		if !m.State.Serving() || !m.Stale || m.Followed {
			continue
		}
		if y.room(o, c) == 0 {
			y.succeedInPlace(o, c, d)
			return
		}
		d.Replace = append(d.Replace, i)
		c.forked(i)
	}
}

// succeedInPlace ends one of the stale members, at max_fork, so that there is room for another worker: one that is idle
// if there is one.
func (y *Policy) succeedInPlace(o *listen.Options, c *Census, d *Decision) {
	full := c.processes >= o.MaxFork && c.processes == c.serving // nobody is about to go, or to come: the others go on serving
	if !full || y.Failing {
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
	y.owed++
}

// grow forks a worker if spare ones are missing, or exchanges wait, for long enough.
func (y *Policy) grow(o *listen.Options, now time.Time, c *Census, d *Decision) {
	y.remember(o, now, c) // as it is after what was decided above
	if y.short.IsZero() && y.queued.IsZero() || y.room(o, c) == 0 {
		return
	}
	since := y.short
	if since.IsZero() || !y.queued.IsZero() && y.queued.Before(since) {
		since = y.queued
	}
	due := since.Add(min(lastsLong, max(o.ForkDelay, lastsShort)))
	if pause := y.lastSpare.Add(o.ForkDelay); !y.lastSpare.IsZero() && pause.After(due) {
		due = pause
	}
	if now.Before(due) {
		d.at(due)
		return
	}
	c.fork(d)
	y.lastSpare = now
	y.remember(o, now, c)
	if !y.short.IsZero() || !y.queued.IsZero() {
		d.at(now.Add(max(o.ForkDelay, lastsShort)))
	}
}

// shrink ends a worker if there have been more than needed for long enough: one that would have to be replaced if there is
// such a one, else the last one, since loops prefer to wake the others, whose caches are warm.
func (y *Policy) shrink(o *listen.Options, now time.Time, c *Census, d *Decision) {
	if !c.surplus(o) {
		y.surplus = time.Time{}
	}
	if y.surplus.IsZero() {
		return
	}
	if due := y.surplus.Add(o.ExitDelay); now.Before(due) {
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
		return // those that are idle are about to go
	}
	y.surplus = now
	d.End = append(d.End, last)
	c.ended(last)
	if c.surplus(o) {
		d.at(now.Add(o.ExitDelay))
	}
}
