package pool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
)

// rawPeer is the other end of a raw connection that was given to the pool.
type rawPeer struct {
	t *testing.T
	*net.TCPConn
	r   *bufio.Reader
	err error // of StartSocket
}

// connect makes a TCP connection, and gives its one end to a pool.
func (r *rig) connect(listener int) *rawPeer { return r.connectOn(0, listener) }

func (r *rig) connectOn(loop, listener int) *rawPeer {
	r.t.Helper()
	p, fd := r.tcpPair()
	r.startSocket(loop, p, fd, listener)
	return p
}

// startSocket gives the other end of a connection to a pool.
func (r *rig) startSocket(loop int, p *rawPeer, fd, listener int) {
	r.t.Helper()
	local, remote := p.RemoteAddr().(*net.TCPAddr).AddrPort(), p.LocalAddr().(*net.TCPAddr).AddrPort()
	var ends atomic.Int64
	r.sockets.Add(1)
	r.loops[loop].do(func() {
		p.err = r.lbs[loop].(backend.CountedSocketBackend).StartCountedSocket(fd, listener, local, remote, func() {
			r.sockets.Add(-1)
			if ends.Add(1) != 1 {
				r.t.Error("a raw connection has ended twice")
			}
		})
	})
	if p.err != nil {
		unix.Close(fd) // still ours
		r.sockets.Add(-1)
	}
}

// tcpPair makes a TCP connection: the peer's end, and a descriptor as the engine has it.
func (r *rig) tcpPair() (p *rawPeer, fd int) {
	r.t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testPatience))
	other, err := ln.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	defer other.Close()
	raw, err := other.(*net.TCPConn).SyscallConn()
	if err == nil {
		raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 3) })
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return &rawPeer{t: r.t, TCPConn: c.(*net.TCPConn), r: bufio.NewReader(c)}, fd
}

// ask sends a line and returns the answer.
func (p *rawPeer) ask(line string) string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p, line); err != nil {
		p.t.Fatal(err)
	}
	answer, err := p.r.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%s: %v", line, err)
	}
	return strings.TrimSuffix(answer, "\n")
}

// end hears the end of the connection: how it ended.
func (p *rawPeer) end() error {
	_, err := io.Copy(io.Discard, p.r)
	return err
}

func (p *rawPeer) wantReset() {
	p.t.Helper()
	if err := p.end(); !errors.Is(err, syscall.ECONNRESET) {
		p.t.Errorf("error %v, want a reset", err)
	}
}

// finish ends the connection from this side, and hears the worker's end.
func (p *rawPeer) finish() {
	p.t.Helper()
	p.CloseWrite()
	if err := p.end(); err != nil {
		p.t.Error(err)
	}
}
