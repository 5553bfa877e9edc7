package reactor

import (
	"sync"

	"golang.org/x/sys/unix"
)

// A process that has no descriptor left cannot even refuse a connection: its clients would wait for as long as they like. So
// each loop keeps descriptors in reserve. When accepting has failed for want of descriptors, and again after a pause, the loop
// gives one of them up for a moment, accepts a connection, has it refused, and takes the descriptor back.
//
// Something else in the process may take the descriptor in that moment. Other loops do not, since they hold scarce for
// reading while they accept. If it happens all the same, the reserve shrinks, and a loop with less than its reserve refuses
// connections until it has it back.

// sparesMax is the reserve of a loop, in descriptors.
const sparesMax = 2

// scarce is held for reading by a loop that accepts, and for writing by one that has given up a descriptor of its reserve.
var scarce sync.RWMutex

// spares are the descriptors in reserve.
type spares struct{ fds []int }

// fill opens what is missing of the reserve. It reports whether the reserve is complete.
func (s *spares) fill() bool {
	for len(s.fds) < sparesMax {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false
		}
		s.fds = append(s.fds, fd)
	}
	return true
}

// giveUp closes one descriptor, if there is one.
func (s *spares) giveUp() {
	if n := len(s.fds); n > 0 {
		unix.Close(s.fds[n-1])
		s.fds = s.fds[:n-1]
	}
}

func (s *spares) close() {
	for len(s.fds) > 0 {
		s.giveUp()
	}
}

// refuseSome turns away the connections that wait, at most as many as are accepted in a turn.
func (a *acceptor) refuseSome() {
	if a.refuse == nil {
		return
	}
	for range acceptsPerTurn {
		if !a.refuseOne() {
			return
		}
	}
}

func (a *acceptor) refuseOne() bool {
	scarce.Lock()
	defer scarce.Unlock()
	a.loop.spares.giveUp()
	fd, peer, errno := accept(a.fd, &a.room)
	if errno == 0 {
		a.refuse(fd, peer) // closes fd
	}
	a.loop.spares.fill()
	return errno == 0
}

// incomplete reports whether a connection that was just accepted must be refused, so that the loop gets its reserve back.
func (a *acceptor) incomplete() bool {
	return a.refuse != nil && len(a.loop.spares.fds) < sparesMax && !a.loop.spares.fill()
}
