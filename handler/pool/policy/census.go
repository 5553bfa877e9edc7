package policy

import "time"

// member is what the policy knows of one worker.
type Member struct {
	State    State     // Gone: it is not reclaimed yet, and whether its birth has failed is not known
	IdleFrom time.Time // Idle: since when
	Stale    bool      // serving: it is to be replaced
	Leaving  bool      // serving: it takes nothing more, by its own decision
	Followed bool      // serving: a worker was forked to replace it
}

// census is who is there, and who waits.
type Census struct {
	members      []Member
	Waiting      int  // exchanges in queues
	NoForkServer bool // nobody is there who could fork

	// Sums over the members.
	booting, idle, serving int
	live                   int // workers that count as the pool's: a worker and its successor count once
	unknown                int // that have ended before they were ready
	processes              int // that max_fork counts
}

// reset makes the census empty.
func (c *Census) Reset() { *c = Census{members: c.members[:0]} }

// count adds a member.
func (c *Census) Count(m Member) {
	c.members = append(c.members, m)
	c.processes++
	switch {
	case m.State == Booting:
		c.booting++
		c.live++
	case m.State == Gone:
		c.unknown++
		c.live++ // it is not replaced before it is known whether that was an error
	case m.State.Serving():
		c.serving++
		if m.State == Idle {
			c.idle++
		}
		if !m.Followed {
			c.live++
		}
	}
}

// ended counts a serving member as draining.
func (c *Census) ended(i int) {
	m := &c.members[i]
	if m.State == Idle {
		c.idle--
	}
	if !m.Followed {
		c.live--
	}
	c.serving--
	m.State = Draining
}

// forked counts one more worker; replaces is the member that it is to replace, or -1.
func (c *Census) forked(replaces int) {
	c.processes++
	c.booting++
	if replaces < 0 {
		c.live++
		return
	}
	c.members[replaces].Followed = true
}
