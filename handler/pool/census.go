package pool

import "time"

// member is what the policy knows of one worker.
type member struct {
	state    State     // Gone: it is not reclaimed yet, and whether its birth has failed is not known
	idleFrom time.Time // Idle: since when
	stale    bool      // serving: it is to be replaced
	leaving  bool      // serving: it takes nothing more, by its own decision
	followed bool      // serving: a worker was forked to replace it
}

// census is who is there, and who waits.
type census struct {
	members []member
	waiting int  // exchanges in queues
	barren  bool // nobody is there who could fork

	// Sums over the members.
	booting, idle, serving int
	live                   int // workers that count as the pool's: a worker and its successor count once
	unknown                int // that have ended before they were ready
	processes              int // that max_fork counts
}

// reset makes the census empty.
func (c *census) reset() { *c = census{members: c.members[:0]} }

// count adds a member.
func (c *census) count(m member) {
	c.members = append(c.members, m)
	c.processes++
	switch {
	case m.state == Booting:
		c.booting++
		c.live++
	case m.state == Gone:
		c.unknown++
		c.live++ // it is not replaced before it is known whether that was an error
	case m.state.serving():
		c.serving++
		if m.state == Idle {
			c.idle++
		}
		if !m.followed {
			c.live++
		}
	}
}

// ended counts a serving member as draining.
func (c *census) ended(i int) {
	m := &c.members[i]
	if m.state == Idle {
		c.idle--
	}
	if !m.followed {
		c.live--
	}
	c.serving--
	m.state = Draining
}

// forked counts one more worker; replaces is the member that it is to replace, or -1.
func (c *census) forked(replaces int) {
	c.processes++
	c.booting++
	if replaces < 0 {
		c.live++
		return
	}
	c.members[replaces].followed = true
}
