package proxy

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hold keeps a loop of the rig busy until release is called. What arrives meanwhile is in its next batch, in this order.
func (r *rig) hold(loop int) (release func()) {
	busy, gate := make(chan struct{}), make(chan struct{})
	r.e.Loop(loop).Post(func() { close(busy); <-gate })
	<-busy
	return func() { close(gate) }
}

// arrived waits until the other end of a connection has everything that was sent, and the end if that was sent too.
func arrived(t *testing.T, c net.Conn, end bool) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	until(t, "all has arrived", func() (ok bool) {
		raw.Control(func(fd uintptr) {
			n, err1 := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			info, err2 := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			const finWait2 = 5
			ok = err1 == nil && err2 == nil && n == 0 && (!end || info.State == finWait2)
		})
		return ok
	})
}

// A request comes in the same batch of events as bytes or the end of the unused connection, and before them. It does not get that
// connection: bytes on it were an answer to nobody, and a POST would have to be refused.
func TestUnusedConnectionSpoiledInTheSameTurn(t *testing.T) {
	for name, spoil := range map[string]func(*peer){
		"bytes":    func(p *peer) { p.send("x") },
		"response": func(p *peer) { p.send(ok("of another")) },
		"end":      func(p *peer) { p.closeWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			first := make(chan *peer, 1)
			a := newTarget(t, func(p *peer) {
				if p.n > 1 {
					answering(ok(fmt.Sprint(p.n)))(p)
					return
				}
				p.request()
				p.send(ok("1"))
				first <- p
				if text := p.request(); text != "" {
					t.Errorf("a connection that is of no use has got %q", text)
				}
			})
			r := newRig(t, rigOptions{}, a)
			c := r.dial(get)
			c.reply("GET").want(t, 200, "1")
			p := <-first
			release := r.hold(0)
			c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
			arrived(t, c.Conn, false)
			spoil(p)
			arrived(t, p.Conn, name == "end")
			release()
			c.reply("POST").want(t, 200, "2")
		})
	}
}

// A tunnel that is closed for the engine to end loses nothing of what the client has sent, even if the target still sends.
func TestTunnelClosedWithBytesOnTheirWay(t *testing.T) {
	const size = 60_000 // the system keeps them for the target
	over := make(chan struct{})
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := ln.(*net.TCPListener).SyscallConn()
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
	if err != nil {
		t.Fatal(err)
	}
	a := serveTarget(t, ln, func(p *peer) {
		p.request()
		p.send(switching)
		<-over
		p.send("x")
		got, err := p.all()
		heard <- answer{got, err}
	})
	r := newRig(t, rigOptions{Config: Config{CloseDelay: -1}}, a)
	c := r.dial(upgrading)
	c.take(len(switched))
	c.send(strings.Repeat("y", size))
	arrived(t, c.Conn, false)
	r.hold(0)() // the loop has passed them on
	drained := make(chan error, 1)
	go func() { drained <- r.e.Drain(t.Context()) }()
	if got, err := c.all(); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
	close(over)
	if got := <-heard; len(got.text) != size || got.err != nil {
		t.Errorf("%d bytes, %v", len(got.text), got.err)
	}
}
