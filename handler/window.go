package handler

// window is a ring of bytes of a request body, between the loop, which puts them in, and a handler, which takes them out.
// It does not lock: whoever changes it holds the exchange's lock. Only the loop writes into the free room, also without the
// lock, and nobody takes bytes before they are committed.
type window struct {
	room []byte
	at   int // the first byte
	n    int // bytes there
}

// free is the free room: two slices, the second empty unless the first reaches to the end of the ring.
func (w *window) free() (a, b []byte) {
	begin := w.at + w.n
	if begin >= len(w.room) {
		return w.room[begin-len(w.room) : w.at], nil
	}
	return w.room[begin:], w.room[:w.at]
}

// commit says that n bytes were put into the free room.
func (w *window) commit(n int) {
	if n < 0 || n > len(w.room)-w.n {
		panic("handler: more bytes committed than there was room")
	}
	w.n += n
}

// take moves bytes from the window to p. It leaves the free room where it is, even when the window is empty: the loop may
// be writing into it.
func (w *window) take(p []byte) int {
	n := min(len(p), w.n)
	m := copy(p[:n], w.room[w.at:])
	copy(p[m:n], w.room)
	w.at += n
	if w.at >= len(w.room) {
		w.at -= len(w.room)
	}
	w.n -= n
	return n
}
