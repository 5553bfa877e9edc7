package reactor

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEcho(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = t.TempDir() + "/echo.sock"
			}
			ln := listen(t, network, address, ListenOptions{})
			serve(t, ln, newEcho)
			conn := dial(t, ln)
			exchange(t, conn, []byte("hello"))
			exchange(t, conn, bytes.Repeat([]byte("0123456789"), 1<<18))
		})
	}
}

// TestHalfClose: bytes and the FIN that arrive in one event are both seen.
func TestHalfClose(t *testing.T) {
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{})
	l := serve(t, ln, newEcho)
	conn := dial(t, ln)
	conn.Write([]byte("last words"))
	conn.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "last words" {
		t.Errorf("%q, %v", got, err)
	}
	eventually(t, l, "closed", func() bool { return l.openCount() == 1 })
}

func TestManyConns(t *testing.T) {
	conns, rounds := 300, 20
	if testing.Short() {
		conns, rounds = 50, 5
	}
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{})
	l := serve(t, ln, newEcho)
	var all sync.WaitGroup
	for i := range conns {
		all.Go(func() {
			conn := dial(t, ln)
			for range rounds {
				exchange(t, conn, bytes.Repeat([]byte{byte(i)}, 1+i*37))
			}
			conn.Close()
		})
	}
	all.Wait()
	eventually(t, l, "all closed", func() bool { return l.openCount() == 1 })
}

// pauser reads only when the test calls read, one piece at a time, and remembers readiness meanwhile.
type pauser struct {
	fd       int
	readable bool
	edges    int
	got      []byte
}

func (p *pauser) Ready(got Readiness) {
	p.edges++
	p.readable = p.readable || got&Readable != 0
}

func (p *pauser) read() {
	b := make([]byte, 1000)
	n, errno := Read(p.fd, b)
	if errno == unix.EAGAIN {
		p.readable = false
	}
	p.got = append(p.got, b[:n]...)
}

// TestPauseAndContinue: while a reader pauses, full socket buffers stop the writer, and there are no turns. No byte is lost.
func TestPauseAndContinue(t *testing.T) {
	l := startLoop(t, Options{})
	a, b := pair(t)
	p := &pauser{fd: a}
	on(t, l, func() {
		if err := l.Add(a, p); err != nil {
			t.Error(err)
		}
	})
	sent := 0
	piece := bytes.Repeat([]byte("x"), 4096)
	for {
		n, errno := Write(b, piece)
		if errno == unix.EAGAIN {
			break
		}
		sent += n
	}
	eventually(t, l, "readable", func() bool { return p.readable })
	edges := 0
	on(t, l, func() { edges = p.edges })
	time.Sleep(20 * time.Millisecond)
	on(t, l, func() {
		if p.edges != edges {
			t.Errorf("%d further events while paused", p.edges-edges)
		}
		for p.readable {
			p.read()
		}
		if len(p.got) != sent {
			t.Errorf("%d bytes of %d", len(p.got), sent)
		}
	})
	Write(b, []byte("more"))
	eventually(t, l, "readable again", func() bool { return p.readable })
	unix.Close(b)
}

// TestCloseIsFinal: the first handler of a batch closes all descriptors. The others then get no event of that batch, their
// numbers are not reused before it ends, and no event reaches the wrong connection.
func TestCloseIsFinal(t *testing.T) {
	for range 100 {
		l := startLoop(t, Options{})
		const count = 20
		fds, peers := [count]int{}, [count]int{}
		closed := [count]bool{}
		reused := 0
		closeAll := func() {
			for i, fd := range fds {
				l.Close(fd)
				closed[i] = true
			}
			// A new descriptor must not get a number for which events are still pending.
			for range 5 {
				a, b := pair(t)
				for _, fd := range fds {
					if a == fd || b == fd {
						reused++
					}
				}
				unix.Close(b)
				if err := l.Add(a, ready(func(got Readiness) {
					if got&(PeerClosed|Hangup) != 0 && l.lookup(a) != nil {
						l.Close(a)
					}
				})); err != nil {
					t.Error(err)
				}
			}
		}
		on(t, l, func() {
			for i := range count {
				fds[i], peers[i] = pair(t)
				if err := l.Add(fds[i], ready(func(got Readiness) {
					switch {
					case closed[i]:
						t.Errorf("event %b of %d after Close", got, i)
					case got&Readable != 0:
						closeAll()
					}
				})); err != nil {
					t.Error(err)
				}
			}
		})
		on(t, l, func() {
			for _, fd := range peers { // all become ready in one batch
				Write(fd, []byte("x"))
			}
		})
		eventually(t, l, "all closed", func() bool { return l.openCount() == 0 && closed[0] })
		if reused > 0 {
			t.Fatalf("%d numbers were reused too early", reused)
		}
		for _, fd := range peers {
			unix.Close(fd)
		}
	}
}

