package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestPending: while the first event of a batch is handled, that of another descriptor is pending, and later none is.
func TestPending(t *testing.T) {
	l := startLoop(t, Options{})
	var ends [3][2]int // of pairs of sockets: the loop's, the other one
	for i := range ends {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = pair
		defer unix.Close(pair[1])
	}
	told := make(chan [3]bool, 2*len(ends)) // and one for the end of each
	on(t, l, func() {
		for i := range ends {
			if err := l.AddRead(ends[i][0], readyFunc(func() {
				told <- [3]bool{l.Pending(ends[0][0]), l.Pending(ends[1][0]), l.Pending(ends[2][0])}
			})); err != nil {
				t.Error(err)
			}
		}
	})
	on(t, l, func() { // the loop is busy: both events are in the next batch
		unix.Write(ends[0][1], []byte("x"))
		unix.Write(ends[1][1], []byte("x"))
	})
	if got := wait(t, told, "event"); got != [3]bool{false, true, false} {
		t.Errorf("at the first event: %v", got)
	}
	if got := wait(t, told, "event"); got != [3]bool{} {
		t.Errorf("at the last event: %v", got)
	}
}

// Room to write says nothing about what the peer does.
func TestPendingIsNotWritable(t *testing.T) {
	l := startLoop(t, Options{})
	var ends [2][2]int
	for i := range ends {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = pair
		defer unix.Close(pair[1])
	}
	told := make(chan bool, 2*len(ends))
	on(t, l, func() { // both become writable in the next batch
		for i := range ends {
			if err := l.Add(ends[i][0], readyFunc(func() { told <- l.Pending(ends[1][0]) })); err != nil {
				t.Error(err)
			}
		}
	})
	for range ends {
		if wait(t, told, "event") {
			t.Error("an event that is only room to write is pending")
		}
	}
}
