package reactor

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

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
