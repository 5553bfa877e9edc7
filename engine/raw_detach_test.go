package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// detaching is a Protocol that detaches each connection at the given moment, with bytes unread, and perhaps held.
func detaching(t *testing.T, from string, held int, to chan<- net.Conn) backend.Protocol {
	detach := func(c backend.Conn) {
		if held > 0 {
			c.Write(noise(held))
		}
		conn, err := c.Detach()
		if err != nil {
			t.Error(err)
		}
		if _, err := c.Detach(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("detached twice: %v", err)
		}
		c.Write([]byte("no"))
		to <- conn
	}
	return opener(func(c backend.Conn) backend.Stream {
		c.SetDeadline(time.Hour)
		s := &calls{t: t, closed: func(backend.Conn, error) { t.Error("Closed after Detach") }}
		switch from {
		case "Open":
			detach(c)
			return nil
		case "posted":
			s.data = func(c backend.Conn) {
				c.Pause()
				c.Loop().Post(func() { detach(c) })
			}
		default:
			s.data = func(c backend.Conn) {
				view := c.Unread()
				before := bytes.Clone(view)
				detach(c)
				if !bytes.Equal(view, before) {
					t.Error("the view has changed before Data returned")
				}
			}
		}
		return s
	})
}

// A detached connection returns the unread bytes first, and sends what was held first. It is a connection of its own then.
func TestRawDetach(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		for _, from := range []string{"Open", "Data", "posted"} {
			for _, held := range []int{0, 10, 8_000_000} {
				e := startEngine(t, Options{Loops: 1})
				detached := make(chan net.Conn, 1)
				ln := serveRaw(t, e, network, detaching(t, from, held, detached), backend.Bounds{})
				p := dialOn(t, ln.r.Addr().Network(), ln.Addr())
				p.say("first")
				c := waitFor(t, detached, "connection")
				if e.Conns() != 0 {
					t.Errorf("%d connections are counted", e.Conns())
				}
				p.say(", then")
				p.CloseWrite()
				var done sync.WaitGroup
				done.Go(func() {
					if got, err := io.ReadAll(c); err != nil || string(got) != "first, then" {
						t.Errorf("%s from %s: %q, %v", network, from, got, err)
					}
					io.WriteString(c, "the end")
					c.Close()
				})
				readsAll(t, p, append(noise(held), "the end"...))
				done.Wait()
			}
		}
	}
}

// What is held is sent although nothing is written any more, and the connection is closed at once.
func TestDetachedClose(t *testing.T) {
	for _, write := range []bool{false, true} {
		e := startEngine(t, Options{Loops: 1})
		detached := make(chan net.Conn, 1)
		ln := serveRaw(t, e, "tcp4", detaching(t, "Open", 8_000_000, detached), backend.Bounds{})
		p := dial(t, ln.Addr())
		c := waitFor(t, detached, "connection")
		want := noise(8_000_000)
		if write {
			var done sync.WaitGroup
			done.Go(func() {
				c.(interface{ CloseWrite() error }).CloseWrite()
			})
			readsAll(t, p, want)
			done.Wait()
			c.Close()
			continue
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.Write([]byte("no")); err == nil {
			t.Error("a closed connection takes bytes")
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a closed connection returns bytes")
		}
		readsAll(t, p, want)
	}
}

// Deadlines interrupt a write that waits for what is held, and the next one goes on where it stopped.
func TestDetachedDeadline(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	detached := make(chan net.Conn, 1)
	ln := serveRaw(t, e, "tcp4", detaching(t, "Open", 20_000_000, detached), backend.Bounds{})
	p := dial(t, ln.Addr())
	c := waitFor(t, detached, "connection")
	c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	var timeout net.Error
	if _, err := c.Write([]byte("x")); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v, want a timeout", err)
	}
	c.SetWriteDeadline(time.Time{})
	var done sync.WaitGroup
	done.Go(func() {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		c.Close()
	})
	readsAll(t, p, append(noise(20_000_000), 'x'))
	done.Wait()
}

