package engine

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// Two ranges are sent in their order, whether they are copied next to each other or not, and count once.
func TestWriteOfTwoRanges(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	var s system
	count := new(traffic)
	count.counted(&s)
	var sent uint64
	for _, size := range []int{1, joinMax/2 - 1, joinMax / 2, joinMax/2 + 1, joinMax} {
		a, b := bytes.Repeat([]byte{'a'}, size), bytes.Repeat([]byte{'b'}, size)
		n, errno := s.writev(fds[0], a, b)
		if n != 2*size || errno != 0 {
			t.Fatalf("%d bytes each: %d, %v", size, n, errno)
		}
		sent += uint64(n)
		got := make([]byte, n+1)
		if n, err := unix.Read(fds[1], got); err != nil || !bytes.Equal(got[:n], append(a, b...)) {
			t.Errorf("%d bytes each: %d bytes of %q…, %v", size, n, got[:1], err)
		}
	}
	if count.written != sent {
		t.Errorf("%d bytes are counted, %d were sent", count.written, sent)
	}
}
