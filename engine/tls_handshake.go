package engine

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"moonbridge/handler/list"
	"moonbridge/handler/logging"
	"moonbridge/reactor"
	"moonbridge/timers"
)

// handshake is a connection that has not finished its TLS handshake. The loop moves its bytes. When the first record of the peer
// is complete, a goroutine or a fiber runs the handshake; a peer that sends less costs neither.
type handshake struct {
	// Immutable.
	l     *tlsLoop
	b     *binding
	c     *tlsConn
	all   *handshakes
	local netip.AddrPort // of the connection
	dial  *dialing       // that it is a part of: we are the client. nil: we are the server
	known uint8          // its place in the listener's addrs
	brief bool           // the loop computes it, and not a goroutine: see fiber

	// Immutable from the first record on.
	setup *TLS
	from  services // of the listener, when setup was that of new connections

	// Owned by the loop.
	state      handshakeState
	timer      timers.Timer
	peerClosed bool
	answered   bool // the handshake has written: what the peer sends from now on may end the handshake, and bring a request
	hungUp     bool // nothing that is sent can reach the peer any more
	thrown     int  // bytes thrown away while it lingers
	dry        bool // the last read has emptied the socket

	// Likewise, and used only if brief.
	fiber    *fiber // that computes it; nil: it has not begun, or is over
	due      bool   // it waits for the loop to compute it, in l.due
	dueLinks list.Links[handshake]
	computed bool // it is over: conn and err are its results
	spent    time.Duration
	conn     *tls.Conn
	err      error

	waits     bool // in all.waiting; guarded by all.mu
	waitLinks list.Links[handshake]
	slot      *time.Timer // gives back the slot that the goroutine has; used by it alone

	// Shared by the loop and the goroutine, or the fiber.
	mu     sync.Mutex
	in     []byte // from the peer
	used   int    // how many of them the goroutine has read
	split  split  // how in begins
	paused bool   // nothing is read before the goroutine has read in
	ended  bool   // nothing will be added to in
	wake   chan struct{}
}

// handshakeState is where a handshake is.
type handshakeState uint8

const (
	// handshakeHello: the peer's first record is not complete. → running, lingering, over
	handshakeHello handshakeState = iota
	// handshakeRunning: the goroutine or the fiber runs, or waits to run. → lingering, over
	handshakeRunning
	// handshakeLingering: the handshake has failed, and the peer was told. → over
	handshakeLingering
	// handshakeOver: the connection is closed or has become a conn.
	handshakeOver
)

// acceptTLS takes over a new connection that begins with a TLS handshake. known is the place of its local address in the listener's addrs, or 0.
func (l *loop) acceptTLS(b *binding, fd int, peer netip.AddrPort, known uint8) {
	if !l.admits() {
		l.countConnection(aboveLimit, "", peer)
		l.turnAwayTLS(fd)
		return
	}
	l.accepted++
	part := l.tlsPart()
	h := &handshake{l: part, b: b, setup: b.tls, from: b.services, all: &l.e.handshakes, wake: make(chan struct{}, 1)}
	h.c = &tlsConn{l: part, fd: fd, peer: peer, handshake: h, handler: h}
	h.known = known
	h.local, _ = b.addrs.of(fd, peer, &h.known)
	if err := l.sys.add(fd, h); err != nil {
		l.e.log.Error("connection lost", "loop", l.index, "err", err)
		l.e.conns.Add(-1)
		l.closeNow(fd) // the reactor does not know it
		return
	}
	part.add(h.c)
	part.handshakes[h] = struct{}{}
	h.timer.Init(h)
	h.setTimeout()
}

// setTimeout gives the peer the time for a handshake, from now on.
func (h *handshake) setTimeout() {
	if ms := h.setup.timeoutMS(); ms != 0 {
		h.l.plain.setTimer(&h.timer, after(h.l.plain.nowMS(), ms))
	}
}

// awaitLast gives a peer that has not begun its handshake the time for a last request to do so, unless its time is over earlier.
func (h *handshake) awaitLast() {
	at := h.l.plain.nowMS() + lastRequestMS
	if !h.timer.Armed() || h.timer.Deadline() > at {
		h.l.plain.setTimer(&h.timer, at)
	}
}

