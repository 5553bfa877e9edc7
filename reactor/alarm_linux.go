package reactor

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm makes the poller report an event at a time. It is a timerfd, edge-triggered and therefore never read. A timer of Go would ring the
// bell from another thread, which has to be woken to be told of an earlier time, and once more when it has come.
type alarm struct{ fd int }

// open opens the alarm of l.
func (a *alarm) open(l *Loop) (err error) {
	if a.fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	if err = l.Watch(a.fd, l.alarmed); err != nil {
		unix.Close(a.fd)
	}
	return err
}

// set makes it go off once, after d, which must be more than 0. It replaces the time that was set before. It is called on the loop.
func (a *alarm) set(d time.Duration) {
	// There is no error: the descriptor is open, and the time valid.
	unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

func (a *alarm) close() { unix.Close(a.fd) }