// io.Copy from and to a detached connection copies all of it.
func TestDetachedCopy(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	detached := make(chan net.Conn, 1)
	ln := serveRaw(t, e, "tcp4", detaching(t, "Data", 3_000_000, detached), backend.Bounds{})
	p := dial(t, ln.Addr())
	want := noise(5_000_000)
	sending := sendAll(p, want)
	c := waitFor(t, detached, "connection")
	go func() {
		defer c.Close()
		if n, err := io.Copy(c, c); n != int64(len(want)) || err != nil {
			t.Errorf("%d bytes copied, %v", n, err)
		}
	}()
	readsAll(t, p, append(noise(3_000_000), want...))
	sending.Wait()
}

// accepted returns a connection that no engine has, and its peer.
func accepted(t *testing.T) (net.Conn, *peer) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := dialOn(t, "tcp4", ln.Addr().String())
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, p
}

// What is held is sent after Close, even if an attempt to send it has failed before. Then the connection is closed.
func TestDetachedClosesAfterError(t *testing.T) {
	c, p := accepted(t)
	c.SetWriteDeadline(time.Unix(1, 0))
	held := noise(100_000)
	d := newDetached(c, nil, held).(*detachedConn)
	eventually(t, "the attempt has failed", func() bool {
		_, err := d.Write([]byte("x"))
		return errors.Is(err, os.ErrDeadlineExceeded)
	})
	d.Close()
	readsAll(t, p, held)
}

// failing is a connection whose first write is told to end, and fails then.
type failing struct {
	streamConn
	first sync.Once
	began chan struct{}
	fail  chan struct{}
}

func (f *failing) Write(b []byte) (n int, err error) {
	f.first.Do(func() {
		close(f.began)
		<-f.fail
		err = os.ErrDeadlineExceeded
	})
	if err != nil {
		return 0, err
	}
	return f.streamConn.Write(b)
}

// A write under way while the connection is closed may fail because of an earlier deadline. What is held is sent all the same.
func TestDetachedClosesWhileWriteFails(t *testing.T) {
	c, p := accepted(t)
	f := &failing{streamConn: c.(streamConn), began: make(chan struct{}), fail: make(chan struct{})}
	held := noise(100_000)
	d := newDetached(f, nil, held)
	<-f.began
	d.Close()
	close(f.fail)
	readsAll(t, p, held)
}

// A connection that has ended by Close has no descriptor that could leave the loop, before Closed and after it.
func TestDetachAfterClose(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	errs := make(chan error, 2)
	detach := func(c backend.Conn) {
		conn, err := c.Detach()
		if err == nil {
			conn.Close()
		}
		errs <- err
	}
	ln := serveRaw(t, e, "tcp4", opener(func(c backend.Conn) backend.Stream {
		return &calls{t: t,
			data: func(c backend.Conn) {
				c.Close() // sends the FIN at once
				detach(c)
			},
			closed: func(c backend.Conn, _ error) { c.Loop().Post(func() { detach(c) }) },
		}
	}), backend.Bounds{})
	p := dial(t, ln.Addr())
	p.say("x")
	p.CloseWrite()
	for _, when := range []string{"after Close", "after Closed"} {
		if err := <-errs; err != net.ErrClosed {
			t.Errorf("%s: %v", when, err)
		}
	}
	p.Close()
}

// holding returns a connection that sends b with small buffers, and its peer. With TLS both are encrypted.
func holding(t *testing.T, b []byte, secure bool) (*detachedConn, net.Conn) {
	t.Helper()
	c, client := accepted(t)
	var p net.Conn = client.stream
	p.(*net.TCPConn).SetReadBuffer(16 << 10)
	c.(*net.TCPConn).SetWriteBuffer(16 << 10)
	if secure {
		server, client := tls.Server(c, serverConfig()), tls.Client(p, clientConfig())
		go client.Handshake()
		if err := server.Handshake(); err != nil {
			t.Fatal(err)
		}
		c, p = server, client
	}
	return newDetached(c, nil, b).(*detachedConn), p
}

