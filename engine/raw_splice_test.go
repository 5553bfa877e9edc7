package engine

import (
	"io"
	"net"
	"syscall"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// spliced is a connection of a source that is spliced to a connection whose peer does not read: bytes wait in a pipe.
type spliced struct {
	e      *Engine
	from   backend.Conn
	to     *rawConn
	peer   *peer
	source *peer
	closed chan error // of to
	sent   []byte     // by the source
}

// newSpliced waits until bytes are in the pipe, or held if there are no pipes here.
func newSpliced(t *testing.T, prepare func(e *Engine)) *spliced {
	t.Helper()
	x := &spliced{e: startEngine(t, Options{Loops: 1}), closed: make(chan error, 1), sent: noise(12_000_000)}
	if prepare != nil {
		onLoop(t, x.e.Loop(0), func() { prepare(x.e) })
	}
	conns := make(chan *rawConn, 1)
	end := serveRaw(t, x.e, "tcp4", opener(func(c backend.Conn) backend.Stream {
		conns <- c.(*rawConn)
		return &calls{t: t, closed: func(_ backend.Conn, err error) { x.closed <- err }}
	}), backend.Bounds{})
	x.peer = dial(t, end.Addr())
	x.to = waitFor(t, conns, "connection")
	start := serveRaw(t, x.e, "tcp4", opener(func(c backend.Conn) backend.Stream {
		x.from = c
		c.Splice(x.to)
		return &calls{t: t}
	}), backend.Bounds{})
	x.source = dial(t, start.Addr())
	go func() {
		x.source.Write(x.sent)
		x.source.CloseWrite()
	}()
	eventually(t, "bytes wait", func() bool {
		waits := false
		onLoop(t, x.e.Loop(0), func() { waits = x.to.Held() > 0 && !x.to.socket.writable })
		return waits
	})
	return x
}

// usesPipe says whether the bytes wait in a pipe.
func (x *spliced) usesPipe(t *testing.T) (is bool) {
	onLoop(t, x.e.Loop(0), func() { is = x.to.pipe != nil })
	return is
}

func (x *spliced) ends(t *testing.T) {
	t.Helper()
	onLoop(t, x.e.Loop(0), x.from.Reset)
	x.source.Close()
	x.peer.Close()
	eventually(t, "all has ended", func() bool { return x.e.Conns() == 0 })
}

// All bytes arrive, through pipes where the system has them.
func TestSpliceThroughPipe(t *testing.T) {
	x := newSpliced(t, nil)
	if x.usesPipe(t) != reactor.CanSplice {
		t.Errorf("a pipe is used: %v", !reactor.CanSplice)
	}
	readsAll(t, x.peer, x.sent)
	if s, n := x.e.Stats()[0], uint64(len(x.sent)); s.BytesRead != n || s.BytesWritten != n {
		t.Errorf("%d bytes read, %d written; want %d", s.BytesRead, s.BytesWritten, n)
	}
	x.ends(t)
}

// Without a pipe, or if the system refuses to splice, from a socket or to it, bytes are copied.
func TestSpliceWithoutPipe(t *testing.T) {
	for name, prepare := range map[string]func(e *Engine){
		"no pipe": func(e *Engine) { e.loops[0].raw.pipes.max = 0 },
		"not from": func(e *Engine) {
			e.loops[0].sys.splice = func(int, int, int) (int, syscall.Errno) { return 0, syscall.EINVAL }
		},
		"not to": func(e *Engine) {
			e.loops[0].sys.splice = func(from, to, n int) (int, syscall.Errno) {
				for _, c := range e.loops[0].raw.all() {
					if c.socket.fd == from {
						return reactor.Splice(from, to, n)
					}
				}
				return 0, syscall.EINVAL
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSpliced(t, prepare)
			if x.usesPipe(t) {
				t.Error("a pipe is used")
			}
			readsAll(t, x.peer, x.sent)
			x.ends(t)
		})
	}
}

// What the Stream writes itself comes after the bytes in the pipe, and before those that follow.
func TestSpliceAndWrite(t *testing.T) {
	x := newSpliced(t, nil)
	word := []byte("in between")
	at := 0
	onLoop(t, x.e.Loop(0), func() {
		at = int(x.to.written) + x.to.Held()
		x.to.Write(word)
	})
	readsAll(t, x.peer, append(append(append([]byte(nil), x.sent[:at]...), word...), x.sent[at:]...))
	x.ends(t)
}

// A connection that is closed, reset or detached while bytes are in its pipe sends them, or gives the pipe up.
func TestSpliceEnds(t *testing.T) {
	t.Run("Close", func(t *testing.T) {
		x := newSpliced(t, nil)
		at := 0
		onLoop(t, x.e.Loop(0), func() {
			at = int(x.to.written) + x.to.Held()
			x.to.Close()
		})
		readsAll(t, x.peer, x.sent[:at])
		x.ends(t)
	})
	t.Run("Reset", func(t *testing.T) {
		x := newSpliced(t, nil)
		onLoop(t, x.e.Loop(0), x.to.Reset)
		seesReset(x.peer)
		x.ends(t)
	})
	t.Run("peer resets", func(t *testing.T) {
		x := newSpliced(t, nil)
		x.peer.conn().SetLinger(0)
		x.peer.Close()
		if err := waitFor(t, x.closed, "end"); err == nil {
			t.Error("no error")
		}
		x.ends(t)
	})
	t.Run("Detach", func(t *testing.T) {
		x := newSpliced(t, nil)
		at := 0
		var conn net.Conn
		onLoop(t, x.e.Loop(0), func() {
			at = int(x.to.written) + x.to.Held()
			var err error
			if conn, err = x.to.Detach(); err != nil {
				t.Error(err)
			}
		})
		go func() {
			io.WriteString(conn, "detached")
			conn.Close()
		}()
		readsAll(t, x.peer, append(append([]byte(nil), x.sent[:at]...), "detached"...))
		x.ends(t)
	})
}

// Between TLS and a connection without it bytes are copied, since they have to be encrypted.
func TestSpliceTLS(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	behind := serveRaw(t, e, "tcp4", echo(t, nil), backend.Bounds{})
	over := make(chan struct{}, 2)
	addr := serveRawTLS(t, e, relayTo(t, addressOf("tcp4", behind.Addr()), true, func() { over <- struct{}{} }), backend.Bounds{})
	p := dialTLS(t, addr, clientConfig())
	want := noise(5_000_000)
	sending := sendAll(p, want)
	readsAll(t, p, want)
	sending.Wait()
	waitFor(t, over, "end of a side")
	waitFor(t, over, "end of the other side")
}
