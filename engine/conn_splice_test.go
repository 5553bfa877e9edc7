package engine

import (
	"fmt"
	"io"
	"syscall"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/reactor"
)

// mover is a backend on one loop, whose only exchange at a time sends what a raw connection receives, by OutputConn where that is
// possible. It belongs to the loop.
type mover struct {
	t    *testing.T
	size int64

	l       backend.Loop
	from    backend.Conn
	x       backend.Exchange // nil: there is none
	head    string
	left    int64
	blocked bool
	moved   int64 // by OutputConn
	copied  int64
	more    bool   // there is something after the body
	most    int64  // that is asked of OutputConn at a time; 0: all
	told    func() // called by Data; nil: nothing is
}

const moverHead = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

func (m *mover) Attach(l backend.Loop) (backend.LoopBackend, error) {
	m.l = l
	return m, nil
}

func (m *mover) Start(x backend.Exchange, _ *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	m.x, m.left, m.blocked = x, m.size, false
	m.head = fmt.Sprintf(moverHead, m.size)
	m.l.Post(m.pass)
	return m, nil
}

// pass passes on what there is.
func (m *mover) pass() {
	for m.x != nil && m.from != nil && !m.blocked {
		unread := m.from.Unread()
		unread = unread[:min(int64(len(unread)), m.left)]
		if missing := m.left - int64(len(unread)); missing > 0 && !m.from.Ended() {
			if m.most > 0 {
				missing = min(missing, m.most)
			}
			if s := m.x.(backend.ConnSender).OutputConn([]byte(m.head), m.from, missing); s.Done {
				m.head = ""
				m.moved += s.Moved
				m.took(int64(len(unread)) + s.Moved)
				m.blocked, m.more = s.Full, s.More
				if s.Moved == missing {
					continue // with the rest, if there is one
				}
				return
			}
		}
		if len(m.head)+len(unread) == 0 {
			return
		}
		n := m.x.Output([]byte(m.head), unread, int64(len(unread)) == m.left)
		m.blocked = n < len(m.head)+len(unread)
		ofHead := min(n, len(m.head))
		m.head = m.head[ofHead:]
		m.copied += int64(n - ofHead)
		m.from.Discard(n - ofHead)
		m.took(int64(n - ofHead))
	}
}

func (m *mover) took(n int64) {
	if m.left -= n; m.left == 0 {
		x := m.x
		m.x = nil
		x.Done(backend.EndKeep)
	}
}

func (m *mover) BodyRoom() (a, b []byte) { return nil, nil }
func (m *mover) BodyCommit(int)          {}
func (m *mover) BodyEnd()                {}
func (m *mover) BodyAbort(bool)          {}
func (m *mover) PeerEnd()                {}
func (m *mover) Cancel()                 { m.x = nil }

func (m *mover) OutputRoom() {
	m.blocked = false
	m.from.Resume()
	m.pass()
}

func (m *mover) Data(backend.Conn) {
	if m.told != nil {
		m.told()
	}
	m.pass()
}
func (m *mover) Room(backend.Conn)          {}
func (m *mover) Closed(backend.Conn, error) { m.from = nil }

// startMover serves m, and opens the connection that its bytes come from.
func startMover(t *testing.T, m *mover, o Options, lim Limits) (e *Engine, addr string, source *peer) {
	t.Helper()
	e = startEngine(t, o)
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, m, 0, lim); err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	in := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream {
		m.from = c
		close(opened)
		return m
	}), backend.Bounds{})
	source = dial(t, in.Addr())
	waitFor(t, opened, "connection")
	return e, ln.Addr(), source
}