// Ready implements reactor.Handler.
func (h *handshake) Ready(got reactor.Readiness) {
	if got&reactor.PeerClosed != 0 {
		h.peerClosed = true
	}
	if got&reactor.Hangup != 0 {
		h.hungUp, h.peerClosed = true, true
	}
	switch {
	case h.state == handshakeOver:
		return
	case h.hungUp && !h.mayEndWell():
		h.fail(causeHandshakeCut, nil)
		return
	}
	if got&reactor.Writable != 0 && h.c.held.Len() > 0 {
		h.c.push()
	}
	if got&(reactor.Readable|reactor.PeerClosed) != 0 {
		h.receive()
	}
}

// mayEndWell reports whether a connection whose peer has gone is read to the end: the peer may have finished the handshake before, and have
// sent a request (see conn.hungUp), or the connection lingers.
func (h *handshake) mayEndWell() bool {
	return h.state == handshakeLingering || h.state == handshakeRunning && h.answered
}

// Expired implements timers.Expirer.
func (h *handshake) Expired(*timers.Timer) {
	if h.state == handshakeLingering || h.state == handshakeHello && h.ending() {
		h.close()
	} else if h.state != handshakeOver {
		h.fail(causeHandshakeTimeout, nil)
	}
}

// receive reads what has arrived, as far as there is room.
func (h *handshake) receive() {
	for h.state < handshakeOver {
		p := h.l.window[:h.room()]
		if len(p) == 0 {
			return
		}
		n, errno := h.l.plain.read(h.c.fd, p)
		switch {
		case errno == syscall.EAGAIN:
			return
		case errno != 0 && !h.mayEndWell():
			h.fail(causeHandshakeCut, nil)
			return
		case errno != 0:
			h.hungUp, h.peerClosed = true, true
			h.inputEnded()
			return
		case n == 0:
			h.inputEnded()
			return
		case h.state == handshakeLingering:
			h.throwAway(n)
			continue
		}
		h.dry = n < len(p) && !h.peerClosed
		if h.received(p[:n]); h.dry {
			return
		}
	}
}

// throwAway counts what a peer sends whose handshake has failed. One that goes on sending is closed at once.
func (h *handshake) throwAway(n int) {
	if h.thrown += n; h.thrown > handshakeInputMax {
		h.close()
	}
}

