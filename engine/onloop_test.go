package engine

import (
	"context"
	"errors"
	"testing"

	"moonbridge/handler/backend"
)

// Calls that would wait for the loop that makes them return at once, and change nothing.
func TestOnLoop(t *testing.T) {
	e := startEngine(t, Options{Loops: 2})
	ln := serveRaw(t, e, "tcp4", echo(t, nil), backend.Bounds{})
	ctx := context.Background()
	onLoop(t, e.Loop(1), func() {
		for name, call := range map[string]func() error{
			"Attach":        func() error { return e.Attach(&testBackend{}) },
			"Serve":         func() error { return e.Serve(ln, &testBackend{}, 0, Limits{}) },
			"ServeSockets":  func() error { return e.ServeSockets(ln, &rawBackend{}, 0) },
			"ServeProtocol": func() error { return e.ServeProtocol(ln, echo(t, nil), ProtocolOptions{}) },
			"Close":         ln.Close,
			"Drain":         func() error { return e.Drain(ctx) },
			"Retire":        func() error { return e.Retire(ctx) },
			"AwaitEnded":    func() error { return e.AwaitEnded(ctx) },
			"Shutdown":      func() error { return e.Shutdown(ctx) },
			"ServeTCP":      func() error { _, err := e.ServeTCP("127.0.0.1:0", &testBackend{}, Limits{}); return err },
			"OnSignal":      func() error { return e.ShutdownOnSignal(waitMost) },
		} {
			if err := call(); !errors.Is(err, ErrOnLoop) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	p := dial(t, ln.Addr())
	p.say("x")
	if c, err := p.r.ReadByte(); c != 'x' || err != nil {
		t.Errorf("%q, %v", c, err)
	}
	p.Close()
}
