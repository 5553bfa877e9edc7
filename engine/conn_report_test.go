package engine

import (
	"fmt"
	"testing"
)

func TestConnStates(t *testing.T) {
	var got string
	begin := func(t *testing.T, access bool) *dialogue {
		d := newDialogue(t, Limits{})
		d.c.close()
		got = ""
		d.e.connState = func(c ConnInfo, s ConnState) { got += fmt.Sprint(s, " ") }
		d.e.observed = true
		if access {
			d.e.accessLog = func(*Access) { got += "logged " }
		}
		d.connects()
		return d
	}
	for _, c := range []struct {
		name string
		talk func(d *dialogue)
		want string
	}{
		{"nothing", func(d *dialogue) { d.peer.finishes("") }, "new closed "},
		{"two requests", func(d *dialogue) {
			for range 2 {
				d.peer.says(get("/"))
				d.handler.answers("x")
			}
			d.peer.finishes("")
		}, "new active idle active idle closed "},
		{"pipelined", func(d *dialogue) {
			d.peer.says(get("/1"))
			one := first(d)
			two := d.handler.x
			d.handler.x = one
			d.handler.answers("x")
			d.handler.x = two
			d.handler.answers("y")
			d.peer.finishes("")
		}, "new active idle closed "},
		{"malformed", func(d *dialogue) { d.peer.says("x\r\n\r\n"); d.peer.finishes("") }, "new active closed "},
		{"unread body", func(d *dialogue) {
			d.peer.says(uploadOf(100_000))
			d.handler.answers("x")
			d.peer.says(string(make([]byte, 100_000)))
			d.peer.finishes("")
		}, "new active idle closed "},
		{"gone", func(d *dialogue) { d.peer.says(get("/")); d.peer.vanishes() }, "new active closed "},
		{"hijacked", func(d *dialogue) {
			d.peer.says(get("/"))
			if c, err := d.handler.hijacks(""); err == nil {
				c.Close()
			}
		}, "new active hijacked "},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.talk(begin(t, false))
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	d := begin(t, true)
	d.peer.says(get("/"))
	d.handler.answers("x")
	if got != "new active logged idle " {
		t.Errorf("with an access log: %q", got)
	}
}

// A connection with TLS has the same states, from the end of its handshake on.
func TestTLSConnStates(t *testing.T) {
	states := make(chan ConnState, 100)
	_, addr := startTLS(t, Options{Loops: 1, ConnState: func(_ ConnInfo, s ConnState) { states <- s }}, Limits{}, &testBackend{}, &TLS{Config: serverConfig()})
	quiet := dialTLS(t, addr, clientConfig())
	if got := waitFor(t, states, "state"); got != ConnNew {
		t.Errorf("after the handshake it is %v", got)
	}
	quiet.Close()
	if got := waitFor(t, states, "state"); got != ConnClosed {
		t.Errorf("without a request it is %v at last", got)
	}
	p := dialTLS(t, addr, clientConfig())
	p.say(get("/hello"))
	p.hears(200)
	p.Close()
	for _, want := range []ConnState{ConnNew, ConnActive, ConnIdle, ConnClosed} {
		if got := waitFor(t, states, "state"); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}
