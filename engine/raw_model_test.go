package engine

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
	"moonbridge/reactor"
	"moonbridge/timers"
)

// world is a loop without a poller, whose sockets and clock do what a random test says.
type world struct {
	t       *testing.T
	r       *rand.Rand
	e       *Engine
	l       *loop
	sockets map[int]*modelSocket
	wheel   *timers.Wheel
	posted  []func()
	nowMS   uint64
}

// modelSocket is a socket with edge-triggered events. Bytes of the peer go through inbox, bytes for the peer go to got.
type modelSocket struct {
	w        *world
	fd       int
	handler  reactor.Handler
	inbox    []byte
	fin      bool // the peer has finished sending
	sawEnd   bool // a read has returned the end
	dead     bool // the peer has reset the connection
	room     int
	got      []byte
	finGot   bool
	reset    bool
	closed   bool
	starving bool // a write found too little room: the next room is an edge
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 1)), sockets: map[int]*modelSocket{}, wheel: timers.NewWheel(0)}
	w.e = &Engine{log: slog.New(slog.DiscardHandler), connsMax: 100}
	w.e.spool = newSpooling(Spool{}, 100)
	w.e.tally = logging.NewTally(w.e.log)
	w.l = makeLoop(w.e, 0, system{
		read:           func(fd int, p []byte) (int, syscall.Errno) { return w.sockets[fd].read(p) },
		write:          func(fd int, p []byte) (int, syscall.Errno) { return w.sockets[fd].write(p, nil) },
		writev:         func(fd int, a, b []byte) (int, syscall.Errno) { return w.sockets[fd].write(a, b) },
		shutdownWrite:  func(fd int) error { w.sockets[fd].finGot = true; return nil },
		unacknowledged: func(int) int64 { return 0 },
		breakAfter:     func(int, uint64) {},
		resetOnClose:   func(fd int) error { w.sockets[fd].reset = true; return nil },
		add:            func(fd int, h reactor.Handler) error { w.sockets[fd].handler = h; return nil },
		close:          func(fd int) { w.sockets[fd].close() },
		post:           func(fn func()) bool { w.posted = append(w.posted, fn); return true },
		soon:           func(fn func()) { w.posted = append(w.posted, fn) },
		setTimer:       w.wheel.Set,
		cancelTimer:    w.wheel.Cancel,
		nowMS:          func() uint64 { return w.nowMS },
		wallClock:      time.Now,
	})
	return w
}

// connects makes a connection that p serves.
func (w *world) connects(p backend.Protocol, b backend.Bounds) *modelSocket {
	s := &modelSocket{w: w, fd: 100 + len(w.sockets)}
	w.sockets[s.fd] = s
	w.l.acceptRaw(&rawService{protocol: p, bounds: resolveBounds(b), addrs: &addrs{}}, s.fd, netip.AddrPort{}, 0)
	s.handler.Ready(reactor.Writable)
	return s
}

func (s *modelSocket) use() {
	if s.closed {
		s.w.t.Fatalf("socket %d is used after its end", s.fd)
	}
}

func (s *modelSocket) read(p []byte) (int, syscall.Errno) {
	s.use()
	switch {
	case len(p) == 0:
		s.w.t.Fatal("read without room")
	case s.sawEnd:
		s.w.t.Fatal("read after the end")
	case len(s.inbox) > 0:
		n := copy(p, s.inbox)
		s.inbox = s.inbox[n:]
		return n, 0
	case s.dead:
		return 0, syscall.ECONNRESET
	case s.fin:
		s.sawEnd = true
		return 0, 0
	}
	return 0, syscall.EAGAIN
}

func (s *modelSocket) write(a, b []byte) (int, syscall.Errno) {
	s.use()
	if s.finGot {
		s.w.t.Fatal("written after the FIN")
	}
	if s.dead {
		return 0, syscall.EPIPE
	}
	all := append(append([]byte(nil), a...), b...)
	n := min(s.room, len(all))
	s.got = append(s.got, all[:n]...)
	s.room -= n
	if n < len(all) {
		s.starving = true
	}
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	return n, 0
}

func (s *modelSocket) close() {
	s.use()
	s.closed = true
}

func (s *modelSocket) ready(got reactor.Readiness) {
	if !s.closed {
		s.handler.Ready(got)
	}
}

// sends is the peer sending.
func (s *modelSocket) sends(b []byte) {
	s.inbox = append(s.inbox, b...)
	s.ready(reactor.Readable)
}

