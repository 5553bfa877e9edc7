package reactor

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// entry is what the loop knows of a descriptor; the zero value: nothing.
type entry struct {
	handler Handler
	owned   bool // by the loop
}

// readyFunc makes a Handler of Watch's function.
type readyFunc func()

func (f readyFunc) Ready(Readiness) { f() }

// Add takes over fd, a non-blocking socket, and calls h.Ready when it has become readable or writable, from the next
// batch of events on. After an error fd is still the caller's.
func (l *Loop) Add(fd int, h Handler) error { return l.register(fd, h, true, true) }

// AddRead is Add for a descriptor that is only read or accepted from.
func (l *Loop) AddRead(fd int, h Handler) error { return l.register(fd, h, false, true) }

// Watch calls ready when fd, which stays the caller's, has become readable. Nothing is read from it. It suits an eventfd
// that is never read; of a pipe or socket ready has to read.
func (l *Loop) Watch(fd int, ready func()) error {
	return l.register(fd, readyFunc(ready), false, false)
}

// Unwatch ends Watch. The caller may close fd in a later turn, or give it to Close.
func (l *Loop) Unwatch(fd int) error {
	if l.lookup(fd) == nil || l.table[fd].owned {
		return fmt.Errorf("unwatch %d: %w", fd, syscall.ENOENT)
	}
	l.table[fd] = entry{}
	return l.poller.remove(fd)
}

// Close ends the registration of fd, whether owned or watched, at once: its handler is not called again. The descriptor
// itself is closed a little later, when events that were fetched before are done with.
func (l *Loop) Close(fd int) {
	e := l.lookup(fd)
	if e == nil {
		panic(fmt.Sprintf("reactor: Close of descriptor %d, which is not registered", fd))
	}
	if e.owned {
		l.open--
	}
	*e = entry{}
	l.closing = append(l.closing, fd)
	if len(l.closing) == 1 {
		if err := l.poller.atBatchEnd(); err != nil {
			l.log.Error("closing descriptors", "loop", l.index, "err", err)
		}
	}
}

func (l *Loop) register(fd int, h Handler, write, owned bool) error {
	if fd < lowestFD {
		return fmt.Errorf("register %d: %w", fd, syscall.EBADF)
	}
	if l.lookup(fd) != nil || fd == l.bell.fd {
		return fmt.Errorf("register %d: %w", fd, syscall.EEXIST)
	}
	if err := l.poller.add(fd, write); err != nil {
		return fmt.Errorf("register %d: %w", fd, err)
	}
	if fd >= len(l.table) {
		l.table = append(l.table, make([]entry, max(64, fd+1-len(l.table), len(l.table)))...)
	}
	l.table[fd] = entry{h, owned}
	if owned {
		l.open++
	}
	return nil
}

// lookup returns the entry of a registered descriptor, or nil.
func (l *Loop) lookup(fd int) *entry {
	if uint(fd) >= uint(len(l.table)) || l.table[fd].handler == nil {
		return nil
	}
	return &l.table[fd]
}

// closeAll closes what Close was called for: the one place where descriptors of the loop are closed. It is called at the
// end of a batch. At the bell would be too early: the poller may have fetched events of these descriptors in the same
// batch, and by the time that it reports them the number may belong to another connection.
func (l *Loop) closeAll() {
	for _, fd := range l.closing {
		unix.Close(fd)
	}
	l.closing = l.closing[:0]
}
