package engine

import (
	"errors"
	"net"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/reactor/reactortest"
)

func TestServeTCP(t *testing.T) {
	e := startEngine(t, Options{Loops: 1})
	ln, err := e.ServeTCP("127.0.0.1:0", &testBackend{window: 64}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	p := dial(t, ln.Addr())
	p.say(get("/hello"))
	p.hears(200)
	p.Close()

	if _, err := e.ServeTCP(ln.Addr(), &testBackend{}, Limits{}); err == nil {
		t.Error("an address that is in use is served")
	}
	// After an error nobody listens.
	address := reactortest.FreePort(t)
	if _, err := e.ServeTCP(address, &testBackend{}, Limits{Fields: "no line"}); err == nil {
		t.Error("bad limits are served")
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("an address that is not served is listened on")
	}
	broken := errors.New("no")
	if _, err := e.ServeTCP("127.0.0.1:0", &failingBackend{err: broken}, Limits{}); !errors.Is(err, broken) {
		t.Errorf("a backend that cannot be attached: %v", err)
	}
}

// failingBackend cannot be attached.
type failingBackend struct{ err error }

func (b *failingBackend) Attach(backend.Loop) (backend.LoopBackend, error) { return nil, b.err }