// finishes is the peer's FIN.
func (s *modelSocket) finishes() {
	s.fin = true
	s.ready(s.hangup() | reactor.Readable | reactor.PeerClosed)
}

// hangup is what the system adds when both directions are closed.
func (s *modelSocket) hangup() reactor.Readiness {
	if s.finGot {
		return reactor.Hangup | reactor.Writable
	}
	return 0
}

// takes is the peer reading n bytes.
func (s *modelSocket) takes(n int) {
	s.room += n
	if s.starving && n > 0 {
		s.starving = false
		s.ready(reactor.Writable)
	}
}

// dies is the peer resetting the connection.
func (s *modelSocket) dies() {
	s.dead, s.inbox = true, nil
	s.ready(reactor.Readable | reactor.Writable | reactor.Hangup)
}

// turn runs what was posted so far.
func (w *world) turn() {
	tasks := w.posted
	w.posted = nil
	for _, fn := range tasks {
		fn()
	}
}

func (w *world) settle() {
	for len(w.posted) > 0 {
		w.turn()
	}
}

// leftovers checks that everything has been given back.
func (w *world) leftovers() {
	if n := w.l.pool.InUse(); n != 0 || w.l.raw.conns.Len() != 0 || w.wheel.Len() != 0 || w.e.conns.Load() != 0 {
		w.t.Errorf("left: %d buffers, %d connections, %d timers, %d counted", n, w.l.raw.conns.Len(), w.wheel.Len(), w.e.conns.Load())
	}
	for _, s := range w.sockets {
		if !s.closed {
			w.t.Errorf("socket %d is open", s.fd)
		}
	}
}

// modelSide is one side of a relay in a random test.
type modelSide struct {
	calls
	c      backend.Conn
	s      *modelSocket
	other  *modelSide
	sent   []byte // by its peer, in all
	plan   []byte // what its peer has still to send
	paused bool
	kind   int // how input is passed on
	err    error
	ends   bool // somebody has ended it on purpose
}

const (
	byFollow = iota
	bySplice
	byHand // pauses, and resumes in Room
	kinds
)

func (m *modelSide) pass(c backend.Conn) {
	n := len(c.Unread())
	if n > 1 && m.s.w.r.IntN(3) == 0 {
		n = m.s.w.r.IntN(n) // the rest later
		c.Loop()            // any call is allowed
	}
	m.other.c.Writev(c.Unread()[:n/2], c.Unread()[n/2:n])
	c.Discard(n)
	if len(c.Unread()) > 0 {
		m.s.w.l.sys.post(func() { m.passRest() })
		return
	}
	if c.Ended() {
		m.other.c.CloseWrite()
	}
	if m.kind == byHand && m.other.c.Full() {
		c.Pause()
	}
}

// passRest passes on what pass has left.
func (m *modelSide) passRest() {
	if m.over {
		return
	}
	n := len(m.c.Unread())
	m.other.c.Write(m.c.Unread())
	m.c.Discard(n)
	if m.c.Ended() {
		m.other.c.CloseWrite()
	}
}

