package engine

import (
	"io"
	"net"
	"sync"
	"time"

	"moonbridge/reactor"
)

// Tests change these.
var (
	// pumpCheck is how often it is checked whether the engine has closed a connection that it sends nothing more on, or whose peer takes nothing.
	pumpCheck = time.Second
	// pumpPatience is for how many of these a peer may take no more of what is left of a connection that the engine has closed.
	pumpPatience = 60
)

// closeWriter is a connection that can finish sending.
type closeWriter interface{ CloseWrite() error }

// pump passes everything on between a connection and one end of a pair of sockets, whose other end is on a loop.
func pump(c net.Conn, pair *net.UnixConn) {
	received := make(chan struct{})
	go func() {
		defer close(received)
		w := &pairWriter{pair: pair}
		switch _, err := io.Copy(w, c); {
		case err == nil:
			pair.CloseWrite()
		case !w.refused: // otherwise the loop has closed its end: what it has sent is still for the peer
			pair.Close()
		}
	}()
	_, err := io.Copy(newPumpWriter(c, pair), onlyReader{pair})
	if half, ok := c.(closeWriter); ok && err == nil && half.CloseWrite() == nil {
		awaitPump(pair, received)
	}
	c.Close()
	pair.Close()
	<-received
}

// awaitPump waits until everything was received from the connection, or the loop has closed its end.
func awaitPump(pair *net.UnixConn, received <-chan struct{}) {
	tick := time.NewTicker(pumpCheck)
	defer tick.Stop()
	for !hungUp(pair) {
		select {
		case <-received:
			return
		case <-tick.C:
		}
	}
}

// pumpWriter writes what comes from the loop to a connection. A write may wait for the peer for as long as it likes: the engine sees that nothing is
// taken, and ends the connection at its own limits. After that nobody would see it, so the connection is closed if a write takes too long.
type pumpWriter struct {
	c    net.Conn
	pair *net.UnixConn

	mu      sync.Mutex
	writing bool
	late    int // checks of this write that have found the loop's end closed
	timer   *time.Timer
}

func newPumpWriter(c net.Conn, pair *net.UnixConn) *pumpWriter {
	w := &pumpWriter{c: c, pair: pair}
	w.timer = time.AfterFunc(pumpCheck, w.look) // once in vain
	return w
}

// Write implements io.Writer.
func (w *pumpWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.writing, w.late = true, 0
	w.timer.Reset(pumpCheck)
	w.mu.Unlock()
	n, err := w.c.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = false
	w.timer.Stop()
	return n, err
}

// look is called while a write takes long.
func (w *pumpWriter) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.writing:
	case hungUp(w.pair):
		if w.late++; w.late > pumpPatience {
			go w.c.Close() // the write returns then
			return
		}
		fallthrough
	default:
		w.timer.Reset(pumpCheck)
	}
}

// hungUp reports whether the other end of the pair is closed.
func hungUp(pair *net.UnixConn) bool {
	raw, err := pair.SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	failed := raw.Control(func(fd uintptr) { closed = reactor.HungUp(int(fd)) })
	return closed || failed != nil
}

// pairWriter and onlyReader keep io.Copy from calling ReadFrom and WriteTo of the pair, which need more room for each copy.
type pairWriter struct {
	pair    *net.UnixConn
	refused bool // a write has failed
}

func (w *pairWriter) Write(p []byte) (int, error) {
	n, err := w.pair.Write(p)
	w.refused = err != nil
	return n, err
}

type onlyReader struct{ io.Reader }
