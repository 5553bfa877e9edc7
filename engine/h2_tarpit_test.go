package engine

import (
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
)

// tarpitted is the connection of the only peer that was cut off, on the only loop, or nil.
func tarpitted(e *Engine) (c *rawConn) {
	e.onEveryLoop(func(l *loop) error {
		for _, other := range l.raw.all() {
			if other.tarpitted() && other.state == rawLingering {
				c = other
			}
		}
		return nil
	})
	return c
}

// inTarpit is a peer that was cut off. It has heard that, and which of its streams are lost.
func inTarpit(t *testing.T, e *Engine, addr string) *h2Peer {
	t.Helper()
	p := dialH2(t, addr)
	p.get(1, "/slow")
	p.get(3, "/slow")
	go func() {
		for range h2BudgetMax {
			p.WritePing(false, [8]byte{})
		}
	}()
	lost := map[uint32]bool{}
	for gone := false; !gone || len(lost) < 2; {
		switch f := p.next().(type) {
		case *http2.GoAwayFrame:
			gone = f.ErrCode == http2.ErrCodeEnhanceYourCalm
		case *http2.RSTStreamFrame:
			lost[f.StreamID] = f.ErrCode == http2.ErrCodeEnhanceYourCalm
		}
	}
	if !lost[1] || !lost[3] {
		t.Errorf("the streams are lost like this: %v", lost)
	}
	eventually(t, "the connection is in the tarpit", func() bool { return tarpitted(e) != nil })
	return p
}

// A peer that was cut off because of a flood sees no end of its connection for a while, and what it sends is not read.
func TestH2Tarpit(t *testing.T) {
	for _, drain := range []bool{false, true} {
		e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
		tarpits(e, 1<<40)
		p := inTarpit(t, e, addr)
		const more = 10_000 // fits into the buffers of the kernel
		if _, err := p.Conn.Write(make([]byte, more)); err != nil {
			t.Error(err)
		}
		eventually(t, "what the peer sends stays where it is", func() (stays bool) {
			c := tarpitted(e)
			e.onEveryLoop(func(*loop) error {
				n, err := unix.IoctlGetInt(c.socket.fd, unix.TIOCINQ)
				stays = err == nil && n >= more && !c.finSent
				return nil
			})
			return stays
		})
		dialH2(t, addr).lives(1)
		if drain { // with the engine
			go e.Shutdown(t.Context())
			p.goneWith()
			continue
		}
		p.Conn.Close()
		eventually(t, "the end, with that of the peer", func() bool { return tarpitted(e) == nil })
	}
}

// The time in the tarpit has an end.
func TestH2TarpitEnds(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	tarpits(e, 1<<40)
	p := inTarpit(t, e, addr)
	e.onEveryLoop(func(l *loop) error {
		c := l.raw.all()[0]
		c.timedOut(l.sys.nowMS())
		c.conclude()
		return nil
	})
	if code := p.goneWith(); code != ^http2.ErrCode(0) {
		t.Errorf("GOAWAY with %v, again", code)
	}
}

// A peer that has gone when it is cut off is not waited for.
func TestH2TarpitGone(t *testing.T) {
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	tarpits(e, 1<<40)
	p := dialH2(t, addr)
	p.lives(1)
	for range h2BudgetMax {
		p.WritePing(false, [8]byte{})
	}
	p.Conn.Close()
	eventually(t, "the end", func() bool { return e.conns.Load() == 0 })
}
