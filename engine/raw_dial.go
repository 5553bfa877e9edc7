package engine

import (
	"cmp"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
	"moonbridge/timers"
)

// ErrTooManyConns is what Dial fails with if the process has no room for another connection. Limits on open files are the
// reason: see Options.MaxConns.
var ErrTooManyConns = errors.New("engine: too many connections")

const (
	// dialTimeoutDefault is the time for a connection to be established.
	dialTimeoutDefault = 10 * time.Second
	// dialRetryMS is the time between two attempts to reach a Unix socket whose queue is full, in milliseconds.
	dialRetryMS = 10
)

// dialing is an attempt to establish a connection.
type dialing struct {
	l        *loop
	to       backend.Address
	o        backend.DialOptions
	protocol backend.Protocol
	failed   func(error)

	fd    int        // -1: there is none at present
	hands *handshake // nil: the TLS handshake has not begun
	timer timers.Timer
	endMS uint64
	over  bool
}

// Dial implements backend.Dialer.
func (b backendLoop) Dial(to backend.Address, o backend.DialOptions, p backend.Protocol, failed func(error)) (cancel func()) {
	mustCall("Dial", p != nil && failed != nil)
	o.Timeout = cmp.Or(max(o.Timeout, 0), dialTimeoutDefault)
	d := &dialing{l: b.l, to: to, o: o, protocol: p, failed: failed, fd: -1}
	d.timer.Init(d)
	d.endMS = after(b.NowMS(), milliseconds(o.Timeout, 0))
	b.l.raw.dials[d] = struct{}{}
	n := b.l.e.dialed.Add(1)
	switch {
	case b.l.e.over.Load(): // while the engine drains, exchanges still need connections
		d.failLater(ErrStopped)
	case n+b.l.e.conns.Load()+b.l.e.spool.Files() > b.l.e.spool.filesMax:
		d.failLater(ErrTooManyConns)
	default:
		d.start()
	}
	return d.cancel
}

// start makes an attempt.
func (d *dialing) start() {
	fd, err := d.connect()
	if errors.Is(err, syscall.EAGAIN) && d.to.Path != "" {
		// The server has not accepted the connections that wait. There is no event for that.
		d.l.sys.setTimer(&d.timer, min(d.endMS, d.l.sys.nowMS()+dialRetryMS))
		return
	}
	if err == nil {
		err = d.l.sys.add(fd, d)
		if err != nil {
			syscall.Close(fd)
		}
	}
	if err != nil {
		d.failLater(err)
		return
	}
	d.fd = fd
	d.l.sys.setTimer(&d.timer, d.endMS)
}

func (d *dialing) connect() (fd int, err error) {
	if d.to.Path != "" {
		return reactor.ConnectUnix(d.to.Path)
	}
	if !d.to.AddrPort.IsValid() {
		return -1, os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)
	}
	return reactor.Connect(d.to.AddrPort, d.o.From)
}

// Ready implements reactor.Handler: the attempt is over, unless the event is an early one.
func (d *dialing) Ready(got reactor.Readiness) {
	if d.over {
		return
	}
	err := reactor.ConnectResult(d.fd)
	switch {
	case errors.Is(err, syscall.EINPROGRESS):
	case err != nil:
		d.fail(err)
	default:
		d.succeed(got)
	}
}

// succeed makes the descriptor a connection.
func (d *dialing) succeed(got reactor.Readiness) {
	s := socket{fd: d.fd, peer: netip.AddrPortFrom(d.to.AddrPort.Addr().Unmap(), d.to.AddrPort.Port()), writable: true}
	if d.to.Path != "" {
		s.peer = netip.AddrPort{}
	}
	if d.o.TLS != nil {
		d.secure(s.peer, got)
		return
	}
	d.leave()
	c := newRaw(d.l, s, resolveBounds(d.o.Bounds), nil, &d.l.e.dialed)
	d.l.sys.hand(d.fd, c)
	c.Write(d.o.First)
	c.open(d.protocol, false)
	c.Ready(got)
}

// Expired implements timers.Expirer: the time is over, or it is time for another attempt.
func (d *dialing) Expired(*timers.Timer) {
	switch {
	case d.over:
	case d.l.sys.nowMS() < d.endMS:
		d.start()
	default:
		d.fail(os.NewSyscallError("connect", syscall.ETIMEDOUT))
	}
}

// fail ends the attempt.
func (d *dialing) fail(err error) {
	d.cancel()
	d.failed(err)
}

// failLater ends the attempt when Dial has returned.
func (d *dialing) failLater(err error) {
	d.l.sys.post(func() {
		if !d.over {
			d.fail(err)
		}
	})
}

// cancel ends the attempt, if it is not over.
func (d *dialing) cancel() {
	if d.over {
		return
	}
	d.leave()
	d.l.e.dialed.Add(-1)
	switch {
	case d.hands != nil:
		d.hands.close()
	case d.fd >= 0:
		d.l.sys.close(d.fd)
	}
}

// leave says that the attempt is over.
func (d *dialing) leave() {
	d.over = true
	delete(d.l.raw.dials, d)
	d.l.sys.cancelTimer(&d.timer)
}
