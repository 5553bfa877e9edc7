package reactor

import (
	"encoding/binary"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchesKnown: run tells where a batch of events ends.
const batchesKnown = true

// eventsMax is how many events a batch has at most: work for a few milliseconds.
const eventsMax = 512

// run calls event for each event, and batchDone behind the last one of each batch, until one of them says stop.
//
// It is not gnet's Polling, because that calls runtime.Gosched before it blocks, which wakes another thread to look for
// work: with small batches that cost as much processor time as the requests (measured, see docs/ARCHITECTURE.md). As long
// as there are events this asks for more without telling Go's scheduler; only to block it does.
func (p *poller) run(event func(fd int, got Readiness) (stop bool), batchDone func() (stop bool)) error {
	fd := p.descriptor()
	events := make([]unix.EpollEvent, eventsMax)
	for {
		n, errno := readyEvents(fd, events)
		if n == 0 && errno == 0 {
			n, errno = waitEvents(fd, events)
		}
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return os.NewSyscallError("epoll_wait", errno)
		}
		for i := range events[:n] {
			if event(int(events[i].Fd), readiness(events[i].Events, 0)) {
				return nil
			}
		}
		if batchDone() {
			return nil
		}
	}
}

// readyEvents fetches what is there, without blocking.
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

// atBatchEnd has nothing to do: batchDone comes anyway.
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

// bell makes the poller report an event: an eventfd, edge-triggered and therefore never read. It overflows after 2^64
// rings.
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
