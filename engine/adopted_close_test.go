package engine

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// inFlight is a listener that accepts a connection in the moment in which it is closed.
type inFlight struct {
	*memory
	c net.Conn
}

func (f *inFlight) Accept() (net.Conn, error) {
	<-f.closed
	if c := f.c; c != nil {
		f.c = nil
		return c, nil
	}
	return nil, net.ErrClosed
}

// A connection that was accepted while its listener was closed is answered: its peer could connect.
func TestAdoptedIsClosedMeanwhile(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), waitMost)
	defer cancel()
	for name, closing := range map[string]func(e *Engine, ln *Listener) error{
		"close":    func(_ *Engine, ln *Listener) error { return ln.Close() },
		"shutdown": func(e *Engine, _ *Listener) error { return e.Shutdown(ctx) },
		"hand over": func(e *Engine, ln *Listener) error {
			ln.HandOver()
			return e.Retire(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 2})
			from, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer from.Close()
			c, err := net.Dial("tcp4", from.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(waitMost))
			there, err := from.Accept()
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, get("/addrs")) // it has arrived before the end: a drain does not wait for a first request
			ln, err := e.Adopt(&inFlight{newMemory(), there})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{}); err != nil {
				t.Fatal(err)
			}
			if err := closing(e, ln); err != nil {
				t.Error(err)
			}
			p := &peer{t: t, r: bufio.NewReader(c)}
			p.hears(200)
		})
	}
}
