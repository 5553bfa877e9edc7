package engine

import (
	"io"
	"net"
	"sync"
	"time"

	"moonbridge/reactor"
)

const (
	// pumpCheck is how often it is checked whether the engine has closed a connection that it sends nothing more on, or whose peer takes nothing.
	pumpCheck = time.Second
	// pumpPatience is how many of these the peer of a connection that the engine has closed has for a piece of what is left: what io.Copy
	// writes at once, 32 KiB. How much of a piece it has taken cannot be seen.
	pumpPatience = 60
)

// closeWriter is a connection that can finish sending.
type closeWriter interface{ CloseWrite() error }

// pumpTimes are pumpCheck and pumpPatience. Tests have others.
type pumpTimes struct {
	check    time.Duration
	patience int
}

// pump passes everything on between a connection and one end of a pair of sockets, whose other end is on a loop.
func pump(c net.Conn, pair *net.UnixConn, times pumpTimes) {
	received := make(chan struct{})
	go func() {
		defer close(received)
		if _, err := io.Copy(pumpInput{pair}, c); err != nil {
			pair.Close()
		} else {
			pair.CloseWrite()
		}
	}()
	_, err := io.Copy(newPumpWriter(c, pair, times), onlyReader{pair})
	if half, ok := c.(closeWriter); ok && err == nil && half.CloseWrite() == nil {
		awaitPump(pair, received, times.check)
	}
	c.Close()
	pair.Close()
	<-received
}

// awaitPump waits until everything was received from the connection, or the loop has closed its end.
func awaitPump(pair *net.UnixConn, received <-chan struct{}, check time.Duration) {
	tick := time.NewTicker(check)
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
	c     net.Conn
	pair  *net.UnixConn
	times pumpTimes

	mu      sync.Mutex
	writing bool
	late    int // checks of this write that have found the loop's end closed
	timer   *time.Timer
}

func newPumpWriter(c net.Conn, pair *net.UnixConn, times pumpTimes) *pumpWriter {
	w := &pumpWriter{c: c, pair: pair, times: times}
	w.timer = time.AfterFunc(times.check, w.look) // once in vain
	return w
}

// Write implements io.Writer.
func (w *pumpWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.writing, w.late = true, 0
	w.timer.Reset(w.times.check)
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
		if w.late++; w.late > w.times.patience {
			go w.c.Close() // the write returns then
			return
		}
		fallthrough
	default:
		w.timer.Reset(w.times.check)
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

// pumpInput passes on what is received. When the engine has closed its end, it is thrown away: what the engine has sent before is still to
// reach the peer.
type pumpInput struct{ pair *net.UnixConn }

// Write implements io.Writer. It does not fail.
func (w pumpInput) Write(p []byte) (int, error) {
	w.pair.Write(p)
	return len(p), nil
}

// onlyReader keeps io.Copy from calling WriteTo of the pair, which needs more room for each copy.
type onlyReader struct{ io.Reader }
