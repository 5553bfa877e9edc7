package engine

import (
	"syscall"
	"testing"
)

// A read that returns 0 is the end of what the peer has sent, unless a write has been told that the peer has reset the connection: the
// system says that only once.
func TestEndAfterFailedWrite(t *testing.T) {
	for errno, want := range map[syscall.Errno]readResult{
		0: readEnd, syscall.EPIPE: readEnd, // the peer had sent its FIN before the RST
		syscall.ECONNRESET: readFailed, syscall.ETIMEDOUT: readFailed, syscall.EHOSTUNREACH: readFailed,
	} {
		sys := &system{
			read:  func(int, []byte) (int, syscall.Errno) { return 0, 0 },
			write: func(_ int, p []byte) (int, syscall.Errno) { return len(p), errno },
		}
		s := socket{readable: true, writable: true}
		s.write(sys, []byte("x"), nil)
		if _, got := s.read(sys, make([]byte, 10)); got != want || s.eof != (want == readEnd) || want == readFailed && s.failure() != errno {
			t.Errorf("after %v: %v, end %v, %v", errno, got, s.eof, s.failure())
		}
	}
}