// A body gets through, through pipes where the system has them, and by copying where it refuses them, from a socket or to it.
func TestOutputConn(t *testing.T) {
	const size = 5_000_000
	for name, prepare := range map[string]func(e *Engine, m *mover){
		"pipes":    func(*Engine, *mover) {},
		"in parts": func(_ *Engine, m *mover) { m.most = 50_000 },
		"no pipes": func(e *Engine, _ *mover) { e.loops[0].raw.pipes.max = 0 },
		"not from": func(e *Engine, _ *mover) {
			e.loops[0].sys.splice = func(int, int, int) (int, syscall.Errno) { return 0, syscall.EINVAL }
		},
		"not to": func(e *Engine, m *mover) {
			e.loops[0].sys.splice = func(from, to, n int) (int, syscall.Errno) {
				if from == m.from.(*rawConn).socket.fd {
					return reactor.Splice(from, to, n)
				}
				return 0, syscall.EINVAL
			}
		},
		"little": func(e *Engine, _ *mover) { // few bytes come at a time
			splice := e.loops[0].sys.splice
			if splice != nil {
				e.loops[0].sys.splice = func(from, to, n int) (int, syscall.Errno) { return splice(from, to, min(n, 5000)) }
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &mover{t: t, size: size}
			log := make(chan int64, 10)
			e, addr, source := startMover(t, m, Options{Loops: 1, AccessLog: func(a *Access) { log <- a.Bytes }}, Limits{})
			onLoop(t, e.Loop(0), func() { prepare(e, m) })
			want := noise(2 * size)
			sending := sendAll(source, want)
			p := dial(t, addr)
			for i := range 2 {
				p.say(get("/"))
				if i == 0 {
					eventually(t, "bytes wait", func() (waits bool) {
						onLoop(t, e.Loop(0), func() { waits = m.blocked })
						return waits
					})
				}
				if got := p.hears(200); got != string(want[i*size:(i+1)*size]) {
					t.Errorf("body %d: %d other bytes", i, len(got))
				}
				if n := waitFor(t, log, "access log"); n < size {
					t.Errorf("access log: %d bytes", n)
				}
			}
			p.Close()
			sending.Wait()
			onLoop(t, e.Loop(0), func() {
				if uses := m.moved > size; uses != ((name == "pipes" || name == "in parts") && reactor.CanSplice) {
					t.Errorf("%d bytes moved, %d copied", m.moved, m.copied)
				}
			})
			if s := e.Stats()[0]; s.BytesRead < 2*size || s.BytesWritten < 2*size || s.Pipes != 0 {
				t.Errorf("%d bytes read, %d written, %d pipes", s.BytesRead, s.BytesWritten, s.Pipes)
			}
			onLoop(t, e.Loop(0), func() {
				if m.from != nil {
					m.from.Reset()
				}
			})
			source.Close()
		})
	}
}

// The access log has what the socket has taken, and nothing of what was in the pipe when the peer was found to be gone.
func TestOutputConnBroken(t *testing.T) {
	if !reactor.CanSplice {
		t.Skip("no splice(2) on this system")
	}
	const size, part = 5_000_000, 1000
	m := &mover{t: t, size: size}
	log := make(chan int64, 1)
	e, addr, source := startMover(t, m, Options{Loops: 1, AccessLog: func(a *Access) { log <- a.Bytes }}, Limits{})
	tries := 0
	onLoop(t, e.Loop(0), func() {
		e.loops[0].sys.splice = func(from, to, n int) (int, syscall.Errno) {
			switch {
			case from == m.from.(*rawConn).socket.fd:
				return reactor.Splice(from, to, n)
			case tries > 0:
				return 0, syscall.EPIPE
			}
			tries++
			return reactor.Splice(from, to, part)
		}
	})
	sending := sendAll(source, noise(size))
	p := dial(t, addr)
	p.say(get("/"))
	logged := waitFor(t, log, "access log")
	onLoop(t, e.Loop(0), func() {
		head := len(fmt.Sprintf(moverHead, size))
		if want := int64(e.loops[0].traffic.written) - int64(head); tries == 0 || logged != want {
			t.Errorf("logged %d bytes, the socket has taken %d", logged, want)
		}
		if m.from != nil {
			m.from.Reset()
		}
	})
	p.Close()
	source.Close()
	sending.Wait()
}

// While a body waits for its peer, the connection that it comes from holds no buffer for what it has passed on.
func TestOutputConnBuffers(t *testing.T) {
	if !reactor.CanSplice {
		t.Skip("no splice(2) on this system")
	}
	const rest = 60_000 // so little that the system has all of it before the first is passed on
	const size = rawInputDefault + rest
	m := &mover{t: t, size: size}
	e, addr, source := startMover(t, m, Options{Loops: 1}, Limits{})
	onLoop(t, e.Loop(0), func() {
		e.loops[0].sys.splice = func(from, to, n int) (int, syscall.Errno) {
			if from == m.from.(*rawConn).socket.fd {
				return reactor.Splice(from, to, n)
			}
			return 0, syscall.EAGAIN
		}
	})
	sending := sendAll(source, noise(size))
	eventually(t, "all has come", func() (is bool) {
		onLoop(t, e.Loop(0), func() {
			n, _ := reactor.Peek(m.from.(*rawConn).socket.fd, make([]byte, size))
			is = len(m.from.Unread()) == rawInputDefault && n == rest
		})
		return is
	})
	p := dial(t, addr)
	p.say(get("/"))
	eventually(t, "bytes wait in a pipe", func() (waits bool) {
		onLoop(t, e.Loop(0), func() { waits = m.moved == rest })
		return waits
	})
	if n := e.Stats()[0].Buffers; n != 0 {
		t.Errorf("%d buffers", n)
	}
	onLoop(t, e.Loop(0), func() { m.from.Reset() })
	p.Close()
	source.Close()
	sending.Wait()
}