// room is how much may be read. If it is 0, reading goes on when the goroutine has read.
func (h *handshake) room() int {
	if h.state == handshakeLingering {
		return len(h.l.window)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	room := max(0, handshakeInputMax-(len(h.in)-h.used)) // split may have added some
	h.paused = room == 0
	return room
}

// received passes bytes on to the goroutine, or looks at them if it does not run yet.
func (h *handshake) received(p []byte) {
	h.mu.Lock()
	h.in = append(h.in, p...)
	h.mu.Unlock()
	if h.state == handshakeRunning {
		h.notify()
		return
	}
	switch first := looksLike(h.in); {
	case first == firstIsHTTP:
		h.refusePlain()
	case first == firstIsOther:
		h.fail(causeHandshakeNotTLS, nil)
	case first == firstIsWhole:
		h.state = handshakeRunning
		h.split, h.in = splitFirst(h.in)
		if h.b.tls != nil {
			h.setup, h.from = h.b.tls, h.b.services // it may have waited for longer than those before
		}
		if h.ending() { // the timer is that of awaitLast
			h.l.plain.cancelTimer(&h.timer)
			h.setTimeout()
		}
		h.brief = h.l.first.threaded && h.b.brief.onLoop()
		if !h.all.begin(h) {
			h.l.twin.countConnection(handshakesAbove, "", h.c.peer)
			h.refuse(alertInternalError)
		}
	}
}

// firstBytes is what a connection begins with.
type firstBytes uint8

const (
	firstIsPart  firstBytes = iota // of a TLS record
	firstIsWhole                   // TLS record, or the start of one that crypto/tls will refuse
	firstIsHTTP
	firstIsOther
)

func looksLike(p []byte) firstBytes {
	const handshakeRecord, headerLen = 22, 5
	switch {
	case p[0] >= 'A' && p[0] <= 'Z':
		return firstIsHTTP
	case p[0] != handshakeRecord:
		return firstIsOther
	case len(p) < headerLen:
		return firstIsPart
	}
	if n := int(p[3])<<8 | int(p[4]); n <= recordBytes && len(p) < headerLen+n {
		return firstIsPart
	}
	return firstIsWhole
}

// inputEnded: the peer has sent its FIN, or has gone.
func (h *handshake) inputEnded() {
	h.dry = false
	if h.state != handshakeRunning {
		h.fail(causeHandshakeCut, nil)
		return
	}
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.notify()
}

// notify makes whoever computes the handshake go on.
func (h *handshake) notify() {
	if h.brief {
		if h.fiber != nil {
			h.l.goOn(h)
		}
		return
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine. A function of the program that panics, or ends it, fails the handshake, as a handler fails its request.
func (h *handshake) run() {
	h.occupy()
	var conn *tls.Conn
	err := errHandshakePanic
	defer func() {
		if cause := recover(); cause != nil {
			h.countPanic(cause)
		}
		h.vacate()
		h.all.ended()
		h.l.plain.post(func() { h.done(conn, err) })
	}()
	if h.dial != nil {
		conn = tls.Client(h.c, h.setup.Config)
	} else {
		conn = tls.Server(h.c, h.setup.Config)
	}
	err = conn.Handshake()
}

// countPanic is called where a panic was recovered.
func (h *handshake) countPanic(cause any) {
	h.l.first.e.tally.Add(logging.Event{Level: slog.LevelError, Message: handshakesPanicked}, func() []slog.Attr {
		return append(clientAttr(h.c.peer), slog.String("err", logging.Quoted(fmt.Append(nil, cause), shownOfHandshakeError)), slog.String("stack", string(debug.Stack())))
	})
}

// occupy takes one of the slots of those that compute, for a time.
func (h *handshake) occupy() {
	h.all.slots <- struct{}{}
	if h.slot == nil {
		h.slot = time.AfterFunc(slotMost, func() { <-h.all.slots })
	} else {
		h.slot.Reset(slotMost)
	}
}

// vacate gives the slot back, if that was not done meanwhile.
func (h *handshake) vacate() {
	if h.slot.Stop() {
		<-h.all.slots
	}
}

// start makes the handshake begin. Any goroutine may call it; it is the loop's unless the handshake had to wait.
func (h *handshake) start(waited bool) {
	switch {
	case !h.brief:
		go h.run()
	case waited:
		h.l.plain.post(func() { h.l.computeSoon(h) })
	default:
		h.l.computeSoon(h)
	}
}

// read is tlsConn.Read on the goroutine, or on a fiber.
func (h *handshake) read(p []byte) (n int, err error) {
	for {
		n, more, err := h.take(p)
		if more {
			h.l.plain.post(h.receive)
		}
		if n > 0 || err != nil {
			h.c.taken.pass(p[:n])
			return n, err
		}
		if h.brief {
			h.fiber.awaitInput()
			continue
		}
		h.vacate()
		<-h.wake
		h.occupy()
	}
}

// take takes bytes from the peer, if there are any. more says that the loop has to go on reading.
func (h *handshake) take(p []byte) (n int, more bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n = copy(p, h.split.next(h.in, h.used))
	h.used += n
	switch {
	case h.used < len(h.in):
	case n == 0 && h.ended:
		err = io.EOF
	default:
		h.in, h.used, h.split = h.in[:0], 0, split{}
		more, h.paused = h.paused, false
	}
	return n, more, err
}

// write is tlsConn.Write on the goroutine, or on a fiber. The loop sends p.
func (h *handshake) write(p []byte) (n int, err error) {
	if h.brief {
		h.answer(p)
		return len(p), nil
	}
	own := append([]byte(nil), p...)
	if sent := h.l.plain.post(func() { h.answer(own) }); !sent {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

// answer sends what the handshake has written, unless it was given up.
func (h *handshake) answer(p []byte) {
	if h.state == handshakeRunning {
		h.answered = true
		h.send(p)
	}
}

// send sends bytes that are ciphertext, or not to be encrypted.
func (h *handshake) send(p []byte) {
	h.l.cipher = append(h.l.cipher[:0], p...)
	h.c.push()
}
