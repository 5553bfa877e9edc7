package shm

// Ring is the n bytes of a window from count from on, as two parts: the second is what goes on at the window's start.
// The window's length is a power of two, and n is at most that.
func Ring(window []byte, from, n uint64) (a, b []byte) {
	i := from & uint64(len(window)-1)
	if rest := uint64(len(window)) - i; n > rest {
		return window[i:], window[:n-rest]
	}
	return window[i : i+n], nil
}

// RingPut copies p into the window from count from on. p is at most as long as the window.
func RingPut(window []byte, from uint64, p []byte) {
	a, b := Ring(window, from, uint64(len(p)))
	copy(b, p[copy(a, p):])
}

// Published is how many bytes a worker says to have published, from OutHead and OutStart as read in this order. ok is
// false if the numbers contradict each other.
//
// OutHead is a count that begins at OutStart, so that its place in the ring is OutHead modulo the window's size. Before
// the first byte is published it may also still be 0.
func Published(outHead uint64, outStart, window uint32) (n uint64, ok bool) {
	switch {
	case outHead == 0:
		return 0, true
	case outStart >= window || outHead < uint64(outStart):
		return 0, false
	}
	return outHead - uint64(outStart), true
}
