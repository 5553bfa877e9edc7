package shm

// Ring returns the n bytes of a window that start at count from. The second part, if any, continues at the start of the
// window. The window's length is a power of two, and n is at most that.
func Ring(window []byte, from, n uint64) (a, b []byte) {
	i := from & uint64(len(window)-1)
	if rest := uint64(len(window)) - i; n > rest {
		return window[i:], window[:n-rest]
	}
	return window[i : i+n], nil
}

// RingPut copies p into the window, starting at count from. p is at most as long as the window.
func RingPut(window []byte, from uint64, p []byte) {
	a, b := Ring(window, from, uint64(len(p)))
	copy(b, p[copy(a, p):])
}