// The peer of a closed connection may take what is held as slowly as it likes, if it takes something in the usual time.
func TestDetachedSlowPeer(t *testing.T) {
	defer func(d time.Duration) { closePatience = d }(closePatience)
	closePatience = time.Hour // the test looks by itself
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			want := noise(200_000) // not more: each piece waits for an acknowledgement
			d, p := holding(t, want, secure)
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			var got []byte
			for piece := make([]byte, 10_000); len(got) < len(want); {
				// What the peer has acknowledged may have waited in its buffer: then left changes with a later piece.
				for before := left(d); len(got) < len(want); {
					n, err := p.Read(piece)
					if err != nil {
						t.Fatalf("after %d bytes: %v", len(got), err)
					}
					got = append(got, piece[:n]...)
					if now := left(d); now != before {
						d.look(before, now)
						break
					}
				}
			}
			if _, err := p.Read(make([]byte, 1)); err != io.EOF || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, equal up to %d, then %v", len(got), commonPrefix(got, want), err)
			}
			eventually(t, "it is closed", d.isOver)
		})
	}
}

// A peer that takes nothing is not waited for, and does not get a part that looks like all.
func TestDetachedStuckPeer(t *testing.T) {
	defer func(d time.Duration) { closePatience = d }(closePatience)
	closePatience = time.Millisecond
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			d, p := holding(t, noise(20_000_000), secure)
			d.Close()
			eventually(t, "it is closed", d.isOver)
			if n, err := io.Copy(io.Discard, p); err == nil {
				t.Errorf("%d bytes, and then the end", n)
			}
		})
	}
}

// A hijacked connection counts until what is held is sent.
func TestDetachedCounts(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	want := noise(1_000_000) // much more than the buffers
	d, p := holding(t, want, false)
	e.conns.Add(1)
	h := newHijacked(e, d, nil)
	h.Close()
	runtime.GC()
	if n := e.Conns(); n != 1 {
		t.Errorf("%d connections are counted", n)
	}
	readsAll(t, p, want)
	eventually(t, "it is closed", func() bool { return e.Conns() == 0 })
}

func (d *detachedConn) isOver() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// signalling says when something is first written to it.
type signalling struct {
	once  sync.Once
	began chan struct{}
}

func (s *signalling) Write(b []byte) (int, error) {
	s.once.Do(func() { close(s.began) })
	return len(b), nil
}

// After Close no call reads or writes any more, and each says why, whether something is still held or not. What is held is sent.
func TestDetachedCallsAfterClose(t *testing.T) {
	for _, held := range [][]byte{nil, noise(20_000_000)} {
		c, p := accepted(t)
		d := newDetached(c, []byte("unread"), bytes.Clone(held)).(*detachedConn)
		d.Close()
		var got bytes.Buffer
		for name, call := range map[string]func() error{
			"Read":             func() error { n, err := d.Read(make([]byte, 9)); got.Write(make([]byte, n)); return err },
			"WriteTo":          func() error { _, err := d.WriteTo(&got); return err },
			"Write":            func() error { _, err := d.Write([]byte("x")); return err },
			"ReadFrom":         func() error { _, err := d.ReadFrom(strings.NewReader("x")); return err },
			"CloseWrite":       d.CloseWrite,
			"SetDeadline":      func() error { return d.SetDeadline(time.Time{}) },
			"SetReadDeadline":  func() error { return d.SetReadDeadline(time.Time{}) },
			"SetWriteDeadline": func() error { return d.SetWriteDeadline(time.Unix(1, 0)) },
		} {
			if err := call(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s with %d bytes held: %v", name, len(held), err)
			}
		}
		if got.Len() > 0 {
			t.Errorf("%d bytes are read after Close", got.Len())
		}
		readsAll(t, p, held)
	}
}

// Close ends a WriteTo under way.
func TestDetachedCloseDuringWriteTo(t *testing.T) {
	for _, held := range [][]byte{nil, noise(20_000_000)} {
		c, p := accepted(t)
		d := newDetached(c, []byte("unread"), bytes.Clone(held)).(*detachedConn)
		to, ended := &signalling{began: make(chan struct{})}, make(chan error, 1)
		go func() {
			_, err := d.WriteTo(to)
			ended <- err
		}()
		<-to.began
		d.Close()
		if err := waitFor(t, ended, "the end of WriteTo"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d bytes held: %v", len(held), err)
		}
		readsAll(t, p, held)
	}
}
