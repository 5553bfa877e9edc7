package engine

import (
	"io"
	"net/http"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// switching is a backend that changes every connection to a Protocol.
type switching struct {
	t        testing.TB
	protocol backend.Protocol
}

func (b *switching) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return switchingLoop{b, l}, nil
}

type switchingLoop struct {
	*switching
	l backend.Loop
}

func (l switchingLoop) Start(x backend.Exchange, h *httpparse.Head, _ int, _ []byte, _ bool) (backend.Running, error) {
	l.l.Post(func() {
		if err := x.(backend.Upgrader).Upgrade([]byte(upgradeHead), l.protocol, backend.Bounds{}); err != nil {
			l.t.Error(err)
		}
	})
	return idleRunning{}, nil
}

// idleRunning is a Running that wants nothing.
type idleRunning struct{}

func (idleRunning) BodyRoom() (a, b []byte) { return nil, nil }
func (idleRunning) BodyCommit(int)          {}
func (idleRunning) BodyEnd()                {}
func (idleRunning) BodyAbort(bool)          {}
func (idleRunning) OutputRoom()             {}
func (idleRunning) PeerEnd()                {}
func (idleRunning) Cancel()                 {}

// switches reads the 101 response.
func (p *peer) switches() {
	p.t.Helper()
	res, err := http.ReadResponse(p.r, nil)
	if err != nil || res.StatusCode != 101 {
		p.t.Fatalf("%v, %v", res, err)
	}
}

// After a 101 the connection is the Protocol's, with TLS and without: the bytes that were sent early come first, and the end too if
// the peer has finished sending already.
func TestRawUpgrade(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, early := range []bool{false, true} {
			closed := make(chan error, 1)
			b := &switching{t: t, protocol: echo(t, func(_ backend.Conn, err error) { closed <- err })}
			e := startEngine(t, Options{Loops: 1})
			ln, err := e.Open("tcp4", "127.0.0.1:0", OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if secure {
				ln.SetTLS(&TLS{Config: serverConfig()})
			}
			if err := e.Serve(ln, b, 0, Limits{PeerEnd: PeerEndWait}); err != nil {
				t.Fatal(err)
			}
			var p *peer
			if secure {
				p = dialTLS(t, ln.Addr(), clientConfig())
			} else {
				p = dial(t, ln.Addr())
			}
			large := noise(3_000_000)
			p.say(upgradeRequest + "early")
			if early {
				p.CloseWrite()
				large = nil
			}
			p.switches()
			go func() {
				p.Write(large)
				p.CloseWrite()
			}()
			got, err := io.ReadAll(p.r)
			if want := "early" + string(large); err != nil || string(got) != want {
				t.Errorf("TLS %v, early end %v: %d bytes, %v, want %d", secure, early, len(got), err, len(want))
			}
			p.Close()
			if err := waitFor(t, closed, "end"); err != nil {
				t.Errorf("TLS %v, early end %v: %v", secure, early, err)
			}
		}
	}
}

// An upgraded connection is told when the engine drains.
func TestRawUpgradedDrains(t *testing.T) {
	opened := make(chan struct{})
	b := &switching{t: t, protocol: opener(func(c backend.Conn) backend.Stream {
		close(opened)
		return &drainCalls{calls{t: t, drain: func(c backend.Conn) { c.Write([]byte("bye")); c.Close() }}}
	})}
	e, addr := start(t, Options{Loops: 1}, Limits{}, b)
	p := dial(t, addr)
	p.say(upgradeRequest)
	p.switches()
	waitFor(t, opened, "upgrade")
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context()) }()
	got := make([]byte, 3)
	if _, err := io.ReadFull(p.r, got); err != nil || string(got) != "bye" {
		t.Errorf("%q, %v", got, err)
	}
	p.hearsEnd()
	if err := waitFor(t, drained, "end of Drain"); err != nil {
		t.Error(err)
	}
}
