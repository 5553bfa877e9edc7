package engine

import (
	"io"
	"net"
	"time"

	"moonbridge/reactor"
)

// pumpCheck is how often it is checked whether the engine has closed a connection that it sends nothing more on.
const pumpCheck = time.Second

// closeWriter is a connection that can finish sending.
type closeWriter interface{ CloseWrite() error }

// pump passes everything on between a connection and one end of a pair of sockets, whose other end is on a loop.
func pump(c net.Conn, pair *net.UnixConn) {
	received := make(chan struct{})
	go func() {
		defer close(received)
		if _, err := io.Copy(onlyWriter{pair}, c); err != nil {
			pair.Close()
		} else {
			pair.CloseWrite()
		}
	}()
	_, err := io.Copy(c, onlyReader{pair})
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

// onlyWriter and onlyReader keep io.Copy from calling ReadFrom and WriteTo of the pair, which need more room for each copy.
type onlyWriter struct{ io.Writer }

type onlyReader struct{ io.Reader }