// What a slow peer does not take goes into the spool, if there is one, after what waits in a pipe. So the source is done before the peer.
func TestOutputConnSpools(t *testing.T) {
	const size = 12_000_000
	m := &mover{t: t, size: size}
	e, addr, source := startMover(t, m, Options{Loops: 1}, Limits{SpoolOutput: 10 * size})
	want := noise(size)
	p := dial(t, addr)
	p.say(get("/"))
	sendAll(source, want).Wait()
	eventually(t, "all of the body is taken", func() (is bool) {
		onLoop(t, e.Loop(0), func() { is = m.left == 0 && m.x == nil })
		return is
	})
	if got := p.hears(200); got != string(want) {
		t.Errorf("%d bytes, equal up to %d", len(got), commonPrefix([]byte(got), want[:size]))
	}
	p.Close()
	onLoop(t, e.Loop(0), func() {
		if m.from != nil {
			m.from.Reset()
		}
	})
	source.Close()
}

// The connection tells whether something follows the bytes that were wanted.
func TestOutputConnMore(t *testing.T) {
	if !reactor.CanSplice {
		t.Skip("no splice(2) on this system")
	}
	const size = 100_000
	for name, after := range map[string]func(*peer){
		"nothing": func(*peer) {},
		"bytes":   func(p *peer) { io.WriteString(p, "x") },
		"end":     func(p *peer) { p.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			m := &mover{t: t, size: size}
			e, addr, source := startMover(t, m, Options{Loops: 1}, Limits{})
			onLoop(t, e.Loop(0), func() { m.from.(backend.Source).NextRead(4096) })
			onLoop(t, e.Loop(0), func() { m.from.Pause() }) // so that all of it has come when the response begins
			source.Write(noise(size))
			after(source)
			eventually(t, "all has come", func() (is bool) {
				room := make([]byte, size+1)
				onLoop(t, e.Loop(0), func() {
					c := m.from.(*rawConn)
					n, _ := reactor.Peek(c.socket.fd, room)
					is = n == size && name != "bytes" || n == size+1
					is = is && (name != "end" || c.socket.peerClosed)
				})
				return is
			})
			onLoop(t, e.Loop(0), func() { m.from.Resume() })
			p := dial(t, addr)
			p.say(get("/"))
			if got := p.hears(200); got != string(noise(size)) {
				t.Errorf("%d bytes, equal up to %d", len(got), commonPrefix([]byte(got), noise(size)))
			}
			onLoop(t, e.Loop(0), func() {
				if m.moved == 0 || m.more != (name != "nothing") {
					t.Errorf("%d bytes moved, more: %v", m.moved, m.more)
				}
				if m.from != nil {
					m.from.Reset()
				}
			})
			p.Close()
			source.Close()
		})
	}
}

// A body that comes as fast as it goes keeps the loop from the other connections for splicedPerTurn at a time only.
func TestSplicedPerTurn(t *testing.T) {
	if !reactor.CanSplice {
		t.Skip("there is no splice")
	}
	m := &mover{t: t, size: 8 << 20}
	e, addr, source := startMover(t, m, Options{Loops: 1}, Limits{})
	moved := make(chan int64, 1)
	onLoop(t, e.Loop(0), func() {
		e.loops[0].sys.splice = func(_, _, n int) (int, syscall.Errno) { return n, 0 } // as if
		m.told = func() {
			m.told = nil
			m.l.Post(func() { moved <- m.moved }) // the events of the turn are handled then
		}
	})
	p := dial(t, addr)
	p.say(get("/"))
	eventually(t, "the request is there", func() (is bool) {
		onLoop(t, e.Loop(0), func() { is = m.x != nil })
		return is
	})
	onLoop(t, e.Loop(0), func() {
		m.from.(backend.Source).NextRead(1) // so that it knows that there are more
		source.say("xx")
	})
	if n := waitFor(t, moved, "turn"); n < splicedPerTurn || n >= splicedPerTurn+reactor.PipeBytes {
		t.Errorf("%d bytes in a turn, want %d", n, splicedPerTurn)
	}
	onLoop(t, e.Loop(0), func() { m.from.Reset() })
	source.Close()
	p.Close()
}
