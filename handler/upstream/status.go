package upstream

import (
	"math"
	"time"
)

// TargetStatus is a target as it is at present.
type TargetStatus struct {
	Target   Target
	Up       bool
	Why      string        // it is not up: "failed", "on trial" or "check failed"
	Active   int           // requests in progress
	Requests uint64        // requests that are over, without those that were given up for reasons of the client or the proxy
	Failures uint64        // those of them that have failed
	Latency  time.Duration // with PeakEWMA: the moving average, as it was at the last response
	// Conns are the connections to it, by the index of their loop: unused ones, those of health checks, and those that are being closed, too.
	// It is as long as the highest index of a loop that has had one. Loops of several engines with the same index are counted together.
	Conns []int
}

// Status returns the state of all targets.
func (s *Set) Status() []TargetStatus {
	var list []TargetStatus
	for _, v := range s.Servers() {
		list = append(list, v.status(s.now()))
	}
	return list
}

func (v *Server) status(now int64) TargetStatus {
	t := TargetStatus{
		Target: Target{
			Addr: v.addr, Name: v.name, Weight: int(v.weight.Load()), Slots: int(v.slots.Load()), Backup: v.backup.Load(),
		},
		Active:   v.Active(),
		Requests: v.requests.Load(),
		Failures: v.failures.Load(),
		Latency:  time.Duration(math.Float64frombits(v.latency.value.Load())),
		Conns:    v.conns.all(),
	}
	until := v.health.outUntil.Load()
	switch {
	case v.checks.down.Load():
		t.Why = "check failed"
	case until != 0 && now < until:
		t.Why = "failed"
	case until != 0:
		t.Why = "on trial"
	default:
		t.Up = true
	}
	return t
}

// Waiting is the number of requests in the queue.
func (s *Set) Waiting() int { return int(s.queue.waiting.Load()) }
