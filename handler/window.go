package handler

// window is a ring buffer for the bytes of a request body: the loop writes them, and a handler reads them. It has no
// lock; its methods are called with the exchange's lock held. The loop may write into the free room without the lock,
// since bytes are not read before they are committed.
type window struct {
	room []byte
	at   int // the first byte
	n    int // number of bytes
}

// free returns the free room as two slices. The second is empty unless the first extends to the end of the ring.
func (w *window) free() (a, b []byte) {
	begin := w.at + w.n
	if begin >= len(w.room) {
		return w.room[begin-len(w.room) : w.at], nil
	}
	return w.room[begin:], w.room[:w.at]
}

// commit adds the first n bytes of the free room to the contents.
func (w *window) commit(n int) {
	if n < 0 || n > len(w.room)-w.n {
		panic("handler: more bytes committed than there was room")
	}
	w.n += n
}

// read moves bytes from the window to p. It does not move the free room, even if the window is empty, since the loop
// may be writing to it.
func (w *window) read(p []byte) int {
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
