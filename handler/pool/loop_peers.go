package pool

import "golang.org/x/sys/unix"

// peers is for looking at the peers of raw connections that wait for a worker. The engine watches those of requests.
type peers struct {
	cells []*cell
	fds   []unix.PollFd // of the cells
}

// lookAtPeers finds out, with one system call for all of them, which peers of waiting raw connections have gone. Those whose
// connection has ended leave the queue at once.
func (l *loop) lookAtPeers() {
	s := &l.peers
	s.cells, s.fds = s.cells[:0], s.fds[:0]
	for _, c := range l.cells.inUse {
		if c.state == cellQueued && c.socket.state == socketHeld {
			s.cells = append(s.cells, c)
			s.fds = append(s.fds, unix.PollFd{Fd: int32(c.socket.fd), Events: pollPeerEnd})
		}
	}
	if len(s.fds) == 0 {
		return
	}
	if n, err := unix.Poll(s.fds, 0); n <= 0 || err != nil {
		return // the next tick looks again
	}
	for i, c := range s.cells {
		switch got := s.fds[i].Revents; {
		case got&(unix.POLLERR|unix.POLLHUP) != 0:
			c.withdraw()
		case got&pollPeerEnd != 0:
			c.peer.finished = true
		}
	}
	clear(s.cells)
}
