package engine

import (
	"testing"

	"moonbridge/handler/backend"
)

// The connections of HTTP and of Protocols fill the loops one after the other. Those of a backend that takes the
// sockets do not.
func TestFillLoops(t *testing.T) {
	counts := func(e *Engine) (accepted [2]uint64) {
		for i, s := range e.Stats() {
			accepted[i] = s.Accepted
		}
		return accepted
	}
	serves := map[string]func(e *Engine, ln *Listener) error{
		"HTTP": func(e *Engine, ln *Listener) error { return e.Serve(ln, &testBackend{}, 0, Limits{}) },
		"protocol": func(e *Engine, ln *Listener) error {
			p := opener(func(c backend.Conn) backend.Stream { return &calls{t: t, data: func(c backend.Conn) { c.Close() }} })
			return e.ServeProtocol(ln, p, ProtocolOptions{})
		},
	}
	for name, serve := range serves {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 2, Fill: 3})
			ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
			if err == nil {
				err = serve(e, ln)
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range [][2]uint64{{1, 0}, {2, 0}, {3, 0}, {3, 1}, {3, 2}, {3, 3}} {
				defer dial(t, ln.Addr()).Close()
				eventually(t, "it is accepted", func() bool { n := counts(e); return n[0]+n[1] == uint64(i+1) })
				if got := counts(e); got != want {
					t.Fatalf("%v, want %v", got, want)
				}
			}
		})
	}
	t.Run("sockets", func(t *testing.T) {
		e := startEngine(t, Options{Loops: 2, Fill: 1 << 20})
		ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
		if err == nil {
			err = e.ServeSockets(ln, &rawBackend{}, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ { // the kernel chooses
			if got := counts(e); got[0] > 0 && got[1] > 0 {
				break
			}
			if n > 200 {
				t.Fatal("a loop gets no connections")
			}
			dial(t, ln.Addr()).Close()
		}
	})
}
