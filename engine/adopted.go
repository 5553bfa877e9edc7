package engine

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"moonbridge/handler/logging"
	"moonbridge/reactor"
)

// adopted is the source of connections of a Listener that has no sockets of its own.
type adopted struct {
	ln     net.Listener
	start  sync.Once // of the goroutine that accepts
	closed atomic.Bool
	ended  chan struct{} // closed when nothing accepts any more
}

// adoptPause is how long accepting pauses after an error, such as that no descriptor is left.
const adoptPause = 100 * time.Millisecond

// adoptEndMost is how long the end of listening waits for Accept, which returns at once with listeners that keep to net.Listener.
const adoptEndMost = time.Second

// Adopt makes a listener of the engine from one that comes from elsewhere: a VPN in this process, memory, a wrapper. Serve,
// ServeSockets and ServeProtocol then work as for others. The engine owns ln. A goroutine accepts, and the connections go to the
// loops in turn.
//
// Connections of type *net.TCPConn and *net.UnixConn move to a loop, and cost there what others do. Any other net.Conn is
// connected with a loop by two goroutines and a pair of sockets, which hold at most some 500 KiB of it. When the engine has ended such a
// connection, its peer still gets them, but it is closed if the peer needs more than a minute for 32 KiB of them. A reset becomes an ordinary end. There are no files for HandOver and Files. The error is ErrStopped. A nil ln panics.
func (e *Engine) Adopt(ln net.Listener) (*Listener, error) {
	if ln == nil {
		panic("engine: Adopt: the listener is nil")
	}
	adopted := &Listener{e: e, adopted: &adopted{ln: ln, ended: make(chan struct{})}}
	if !e.owns(adopted) {
		return nil, ErrStopped
	}
	return adopted, nil
}

// ServeConn has one more connection served as if the listener had accepted it. What Adopt says of connections is true of it. The
// engine owns c, unless it returns an error: ErrStopped, or that of the system. The connection is closed if the listener is closed
// or not served. A nil c panics.
func (ln *Listener) ServeConn(c net.Conn) error {
	fd, err := descriptorOf(c)
	if err != nil {
		return err
	}
	local, peer := netip.AddrPort{}, addrPortOf(c.RemoteAddr())
	pumped := fd < 0
	var pair *net.UnixConn
	if pumped {
		local = addrPortOf(c.LocalAddr())
		if fd, pair, err = halfPair(); err != nil {
			return err
		}
	}
	l := ln.e.nextLoop()
	if !l.r.Post(func() { l.admitFrom(ln, fd, peer, local) }) {
		syscall.Close(fd)
		if pumped {
			pair.Close()
		}
		return ErrStopped
	}
	if pumped {
		go pump(c, pair, ln.e.pumping)
	} else {
		c.Close() // the loop has a duplicate
	}
	return nil
}

// nextLoop is the loop for the next connection that comes from a goroutine.
func (e *Engine) nextLoop() *loop {
	return e.loops[e.given.Add(1)%uint32(len(e.loops))]
}

// admitFrom is admit for a connection that comes from a goroutine. local is valid if it is known.
func (l *loop) admitFrom(ln *Listener, fd int, peer, local netip.AddrPort) {
	b := l.bindings[ln]
	switch {
	case b == nil || l.e.stopping.Load():
		resetNow(fd)
	case !local.IsValid() || b.preface != nil:
		l.admit(b, fd, peer)
	case l.admitted(b, fd, peer):
		b.addrs.mayDiffer()
		l.beginNamed(b, fd, local, peer)
	}
}

// startAccepting starts the goroutine of an adopted listener.
func (ln *Listener) startAccepting() {
	if ln.adopted != nil {
		ln.adopted.start.Do(func() { go ln.acceptAdopted() })
	}
}

// countPause counts an error of accept. The first one is logged at once, further ones at most once a second.
func (ln *Listener) countPause(err error) {
	ln.e.tally.Add(logging.Event{Level: slog.LevelError, Message: "accepting pauses", Cause: err.Error()}, func() []slog.Attr {
		return []slog.Attr{slog.String("listener", ln.Addr())}
	})
}

func (ln *Listener) acceptAdopted() {
	defer close(ln.adopted.ended)
	for {
		c, err := ln.adopted.ln.Accept()
		closed := ln.adopted.closed.Load()
		switch {
		case err == nil:
			// It is served even if the listener was closed meanwhile: for its peer it was open.
			if err := ln.ServeConn(c); err != nil {
				ln.e.log.Error("connection lost", "listener", ln.Addr(), "err", err)
				c.Close()
			}
			if closed {
				return
			}
		case closed || errors.Is(err, net.ErrClosed):
			return
		default:
			ln.countPause(err)
			time.Sleep(adoptPause)
		}
	}
}

// stop ends listening. When it returns, the loops have got what was accepted.
func (ln *Listener) stop() error {
	a := ln.adopted
	if a == nil {
		return ln.r.Close()
	}
	a.closed.Store(true)
	err := a.ln.Close()
	a.start.Do(func() { close(a.ended) }) // it was never served
	select {
	case <-a.ended:
	case <-time.After(adoptEndMost):
	}
	return err
}

// descriptorOf returns a duplicate of the descriptor of a connection that can move to a loop, or -1 for others.
func descriptorOf(c net.Conn) (fd int, err error) {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return -1, nil
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	failed := raw.Control(func(own uintptr) { fd, err = reactor.Duplicate(int(own)) })
	if failed != nil {
		return -1, failed
	}
	return fd, err
}

// addrPortOf is the address of one end of a TCP connection, without a zone; not valid for others.
func addrPortOf(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := t.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// halfPair returns one end of a pair of sockets for a loop, and the other one for goroutines.
func halfPair() (fd int, c *net.UnixConn, err error) {
	pair, err := socketPair()
	if err != nil {
		return -1, nil, err
	}
	f := os.NewFile(uintptr(pair[1]), "pair")
	defer f.Close() // FileConn makes a duplicate
	conn, err := net.FileConn(f)
	if err != nil {
		syscall.Close(pair[0])
		return -1, nil, err
	}
	return pair[0], conn.(*net.UnixConn), nil
}
