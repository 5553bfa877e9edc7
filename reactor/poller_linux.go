package reactor

import (
	"encoding/binary"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is the batch of events that is being reported.
type batch struct {
	fd            int // of the poller
	events        []unix.EpollEvent
	next, fetched int
}

// batchesKnown: run knows where a batch of events ends.
const batchesKnown = true

// eventsMax is how many events a batch has at most: work for a few milliseconds.
const eventsMax = 512

// run calls event for each event, and batchDone after the last one of each batch, until one of them wants to stop. It does not block
// while batchDone returns again; then a batch may be empty. Called once more, it goes on with the batch in which it was stopped.
//
// It replaces gnet's Polling, which calls runtime.Gosched before it blocks. That wakes another thread to look for work, which
// with small batches cost as much processor time as the requests (for the figures see docs/internals/decisions.md). As long as there
// are events, run asks for more without telling Go's scheduler. It tells the scheduler only when it blocks or parks.
func (p *poller) run(event func(fd int, got Readiness) (stop bool), batchDone func() (stop, again bool)) error {
	if p.events == nil {
		p.fd, p.events = p.descriptor(), make([]unix.EpollEvent, eventsMax)
		if err := p.fetch(false); err != nil {
			return err
		}
	}
	for {
		for p.next < p.fetched {
			e := &p.events[p.next]
			p.next++
			if event(int(e.Fd), readiness(e.Events, 0)) {
				return nil
			}
		}
		stop, again := batchDone()
		if stop {
			return nil
		}
		if err := p.fetch(again); err != nil {
			return err
		}
	}
}

// pending reports whether the batch has an event of fd that was not reported yet, other than room to write. It looks at the rest of the batch, which takes less than
// 0.2 µs: more would be gained by an index, but it would have to be made for each batch.
func (p *poller) pending(fd int) bool {
	for i := p.next; i < p.fetched; i++ {
		if e := &p.events[i]; int(e.Fd) == fd {
			return e.Events&^unix.EPOLLOUT != 0
		}
	}
	return false
}

// fetch fetches the next batch. It blocks until there is an event, unless again is set.
func (p *poller) fetch(again bool) error {
	for {
		n, errno := readyEvents(p.fd, p.events)
		if n == 0 && errno == 0 && !again {
			n, errno = p.wait()
		}
		switch errno {
		case 0:
			p.next, p.fetched = 0, n
			return nil
		case syscall.EINTR:
		default:
			return os.NewSyscallError("epoll_wait", errno)
		}
	}
}

// wait blocks or parks until there are events.
func (p *poller) wait() (int, syscall.Errno) {
	if p.parking != nil {
		return p.parking.wait()
	}
	return waitEvents(p.fd, p.events)
}

// readyEvents fetches the events that are there, without blocking.
func readyEvents(fd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// waitEvents blocks until there are events.
func waitEvents(fd int, events []unix.EpollEvent) (int, syscall.Errno) {
	n, err := unix.EpollWait(fd, events, -1)
	if err != nil {
		errno, ok := err.(syscall.Errno)
		if !ok {
			errno = syscall.EIO
		}
		return 0, errno
	}
	return n, 0
}

// atBatchEnd has nothing to do: run calls batchDone anyway.
func (p *poller) atBatchEnd() error { return nil }

// lowestFD is the lowest descriptor that can be registered.
const lowestFD = 0

// readiness translates what epoll reports.
func readiness(events uint32, _ uint16) (got Readiness) {
	if events&(unix.EPOLLIN|unix.EPOLLPRI) != 0 {
		got |= Readable
	}
	if events&unix.EPOLLOUT != 0 {
		got |= Writable
	}
	if events&unix.EPOLLRDHUP != 0 {
		got |= Readable | PeerClosed
	}
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		got |= Readable | Writable | Hangup
	}
	return got
}

// bell makes the poller report an event. It is an eventfd, edge-triggered and therefore never read. Its counter overflows
// after 2^64 rings.
type bell struct{ fd int }

func openBell() (bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return bell{fd}, err
}

var one = binary.NativeEndian.AppendUint64(nil, 1)

// ring adds one to the counter.
func (b bell) ring() { rawWrite(b.fd, one) }

// heard is called for each event of the bell.
func (b bell) heard() {}

func (b bell) close() { unix.Close(b.fd) }
