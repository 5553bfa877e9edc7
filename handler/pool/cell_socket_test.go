package pool

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
)

// A worker gets the socket and the addresses; then the pool is done with the connection.
func TestSocket(t *testing.T) {
	r := start(t, setup{})
	for range 3 {
		p := r.connect(rawAsk)
		l, a := p.RemoteAddr().(*net.TCPAddr), p.LocalAddr().(*net.TCPAddr)
		ip := append(slices.Clone([]byte(l.IP.To4())), make([]byte, 12)...)
		if got, want := p.ask("addrs"), fmt.Sprint(0, 0, 4, ip, l.Port, 4, ip, a.Port); got != want {
			t.Errorf("addresses %s, want %s", got, want)
		}
		if got := p.ask("hello"); got != "hello" {
			t.Errorf("got %q", got)
		}
		p.finish()
	}
	r.quiet()
	if s := r.p.Stats(); s.Exchanges != 3 || s.Deaths+s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Addresses of IPv6 sockets, and no addresses.
func TestSocketAddresses(t *testing.T) {
	r := start(t, setup{})
	for _, c := range []struct {
		local, remote string
		want          string
	}{
		{"[::1]:80", "[::ffff:1.2.3.4]:5", "6 [0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1] 80 6 [0 0 0 0 0 0 0 0 0 0 255 255 1 2 3 4] 5"},
		{"", "", "0 [0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0] 0 0 [0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0] 0"},
	} {
		var local, remote netip.AddrPort
		if c.local != "" {
			local, remote = netip.MustParseAddrPort(c.local), netip.MustParseAddrPort(c.remote)
		}
		p, fd := r.tcpPair()
		r.loops[0].do(func() { p.err = r.lbs[0].(backend.SocketBackend).StartSocket(fd, 0, local, remote) })
		if got := p.ask("addrs"); p.err != nil || got != "0 0 "+c.want {
			t.Errorf("addresses %s, %v, want %s", got, p.err, c.want)
		}
		p.finish()
	}
	r.quiet()
}

// Ways out of a cell without a worker that has finished with the socket.
func TestSocketEnds(t *testing.T) {
	for _, c := range []struct {
		name     string
		listener int
		options  [][3]any
		ends     []error // that the connection may have; nil: in order
	}{
		{"worker does not want it", rawDone, nil, []error{nil}},
		{"worker fails before it wants it", rawFailed, nil, []error{syscall.ECONNRESET}},
		{"worker dies each time", rawDie, nil, []error{syscall.ECONNRESET}},
		// Whether the socket is sent to a worker that is about to be gone depends on who is faster.
		{"worker dies each time when it has asked", rawDieAsking, nil, []error{syscall.ECONNRESET, nil}},
		{"request_timeout before it was passed", rawHang, [][3]any{{0, "request_timeout", 0.01}}, []error{syscall.ECONNRESET}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, setup{options: append(c.options, [3]any{0, "fork_error_delay", 0.01})})
			for range 3 {
				err := r.connect(c.listener).end()
				if !slices.ContainsFunc(c.ends, func(end error) bool { return errors.Is(err, end) }) {
					t.Errorf("error %v, want %v", err, c.ends)
				}
			}
			p := r.connect(rawOutput) // what it writes is thrown away
			if c.options == nil && p.ask("still there") != "still there" {
				t.Error("not served")
			}
			p.Close()
			r.quiet()
		})
	}
}

// A worker that dies before it has the socket loses nothing: another one gets it.
func TestSocketRetried(t *testing.T) {
	name := filepath.Join(t.TempDir(), "once")
	r := start(t, setup{script: name, options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}, {0, "fork_error_delay", 0.01}}})
	r.ready(1)
	p := r.connect(rawHangOnce)
	eventually(t, "the worker has it", func() bool { _, err := os.Stat(name); return err == nil })
	unix.Kill(r.h.pids()[0], unix.SIGKILL)
	if got := p.ask("hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	p.finish()
	r.quiet()
	eventually(t, "the retry is counted", func() bool { s := r.p.Stats(); return s.Retries == 1 && s.Lost == 0 })
}

// A worker that dies with the socket takes the connection down.
func TestSocketLost(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	p := r.connect(rawAsk)
	p.ask("hello")
	fmt.Fprintln(p, "die")
	p.end()
	eventually(t, "the death is counted", func() bool { s := r.p.Stats(); return s.Deaths == 1 && s.Lost == 1 && s.Retries == 0 })
	r.log.await(t, `end="signal SIGKILL" lost=1`)
	wantOut(t, r.get("hello?x"), "hello x")
	r.quiet()
}

