package engine

import (
	"syscall"

	"moonbridge/reactor"
)

// traffic is what the connections of a loop have read from their sockets and written to them: with TLS, as it was encrypted.
type traffic struct{ read, written uint64 }

// joinMax is up to how many bytes head and body are copied next to each other: a call for one range costs less than one for two, by more
// than the copy.
const joinMax = 4 << 10

// counted makes the calls of s on sockets count bytes. Splice is not among them: it does not know which end is a socket.
func (t *traffic) counted(s *system) {
	s.read = func(fd int, p []byte) (int, syscall.Errno) {
		n, errno := reactor.Read(fd, p)
		t.read += uint64(n)
		return n, errno
	}
	s.write = func(fd int, p []byte) (int, syscall.Errno) {
		n, errno := reactor.Write(fd, p)
		t.written += uint64(n)
		return n, errno
	}
	s.writeMore = func(fd int, p []byte) (int, syscall.Errno) {
		n, errno := reactor.WriteMore(fd, p)
		t.written += uint64(n)
		return n, errno
	}
	joined := make([]byte, 0, joinMax)
	s.writev = func(fd int, a, b []byte) (int, syscall.Errno) {
		if len(a)+len(b) <= joinMax {
			return s.write(fd, append(append(joined, a...), b...))
		}
		n, errno := reactor.Writev(fd, a, b)
		t.written += uint64(n)
		return n, errno
	}
	s.sendFile = func(fd, file int, offset, n int64) (int64, syscall.Errno) {
		sent, errno := reactor.SendFile(fd, file, offset, n)
		t.written += uint64(sent)
		return sent, errno
	}
}
