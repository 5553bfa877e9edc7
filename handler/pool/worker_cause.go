package pool

import "strings"

// causesMax bounds the causes of ends that are told apart.
const causesMax = 64

// cause says why the worker has ended, in words of which there are few. ending: the pool is.
func (w *Worker) cause(ending bool) string {
	if why := w.fault.Load(); why != nil {
		return faultCause(*why)
	}
	switch {
	case !w.exit.expected && w.exit.killed && !w.exit.crashed() && ending:
		return "killed at the end"
	case !w.exit.expected && w.exit.killed && !w.exit.crashed():
		return "did not end"
	case !w.exit.expected:
		return w.exit.how()
	case ending:
		return "stopped"
	case w.retired.Load():
		return "retired"
	case w.succession.stale:
		return "replaced"
	}
	return "surplus"
}

// faultCause is the kind of reason that a worker was killed for.
func faultCause(why string) string {
	for _, kind := range []string{"request_timeout", "on_client_gone"} {
		if strings.HasPrefix(why, kind) {
			return kind
		}
	}
	return "broken protocol"
}

// countEnd counts the end of a worker by its cause.
func (c *counts) countEnd(cause string) {
	if c.ends == nil {
		c.ends = make(map[string]uint64)
	}
	if _, known := c.ends[cause]; !known && len(c.ends) >= causesMax {
		cause = "other"
	}
	c.ends[cause]++
}