// TestReuseUnderChurn: descriptors are closed and opened as fast as possible. A stale event would reach a new connection as a
// Hangup although its peer is still there.
func TestReuseUnderChurn(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	l := startLoop(t, Options{})
	done := make(chan struct{})
	alive := 0
	var open func()
	open = func() {
		if rounds == 0 {
			return
		}
		rounds--
		a, b := pair(t)
		alive++
		gone := false
		if err := l.Add(a, ready(func(got Readiness) {
			if got&(PeerClosed|Hangup) != 0 && !gone {
				t.Errorf("stale event %b", got)
			}
			if gone {
				l.Close(a)
				alive--
				open()
				if alive < 100 {
					open()
				}
				if alive == 0 {
					close(done)
				}
			}
		})); err != nil {
			t.Error(err)
		}
		l.Post(func() { gone = true; unix.Close(b) })
	}
	on(t, l, func() {
		for range 10 {
			open()
		}
	})
	wait(t, done, "end")
}

func TestWatch(t *testing.T) {
	l := startLoop(t, Options{})
	a, b := pair(t)
	defer unix.Close(b)
	rings := 0
	on(t, l, func() {
		if err := l.Watch(a, func() { rings++ }); err != nil {
			t.Error(err)
		}
		if l.openCount() != 0 {
			t.Error("a watched descriptor counts as owned")
		}
	})
	for i := range 3 { // an edge each, although nothing is read
		Write(b, []byte("x"))
		eventually(t, l, "rung", func() bool { return rings == i+1 })
	}
	on(t, l, func() {
		if err := l.Unwatch(a); err != nil {
			t.Error(err)
		}
		if err := l.Unwatch(a); err == nil {
			t.Error("a second Unwatch succeeds")
		}
	})
	Write(b, []byte("x"))
	time.Sleep(10 * time.Millisecond)
	on(t, l, func() {
		if rings != 3 {
			t.Errorf("%d rings after Unwatch", rings)
		}
		if err := l.Watch(a, func() {}); err != nil {
			t.Error(err)
		}
		l.Close(a) // even a watched one
	})
	eventually(t, l, "closed", func() bool { return !isOpen(a) || l.lookup(a) == nil && l.openCount() == 0 })
}

func TestRegisterErrors(t *testing.T) {
	l := startLoop(t, Options{})
	a, b := pair(t)
	defer unix.Close(b)
	on(t, l, func() {
		if err := l.Add(-1, ready(nil)); err == nil {
			t.Error("-1 is registered")
		}
		if err := l.Add(a, ready(func(Readiness) {})); err != nil {
			t.Error(err)
		}
		if err := l.Add(a, ready(func(Readiness) {})); err == nil {
			t.Error("registered twice")
		}
		if err := l.Add(1<<20+7, ready(nil)); err == nil || l.openCount() != 1 {
			t.Errorf("a descriptor that is not open: %v", err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("Close of an unknown descriptor does not panic")
				}
			}()
			l.Close(b)
		}()
	})
}

// TestCloseAtTheBell: a turn can end in the middle of a batch. A descriptor that is closed then must keep its number while events
// of that batch are left. Otherwise its hangup would reach the next connection with that number.
func TestCloseAtTheBell(t *testing.T) {
	l := startLoop(t, Options{})
	first, firstPeer := pair(t)
	between, betweenPeer := pair(t)
	doomed, doomedPeer := pair(t)
	opened := make(chan struct{})
	add := func(fd int, h ready) {
		if err := l.Add(fd, h); err != nil {
			t.Error(err)
		}
	}
	on(t, l, func() {
		add(first, func(got Readiness) {
			if got&(Readable|PeerClosed) != Readable {
				return
			}
			// The bell has been rung for this turn, so the next batch is: bell (with the task), between, doomed.
			Write(betweenPeer, []byte("x"))
			unix.Close(doomedPeer)
			l.Post(func() { l.Close(doomed) })
		})
		add(between, func(got Readiness) {
			if got&(Readable|PeerClosed) != Readable {
				return
			}
			a, b := pair(t) // the lowest free numbers
			for _, fd := range []int{a, b} {
				add(fd, func(got Readiness) {
					if got&(PeerClosed|Hangup) != 0 {
						t.Errorf("stale event %b", got)
					}
				})
			}
			l.After(10*time.Millisecond, func() { close(opened) })
		})
		add(doomed, func(got Readiness) {
			if got&(PeerClosed|Hangup) != 0 {
				t.Errorf("event %b after Close", got)
			}
		})
	})
	on(t, l, func() {}) // they have had their first event, writable
	time.Sleep(time.Millisecond)
	Write(firstPeer, []byte("x")) // and no posts until all is over
	wait(t, opened, "connection")
	eventually(t, l, "the other closed", func() bool { return l.openCount() == 4 })
	unix.Close(firstPeer)
	unix.Close(betweenPeer)
}
