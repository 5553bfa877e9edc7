package pool

import (
	"context"
	"time"
)

// When a new process replaces this one, it must not begin a tick of a timer while this one is running a tick of it. The new
// process calls Await before it starts a host. The old one calls HandOver when the new one serves, and passes on what is
// reported. The new one passes each report to Hear, calls Known after those that were made by HandOver itself, and Gone when
// the old process has ended.

// TimerState is what one process reports to another of a timer.
type TimerState struct {
	TimerID
	Due     int64 // CLOCK_MONOTONIC, in nanoseconds: when the running tick, or else the next one, was or is due; 0: unknown
	Running bool  // a tick is running
	Ended   bool  // the tick that was due at Due has ended
}

func (r *rhythm) state(id TimerID) TimerState {
	return TimerState{TimerID: id, Due: r.due, Running: r.running || r.foreign, Ended: r.ended}
}

// HandOver ends the timers of this process: no further tick begins. report is called for each timer, and again for each that
// was running when its tick has ended. It is called by several goroutines, including loops, and must not block. A tick that
// waits for a worker is taken back: this process may have none left for it.
func (in *Intervals) HandOver(report func(TimerState)) {
	in.mu.Lock()
	in.report = report
	var running []*interval
	for id, r := range in.rhythms {
		report(r.state(id))
		if r.running {
			running = append(running, r.owner())
		}
	}
	in.mu.Unlock()
	for _, t := range running {
		if t != nil {
			t.l.on.Post(t.l.takeBackTicks)
		}
	}
}

// Quiet waits until no tick is running in this process, or in one that it has replaced, or until ctx ends.
func (in *Intervals) Quiet(ctx context.Context) {
	for in.running() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollEvery):
		}
	}
}

func (in *Intervals) running() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, r := range in.rhythms {
		if r.running || r.foreign {
			return true
		}
	}
	return false
}

// Await keeps all ticks from beginning until Known or Gone is called.
func (in *Intervals) Await() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.waiting = true
}

// Hear notes what the process that ran the timers before this one reports.
func (in *Intervals) Hear(s TimerState) {
	in.mu.Lock()
	r := in.rhythm(s.TimerID)
	r.foreign, r.due, r.ended = s.Running, s.Due, s.Ended
	in.settle(s.TimerID, r)
}

// Known notes that every timer of the other process has been heard of.
func (in *Intervals) Known() {
	in.mu.Lock()
	in.waiting = false
	in.mu.Unlock()
	in.wakeAll()
}

// Gone notes that the other process has ended, and all its ticks with it.
func (in *Intervals) Gone() {
	in.mu.Lock()
	in.waiting = false
	report := in.report
	var ended []TimerState
	for id, r := range in.rhythms {
		if r.foreign {
			r.foreign, r.ended = false, true
			ended = append(ended, r.state(id))
			in.forget(id)
		}
	}
	in.mu.Unlock()
	for _, s := range ended {
		if report != nil {
			report(s)
		}
	}
	in.wakeAll()
}

// Foreign reports whether ticks may be running in the process that ran the timers before this one.
func (in *Intervals) Foreign() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, r := range in.rhythms {
		if r.foreign {
			return true
		}
	}
	return in.waiting
}

// wakeAll wakes whatever runs a timer.
func (in *Intervals) wakeAll() {
	in.mu.Lock()
	var owners []*interval
	for _, r := range in.rhythms {
		owners = append(owners, r.owner())
	}
	in.mu.Unlock()
	for _, t := range owners {
		t.wake()
	}
}
