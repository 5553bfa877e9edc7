//go:build darwin || dragonfly || freebsd || openbsd

package reactor

import "golang.org/x/sys/unix"

// batchesKnown: gnet's Polling does not tell where a batch of events ends.
const batchesKnown = false

// batch has nothing: gnet's Polling keeps it.
type batch struct{}

// run calls event for each event until that returns true.
func (p *poller) run(event func(fd int, got Readiness) (stop bool), _ func() (stop, again bool)) error {
	return p.polling(event)
}

// pending: gnet's Polling does not tell.
func (p *poller) pending(int) bool { return false }

// atBatchEnd makes the poller call batchEnd at the end of the next batch.
func (p *poller) atBatchEnd() error { return p.trigger() }

// lowestFD is the lowest descriptor that can be registered: gnet's poller takes 0 for its own wake-up.
const lowestFD = 1

// readiness translates what kqueue reports: one filter at a time.
func readiness(filter int16, flags uint16) (got Readiness) {
	switch filter {
	case unix.EVFILT_READ:
		got = Readable
		if flags&unix.EV_EOF != 0 {
			got |= PeerClosed
		}
	case unix.EVFILT_WRITE:
		got = Writable
		if flags&unix.EV_EOF != 0 {
			got |= Readable | Hangup
		}
	}
	if flags&unix.EV_ERROR != 0 {
		got |= Readable | Writable | Hangup
	}
	return got
}

// bell makes the poller report an event: a pipe to itself.
type bell struct{ fd, end int }

func openBell() (bell, error) {
	var ends [2]int
	if err := pipe(&ends); err != nil {
		return bell{-1, -1}, err
	}
	return bell{ends[0], ends[1]}, nil
}

var one = []byte{1}

// ring ignores a full pipe: then the event is on its way.
func (b bell) ring() { unix.Write(b.end, one) }

// heard empties the pipe.
func (b bell) heard() {
	var bytes [64]byte
	for {
		if n, err := unix.Read(b.fd, bytes[:]); n < len(bytes) && err != unix.EINTR {
			return
		}
	}
}

func (b bell) close() {
	unix.Close(b.fd)
	unix.Close(b.end)
}