// TestRawRelayModel lets two peers talk through a relay on which everything that may happen does, in random order.
func TestRawRelayModel(t *testing.T) {
	first := uint64(time.Now().UnixNano())
	t.Logf("first seed %d", first)
	rounds := uint64(2000)
	if testing.Short() {
		rounds = 300
	}
	for seed := first; seed < first+rounds; seed++ {
		relayModel(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func relayModel(t *testing.T, seed uint64) {
	w := newWorld(t, seed)
	bounds := backend.Bounds{Input: 1 + w.r.IntN(3000), Output: 1 + w.r.IntN(3000)}
	violent := w.r.IntN(3) == 0 // connections also break, and are reset or closed early
	sides := [2]*modelSide{{}, {}}
	kind := w.r.IntN(kinds)
	for i, m := range sides {
		m.t, m.other, m.kind = t, sides[1-i], kind
		m.plan = bytesOf(w.r, w.r.IntN(20_000))
		m.data = m.pass
		m.room = func(backend.Conn) {
			if m.kind == byHand && !m.other.paused {
				m.other.c.Resume()
			}
		}
		m.closed = func(c backend.Conn, err error) {
			m.err = err
			if err != nil || m.ends {
				m.other.ends = true
				m.other.c.Reset()
			}
		}
	}
	for _, m := range sides {
		m.s = w.connects(opener(func(c backend.Conn) backend.Stream { m.c = c; return m }), bounds)
	}
	for _, m := range sides {
		switch kind {
		case byFollow:
			m.c.Follow(m.other.c)
		case bySplice:
			m.c.Splice(m.other.c)
		}
	}
	for range 20 + w.r.IntN(200) {
		sides[w.r.IntN(2)].step(violent)
	}
	for _, m := range sides {
		m.paused = false
		m.c.Resume()
	}
	for len(sides[0].plan)+len(sides[1].plan) > 0 || !sides[0].s.fin || !sides[1].s.fin {
		for _, m := range sides {
			m.peerSends()
		}
	}
	for _, m := range sides {
		m.s.takes(1 << 30)
	}
	w.settle()
	for i, m := range sides {
		if !m.over {
			t.Errorf("side %d is not over (kind %d)", i, kind)
		}
		want := m.other.sent
		calm := m.err == nil && !m.ends && m.other.err == nil && !m.other.ends
		if calm && !bytes.Equal(m.s.got, want) || !bytes.HasPrefix(want, m.s.got) {
			t.Errorf("side %d got %d bytes, equal up to %d, want %d (kind %d)", i, len(m.s.got), commonPrefix(m.s.got, want), len(want), kind)
		}
		if calm && (!m.s.finGot || m.s.reset) {
			t.Errorf("side %d: end seen %v, reset %v", i, m.s.finGot, m.s.reset)
		}
		if !violent && !calm {
			t.Errorf("side %d: %v", i, m.err)
		}
		if m.err != nil && !errors.Is(m.err, syscall.ECONNRESET) && !errors.Is(m.err, syscall.EPIPE) {
			t.Errorf("side %d: %v", i, m.err)
		}
	}
	w.leftovers()
}

// step does one of the things that may happen to a side.
func (m *modelSide) step(violent bool) {
	w := m.s.w
	switch w.r.IntN(12) {
	case 0, 1, 2:
		m.peerSends()
	case 3, 4, 5:
		m.s.takes(w.r.IntN(4000))
	case 6:
		m.paused = true
		m.c.Pause()
	case 7, 8:
		m.paused = false
		m.c.Resume()
	case 9:
		if violent && w.r.IntN(20) == 0 {
			m.violate()
		}
	default:
		w.turn()
	}
	if held, b := m.c.Held(), m.c.(*rawConn).bounds; m.kind != byHand && held > b.output+2*b.input {
		w.t.Errorf("%d bytes held, the bounds are %d and %d", held, b.output, b.input)
	}
}

// violate ends the connection in some way.
func (m *modelSide) violate() {
	switch m.s.w.r.IntN(4) {
	case 0:
		if !m.s.fin {
			m.s.dies()
			m.plan, m.s.fin = nil, true
		}
	case 1:
		m.ends = true
		m.c.Reset()
	case 2:
		m.ends = true
		m.c.Close()
	case 3:
		m.c.SetDeadline(time.Hour)
	}
}

// peerSends is the peer sending a part of its plan, or the FIN after it.
func (m *modelSide) peerSends() {
	switch {
	case len(m.plan) > 0:
		n := 1 + m.s.w.r.IntN(min(len(m.plan), 3000))
		if !m.s.dead {
			m.sent = append(m.sent, m.plan[:n]...)
			m.s.sends(m.plan[:n])
		}
		m.plan = m.plan[n:]
	case !m.s.fin:
		m.s.finishes()
	}
}

func bytesOf(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// A Stream that closes while bytes are left in the socket does not leave them there: the peer may not read before it has sent them.
func TestRawCloseWithInputLeft(t *testing.T) {
	w := newWorld(t, 1)
	s := w.connects(opener(func(backend.Conn) backend.Stream {
		return &calls{t: t, data: func(c backend.Conn) {
			c.Write([]byte("held"))
			c.Close()
		}}
	}), backend.Bounds{})
	s.sends(bytesOf(w.r, 500_000))
	w.settle()
	if len(s.inbox) > 0 {
		t.Errorf("%d bytes are left", len(s.inbox))
	}
	s.takes(100)
	s.finishes()
	w.settle()
	if string(s.got) != "held" || !s.finGot {
		t.Errorf("the peer got %q, the end: %v", s.got, s.finGot)
	}
	w.leftovers()
}
