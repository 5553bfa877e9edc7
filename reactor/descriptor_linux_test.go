package reactor

import (
	"testing"

	"golang.org/x/sys/unix"
)

// countingHandler counts its events.
type countingHandler struct{ n int }

func (h *countingHandler) Ready(Readiness) { h.n++ }

// Events of a socket of which there is a copy, as in a process that has just been forked, are not told to who has the number of its
// descriptor after it was closed.
func TestCopiesOfClosedDescriptors(t *testing.T) {
	l := startLoop(t, Options{})
	at := func(fd, lowest int) int { // a number that nothing else takes
		moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, lowest)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		return moved
	}
	old, peer := pair(t)
	old = at(old, 700)
	inherited, err := unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	defer unix.Close(peer)
	var first, second countingHandler
	on(t, l, func() {
		if err := l.Add(old, &first); err != nil {
			t.Fatal(err)
		}
	})
	on(t, l, func() { l.Close(old) })
	on(t, l, func() {}) // it is closed now
	next, other := pair(t)
	defer unix.Close(other)
	if next = at(next, 700); next != old {
		t.Skipf("the descriptor is %d, not %d", next, old)
	}
	on(t, l, func() {
		if err := l.Add(next, &second); err != nil {
			t.Fatal(err)
		}
	})
	var before int
	on(t, l, func() { before = second.n }) // that it can be written to was told, in the batch before this one
	unix.Write(peer, []byte("to the old one"))
	unix.Shutdown(peer, unix.SHUT_RDWR)
	on(t, l, func() {})
	on(t, l, func() {
		if second.n != before {
			t.Errorf("%d events of the old socket", second.n-before)
		}
		l.Close(next)
	})
}
