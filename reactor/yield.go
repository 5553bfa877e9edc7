package reactor

import (
	"runtime"
	"time"
)

// yieldEvery is how long a busy loop keeps its processor of Go's scheduler. It has to be well below the 10 ms after which the
// scheduler would take it away.
const yieldEvery = int64(5 * time.Millisecond)

// parkedYieldEvery is the same for a loop that parks. Its processor is the only one: other goroutines run only when it yields.
const parkedYieldEvery = int64(time.Millisecond)

// goYield is runtime.Gosched; a test counts its calls.
var goYield = runtime.Gosched

// yield lets Go's scheduler see from time to time that the loop has not been in one place all the time. Called after each turn, it
// yields once in l.yieldEvery.
//
// For the scheduler, a loop is a goroutine that never ends its time slice. After 10 ms it interrupts the goroutine by a signal, or
// takes the processor from a thread that waits for events, even if it has waited for a few microseconds only. After that, it looks
// every 20 µs for a while whether it should do so again. Its thread (sysmon) then took 10 to 25 % of the CPU time of a busy server.
// A goroutine that has yielded within the last 10 ms is left alone.
func (l *Loop) yield() {
	k := l.poller.parking
	if k != nil && k.hasParked() {
		l.yielded = l.now
	}
	if l.now-l.yielded < l.yieldEvery {
		return
	}
	l.yielded = l.now
	if k != nil {
		k.yield()
	} else {
		goYield()
	}
}
