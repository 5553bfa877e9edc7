package tcpproxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
	"moonbridge/reactor/reactortest"
)

// patience bounds every wait of a test.
const patience = time.Minute

// rig is an engine with a proxy.
type rig struct {
	t       *testing.T
	proxy   *Proxy
	address string
	engine  *engine.Engine

	mu    sync.Mutex
	ended []Ended
	log   string
}

// Write implements io.Writer, for the log.
func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log += string(p)
	return len(p), nil
}

func newRig(t *testing.T, c Config, preface *backend.Preface) *rig {
	t.Helper()
	return newRigTLS(t, c, preface, nil)
}

// newRigTLS is newRig for clients that speak TLS, unless secure is nil.
func newRigTLS(t *testing.T, c Config, preface *backend.Preface, secure *engine.TLS) *rig {
	t.Helper()
	r := &rig{t: t}
	c.Logger = slog.New(slog.NewTextHandler(r, nil))
	c.Ended = func(e *Ended) {
		r.mu.Lock()
		defer r.mu.Unlock()
		about := *e.Client
		e.Client = &about
		r.ended = append(r.ended, *e)
	}
	r.proxy = New(c)
	var err error
	if r.engine, err = engine.New(engine.Options{Loops: 2, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.engine.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		if n := r.proxy.Sessions(); n != 0 {
			t.Errorf("%d sessions left", n)
		}
	})
	ln, err := r.engine.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetPreface(preface)
	ln.SetTLS(secure)
	if err := r.engine.ServeProtocol(ln, r.proxy, engine.ProtocolOptions{Bounds: r.proxy.Bounds()}); err != nil {
		t.Fatal(err)
	}
	r.address = ln.Addr()
	return r
}

// over waits for the n-th session to be over, and returns it.
func (r *rig) over(n int) (e Ended) {
	r.t.Helper()
	until(r.t, "the session is over", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.ended) < n {
			return false
		}
		e = r.ended[n-1]
		return true
	})
	return e
}

func (r *rig) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log
}

// until waits until something is true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// set is a service with these targets.
func set(t *testing.T, o upstream.Options, addresses ...string) *upstream.Set {
	t.Helper()
	var targets []upstream.Target
	for _, a := range addresses {
		targets = append(targets, upstream.Target{Addr: a})
	}
	s, err := upstream.New(o, targets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// target calls serve for each connection.
func target(t *testing.T, serve func(c *net.TCPConn)) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				serve(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

// says is a target that sends text, then what it gets, and then closes.
func says(t *testing.T, text string) (address string) {
	t.Helper()
	return target(t, func(c *net.TCPConn) {
		io.WriteString(c, text)
		io.Copy(c, c)
	})
}

// nobody is an address that refuses connections.
func nobody(t *testing.T) (address string) {
	t.Helper()
	return reactortest.FreePort(t)
}

func (r *rig) dial() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp4", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// refused reports whether a new connection is reset, perhaps while it is made.
func (r *rig) refused() bool {
	r.t.Helper()
	c := r.tryDial()
	if c == nil {
		return true
	}
	_, ok := isReset(c)
	return ok
}

// tryDial is dial for a connection that may be reset while it is made; then it returns nil.
func (r *rig) tryDial() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp4", r.address)
	if errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// ask sends text, finishes sending, and returns everything that comes back.
func (r *rig) ask(text string) string {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		r.t.Fatal(err)
	}
	c.CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil {
		r.t.Fatalf("%q, then %v", got, err)
	}
	return string(got)
}

// isReset reports whether the connection was reset.
func isReset(c net.Conn) (got []byte, reset bool) {
	got, err := io.ReadAll(c)
	return got, errors.Is(err, syscall.ECONNRESET)
}

func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
