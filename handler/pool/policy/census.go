package policy

import "time"

// Member is what the policy knows of one worker.
type Member struct {
	State    State     // Gone: its cells are not reclaimed, and whether it failed to start is not known yet
	IdleFrom time.Time // Idle: since when
	Stale    bool      // serving: it is to be replaced
	Leaving  bool      // serving: it has decided to take nothing more
	Followed bool      // serving: its successor has been forked
}

// Census is the workers that there are, and the exchanges that wait for them.
type Census struct {
	members      []Member
	Waiting      int  // exchanges in queues
	NoForkServer bool // no worker can be forked

	// Sums over the members.
	booting, idle, serving int
	live                   int // workers that count as the pool's: a worker and its successor count once
	unknown                int // members that ended before they were ready
	processes              int // members that count towards max_fork
}

// Reset makes the census empty.
func (c *Census) Reset() { *c = Census{members: c.members[:0]} }

// Count adds a member.
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
