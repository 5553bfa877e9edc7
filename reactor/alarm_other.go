//go:build !linux

package reactor

import "time"

// alarm posts a task to its loop at a time.
type alarm struct {
	timer *time.Timer // nil: not set yet
	fire  func()
}

// open makes the alarm of l.
func (a *alarm) open(l *Loop) error {
	alarmed := l.alarmed
	a.fire = func() { l.Post(alarmed) }
	return nil
}

// set makes it go off once, after d. It replaces the time that was set before; a task that is posted already comes too early, which
// only makes the loop set the next time again.
func (a *alarm) set(d time.Duration) {
	if a.timer == nil {
		a.timer = time.AfterFunc(d, a.fire)
	} else {
		a.timer.Reset(d)
	}
}

func (a *alarm) close() {
	if a.timer != nil {
		a.timer.Stop()
	}
}
