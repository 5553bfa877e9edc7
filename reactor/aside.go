package reactor

import (
	"time"
)

// Work that may take long, or wait, has no place on a loop. But passing it to another goroutine and its result back costs more than
// most of it does: a thread that is woken, and the loop that is woken again. So a loop runs such work itself between two events, as
// long as it is short, and another goroutine becomes the loop if it is not. The goroutine with the work then ends when the work does.
//
// Who runs the loop says its duty. Three may change that while work runs: the goroutine of the work, when it has returned; the standby,
// a goroutine that looks every standbyPeriod whether the same work still runs; and whoever the work has told that it will wait (Relieve).
// One of them succeeds. What belongs to the loop belongs to the goroutine that leads.

// Aside is work that may take long.
type Aside interface {
	// Run does it. stint is for Relieve; 0: it runs on a goroutine of its own, because work before it has taken long, or the loop has ended.
	Run(stint uint64)
	// Back is called on the loop when Run has returned. took is how long that was, and own how long the loop was at work of its own
	// since the work before.
	Back(took, own time.Duration)
	// Away is called in place of Back if another goroutine has become the loop meanwhile, on the goroutine of Run.
	Away(took time.Duration)
}

// asidesAtOnce is how many pieces of work are collected from the events of a turn before they are done: more would fill the
// processor's cache before the first one goes on.
const asidesAtOnce = 8

const (
	// standbyPeriod: work holds up the loop for up to twice as long, or until Go's scheduler takes away its processor after 10 ms, if it
	// computes and no other one is free.
	standbyPeriod = time.Millisecond
	// standbyRounds is for how many periods without work the standby keeps looking.
	standbyRounds = 64
)

// The duty of a loop is one of these, and above them a number that is different for each piece of work: the stint.
const (
	dutyLeading = iota // its goroutine runs the loop
	dutyAside          // its goroutine runs work
	dutyVacant         // a goroutine that will run the loop is on its way
	dutyMask    = 3
	dutyStep    = 4
)

// Aside makes the loop run a after some of the events of this turn. It returns false if the loop cannot: its goroutine is locked to a
// thread, or the system is not Linux.
func (l *Loop) Aside(a Aside) bool {
	if l.batch || !batchesKnown {
		return false
	}
	l.asides = append(l.asides, a)
	return true
}

// Relieve makes another goroutine the loop, if the work that this stint was given to still holds it up. Work calls it before it waits for
// the loop. Any goroutine may.
func (l *Loop) Relieve(stint uint64) {
	if stint != 0 && l.vacate(stint) {
		go l.lead()
	}
}

func (l *Loop) vacate(stint uint64) bool {
	return l.duty.CompareAndSwap(stint, stint&^dutyMask|dutyVacant)
}

// Leading reports whether the loop's goroutine runs the loop, and not work.
func (l *Loop) Leading() bool { return l.duty.Load()&dutyMask == dutyLeading }

// lead runs the loop until it ends, or until another goroutine leads.
func (l *Loop) lead() {
	if l.led != nil {
		l.led()
	}
	l.duty.Store(l.duty.Load()&^dutyMask | dutyLeading)
	if l.turning {
		l.now = l.Clock()
	}
	lost := !l.runAsides()
	event := func(fd int, got Readiness) (stop bool) {
		stop = l.event(fd, got)
		if !stop && len(l.asides)-l.aside >= asidesAtOnce {
			lost = !l.runAsides()
		}
		return stop || lost
	}
	batchDone := func() (stop, again bool) {
		if lost = !l.runAsides(); lost {
			return true, false
		}
		stop, again = l.batchDone()
		return stop, again || len(l.asides) > 0
	}
	var err error
	if !lost {
		err = l.poller.run(event, batchDone)
	}
	if !lost {
		l.end()
		l.done <- err
	}
}

// runAsides runs the work that there is. It returns false if another goroutine has become the loop.
func (l *Loop) runAsides() (leads bool) {
	if len(l.asides) == 0 {
		return true
	}
	if l.callers {
		// Work may end its goroutine (runtime.Goexit). The caller of Run should not be the one.
		l.callers = false
		l.duty.Store(l.duty.Load()&^dutyMask | dutyVacant)
		go l.lead()
		return false
	}
	if !l.standing {
		l.standing = true
		go l.standby()
	}
	for l.aside < len(l.asides) {
		a := l.asides[l.aside]
		l.asides[l.aside] = nil
		l.aside++
		if !l.runAside(a) {
			return false
		}
	}
	l.asides, l.aside = l.asides[:0], 0
	return true
}

// runAside runs a. It returns false if another goroutine has become the loop.
func (l *Loop) runAside(a Aside) (leads bool) {
	stint := l.duty.Load()&^dutyMask + dutyStep + dutyAside
	l.duty.Store(stint)
	if l.resting.Load() {
		l.rouse()
	}
	returned, began := false, l.Clock()
	defer func() {
		if !returned { // runtime.Goexit
			l.Relieve(stint)
			a.Away(time.Duration(l.Clock() - began))
		}
	}()
	a.Run(stint)
	returned = true
	ended := l.Clock()
	if !l.duty.CompareAndSwap(stint, stint&^dutyMask|dutyLeading) {
		a.Away(time.Duration(ended - began))
		return false
	}
	own := began - max(l.worked, l.now)
	l.worked = ended
	l.begin()
	a.Back(time.Duration(ended-began), time.Duration(own))
	return true
}

// leaveAsides has goroutines of their own run the work that has not begun.
func (l *Loop) leaveAsides() {
	for _, a := range l.asides[l.aside:] {
		go func() {
			defer a.Away(0) // even after runtime.Goexit
			a.Run(0)
		}()
	}
	clear(l.asides)
	l.asides, l.aside = l.asides[:0], 0
}

// standby takes the place of the loop's goroutine if that has been with the same work for too long, and ends when the loop does.
func (l *Loop) standby() {
	tick := time.NewTicker(l.standbyPeriod)
	defer tick.Stop()
	for last, same := uint64(0), 0; ; {
		select {
		case <-l.gone:
			return
		case <-tick.C:
		}
		duty := l.duty.Load()
		switch {
		case duty != last:
			last, same = duty, 0
		case duty&dutyMask == dutyAside:
			if l.vacate(duty) {
				l.standing = false
				l.leaveAsides() // what waits beside work that takes long may take long, too: each would hold up the loop in turn
				l.lead()
				return
			}
		default:
			if same++; same >= l.standbyRounds {
				same = 0
				tick.Stop()
				l.rest(last)
				tick.Reset(l.standbyPeriod)
			}
		}
	}
}

// rest waits until there is work, or the loop ends.
func (l *Loop) rest(last uint64) {
	l.resting.Store(true)
	if l.duty.Load() != last && l.resting.CompareAndSwap(true, false) {
		return
	}
	select {
	case <-l.roused:
	case <-l.gone:
	}
}

// rouse ends rest.
func (l *Loop) rouse() {
	if l.resting.CompareAndSwap(true, false) {
		l.roused <- struct{}{}
	}
}
