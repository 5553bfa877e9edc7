package engine

import (
	"runtime"
	"testing"
	"weak"
)

// A connection keeps no backend that has served its listener after its last request and before the present one. One with HTTP/2, which
// may last for days, and the conns that wait for its streams keep none but those of requests in progress.
func TestBackendsAreForgotten(t *testing.T) {
	e := startEngine(t, Options{Loops: 1, ConnState: func(ConnInfo, ConnState) {}})
	ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []weak.Pointer[testBackend]
	serve := func() {
		b := &testBackend{window: 64}
		if err := e.Serve(ln, b, 0, Limits{H2C: true, IdleTimeout: -1}); err != nil {
			t.Fatal(err)
		}
		if n := len(all); n > 0 {
			e.Detach(all[n-1].Value())
		}
		all = append(all, weak.Make(b))
	}
	forgotten := func(what string, list []weak.Pointer[testBackend]) {
		t.Helper()
		eventually(t, what, func() bool {
			runtime.GC()
			for _, b := range list {
				if b.Value() != nil {
					return false
				}
			}
			return true
		})
	}
	serve()
	p, h := dial(t, ln.Addr()), dialH2(t, ln.Addr())
	p.say(get("/hello"))
	p.hears(200)
	h.get(1, "/slow") // two streams at once, so that two conns wait for others afterwards
	h.get(3, "/slow")
	first := all[0].Value()
	eventually(t, "they run", func() bool { return first.count(&first.started) == 3 })
	first.release()
	first = nil
	h.wants(1, "200", "slow")
	h.wants(3, "200", "slow")
	for range 5 {
		serve()
	}
	forgotten("backends that no connection had", all[1:5])
	p.say(get("/hello"))
	p.hears(200)
	h.get(5, "/hello")
	h.wants(5, "200", "*")
	forgotten("the first one", all[:1])
	for range 5 {
		serve()
		h.get(uint32(2*len(all)-5), "/hello")
		h.wants(uint32(2*len(all)-5), "200", "*")
	}
	p.say(get("/hello"))
	p.hears(200)
	forgotten("backends of earlier streams", all[:len(all)-1])
}