// A handler that fails ends its worker. That is expected: no warning, and no pause before the next fork.
func TestSocketHandlerFails(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}, {0, "fork_error_delay", 3600}}})
	r.ready(1)
	for range 5 {
		p := r.connect(rawAsk)
		p.ask("hello")
		fmt.Fprintln(p, "fail")
		p.wantReset()
	}
	wantOut(t, r.get("hello?x"), "hello x")
	eventually(t, "five workers replaced", func() bool { return r.p.Stats().Forks == 6 })
	if s := r.p.Stats(); s.Deaths+s.Lost+s.Retries != 0 {
		t.Errorf("stats %+v", s)
	}
	if text := r.log.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
		t.Errorf("log:\n%s", text)
	}
	r.quiet()
}

func TestSocketQueueFull(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}, {0, "queue_limit", 2}}})
	r.ready(1)
	first := r.connect(rawAsk)
	first.ask("hello")
	waiting := []*rawPeer{r.connect(rawAsk), r.connect(rawAsk)}
	for range 3 {
		if p := r.connect(rawAsk); !errors.Is(p.err, backend.ErrQueueFull) {
			t.Errorf("error %v", p.err)
		}
	}
	if got := r.get("hello?"); !errors.Is(got.err, backend.ErrQueueFull) {
		t.Errorf("a request: %+v", got)
	}
	first.finish()
	for _, p := range waiting {
		if got := p.ask("now"); p.err != nil || got != "now" {
			t.Errorf("got %q, %v", got, p.err)
		}
		p.finish()
	}
	r.quiet()
}

func TestSocketQueueTimeout(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}, {0, "queue_timeout", 2}}})
	r.ready(1)
	first := r.connect(rawAsk)
	first.ask("hello")
	r.connect(rawAsk).wantReset()
	wantStatus(t, r.get("hello?"), 503)
	r.log.await(t, `level=WARN msg="connections refused" pool=0 cause=queue_timeout count=1 total=1 client=`)
	if got := first.ask("still"); got != "still" {
		t.Errorf("got %q", got)
	}
	first.finish()
	r.quiet()
}

// The time of a handler is limited in a raw connection too.
func TestSocketRequestTimeout(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "request_timeout", 0.1}}})
	p := r.connect(rawAsk)
	fmt.Fprintln(p, "hello")
	p.end()
	r.log.await(t, "request_timeout")
	eventually(t, "in time", func() bool { return r.get("hello?x").out == "hello x" })
	r.quiet()
}

// Only a worker with a raw connection gets a socket, and only once.
func TestSocketViolations(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	wantStatus(t, r.send(&request{method: "POST", target: "bad-socket"}).wait(), 502)
	p := r.connect(rawAsk)
	if got := p.ask("settle"); got != "settled" {
		t.Errorf("got %q", got)
	}
	p.finish()
	p = r.connect(rawAsk)
	p.ask("hello")
	fmt.Fprintln(p, "again")
	p.end()
	eventually(t, "both killed", func() bool { return r.p.Stats().Deaths == 2 })
	eventually(t, "two lines in the log", func() bool { // they are counted first
		return strings.Count(r.log.String(), "asks for a descriptor that it must not have") == 2
	})
	r.quiet()
}

// A worker that does not read its control socket is ended at the latest when that is full.
func TestSocketNotTaken(t *testing.T) {
	r := start(t, setup{script: "never-reads", options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}, {0, "fork_error_delay", 0.01}}})
	r.ready(1)
	w := r.p.processes()[0]
	for range 1 << 20 {
		if err := w.pass(0); err != nil {
			if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ETOOMANYREFS) {
				t.Errorf("error %v", err)
			}
			break
		}
	}
	p := r.connect(rawAsk)
	r.log.await(t, "does not take a descriptor")
	// The next worker gets the connection: its control socket has room.
	pid := 0
	eventually(t, "passed to another one", func() (is bool) {
		r.loops[0].do(func() {
			c := r.lbs[0].(*loop).cells.inUse
			is = len(c) == 1 && c[0].descriptor.state == descriptorPassed && c[0].worker != nil
			if is {
				pid = int(c[0].worker.pid.Load())
			}
		})
		return is && pid > 0
	})
	unix.Kill(pid, unix.SIGKILL)
	p.end()
	r.quiet()
}
