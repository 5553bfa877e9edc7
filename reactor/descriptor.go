package reactor

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// entry is what the loop knows of a descriptor. The zero value: it is not registered.
type entry struct {
	handler Handler
	owned   bool // by the loop
	conn    bool // counts in Loop.conns
}

// readyFunc makes the function of Watch a Handler.
type readyFunc func()

func (f readyFunc) Ready(Readiness) { f() }

// Add takes over fd, a non-blocking socket, and calls h.Ready when it has become readable or writable, from the next batch of
// events on. The error is syscall.EBADF or syscall.EEXIST for a descriptor that cannot be registered or already is, or that
// of the poller. After an error fd still belongs to the caller.
func (l *Loop) Add(fd int, h Handler) error { return l.register(fd, entry{h, true, true}, true) }

// AddRead is Add for a descriptor that is only read from, or that connections are accepted from.
func (l *Loop) AddRead(fd int, h Handler) error { return l.register(fd, entry{h, true, false}, false) }

// Watch calls ready when fd has become readable. fd stays with the caller, and the loop reads nothing from it: that is enough
// for an eventfd that is never read; from a pipe or socket, ready has to read. Errors are those of Add.
func (l *Loop) Watch(fd int, ready func()) error {
	return l.register(fd, entry{readyFunc(ready), false, false}, false)
}

// WatchConn is Watch for a connection, which counts for Listener.Fill.
func (l *Loop) WatchConn(fd int, ready func()) error {
	return l.register(fd, entry{readyFunc(ready), false, true}, false)
}

// Unwatch ends Watch and WatchConn. The caller may then close fd in a later turn. The error is syscall.ENOENT if fd is not watched.
func (l *Loop) Unwatch(fd int) error {
	if l.lookup(fd) == nil || l.table[fd].owned {
		return fmt.Errorf("unwatch %d: %w", fd, syscall.ENOENT)
	}
	return l.unregister(fd)
}

// Close ends the registration of fd, owned or watched, at once: its handler is not called again. The descriptor itself is
// closed a little later, when the events that were fetched before have been handled. It panics if fd is not registered.
func (l *Loop) Close(fd int) {
	e := l.lookup(fd)
	if e == nil {
		panic(fmt.Sprintf("reactor: Close of descriptor %d, which is not registered", fd))
	}
	l.forget(e)
	l.closing = append(l.closing, fd)
	if len(l.closing) == 1 {
		if err := l.poller.atBatchEnd(); err != nil {
			l.log.Error("closing descriptors", "loop", l.index, "err", err)
		}
	}
}

// unregister ends the registration of fd, which stays open.
func (l *Loop) unregister(fd int) error {
	l.forget(&l.table[fd])
	return l.poller.remove(fd)
}

// forget empties the entry of a registered descriptor.
func (l *Loop) forget(e *entry) {
	if e.owned {
		l.open--
	}
	if e.conn {
		l.conns.Add(-1)
	}
	*e = entry{}
}

func (l *Loop) register(fd int, e entry, write bool) error {
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
	l.table[fd] = e
	if e.owned {
		l.open++
	}
	if e.conn {
		l.conns.Add(1)
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

// closeAll closes what Close was called for. It is the one place where descriptors of the loop are closed, and is called at
// the end of a batch. The bell would be too early: the poller may have fetched events of these descriptors in the same batch,
// and by the time it reports them the number may belong to another connection.
//
// The poller has to forget them first. epoll would do that by itself only when the last copy of the descriptor is closed, and there may be
// others: a process that has just been forked has all descriptors until it executes its program, and Detach duplicates one. Until
// then epoll would report events of the old socket for the number, and so to another connection, which would take the end of the old one for
// its own.
func (l *Loop) closeAll() {
	for _, fd := range l.closing {
		l.poller.remove(fd)
		unix.Close(fd)
	}
	l.closing = l.closing[:0]
}
