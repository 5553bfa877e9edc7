package engine

import (
	"io"
	"path/filepath"
	"testing"

	"moonbridge/reactor"
)

// A connection that lingers reads to the end of what its peer sends, also if that comes together with the end.
func TestLingersToTheEnd(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	d.handler.answers("hello")
	d.peer.hears(200, "hello")
	d.peer.hearsEnd()
	d.peer.event(reactor.Readable | reactor.Hangup) // as kqueue reports our own FIN
	d.peer.hearsEnd()
	d.peer.unread, d.peer.finished = []byte("more"), true
	d.peer.event(reactor.Readable | reactor.Writable | reactor.PeerClosed | reactor.Hangup)
	d.peer.wantsClosed()
	if len(d.peer.unread) > 0 {
		t.Errorf("%q is unread: the peer is reset", d.peer.unread)
	}
}

// So does one that has not come as far as a connection with TLS. A Unix socket tells its peer of bytes that were unread, even if the
// peer has got everything.
func TestLingersToTheEndOnSocket(t *testing.T) {
	for name, setup := range map[string]*TLS{"HTTP": nil, "TLS": {Config: serverConfig()}} {
		t.Run(name, func(t *testing.T) {
			e := startEngine(t, Options{Loops: 1})
			ln, err := e.Open("unix", filepath.Join(t.TempDir(), "s"), OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ln.SetTLS(setup)
			if err := e.Serve(ln, &testBackend{window: 64}, 0, Limits{DrainTimeout: waitMost}); err != nil {
				t.Fatal(err)
			}
			p := dialOn(t, "unix", ln.Addr())
			p.say("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			if text, err := io.ReadAll(p.r); len(text) == 0 || err != nil {
				t.Fatalf("%q, %v", text, err)
			}
			onLoop(t, e.Loop(0), func() { // so that the loop hears of both together
				io.WriteString(p, "more")
				p.CloseWrite()
			})
			eventually(t, "the connection ends", func() bool { return e.Conns() == 0 })
			if _, err := p.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%v after the response, want the end", err)
			}
		})
	}
}
