package pool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
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
	local, remote := p.RemoteAddr().(*net.TCPAddr).AddrPort(), p.LocalAddr().(*net.TCPAddr).AddrPort()
	r.loops[loop].do(func() {
		p.err = r.lbs[loop].(backend.SocketBackend).StartSocket(fd, listener, local, remote)
	})
	if p.err != nil {
		unix.Close(fd) // still ours
	}
	return p
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
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}, {0, "fork_error_delay", 0.01}}})
	r.ready(1)
	p := r.connect(rawSleep)
	eventually(t, "claimed", func() (is bool) {
		r.loops[0].do(func() { is = r.lbs[0].(*loop).cells.inUse[0].out.Owner.Load()&0xffffffff == 1 })
		return is
	})
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
		return strings.Count(r.log.String(), "asks for a socket that it must not have") == 2
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
	r.log.await(t, "does not take a socket")
	// The next worker gets the connection: its control socket has room.
	eventually(t, "passed to another one", func() (is bool) {
		r.loops[0].do(func() {
			c := r.lbs[0].(*loop).cells.inUse
			is = len(c) == 1 && c[0].socket.state == socketPassed
		})
		return is
	})
	unix.Kill(r.h.pids()[0], unix.SIGKILL)
	p.end()
	r.quiet()
}

// Open raw connections keep neither requests nor each other waiting, on any loop, as long as there are workers.
func TestSocketsBesideRequests(t *testing.T) {
	r := start(t, setup{loops: 2, options: [][3]any{{0, "min_fork", 4}, {0, "max_fork", 4}}})
	r.ready(4)
	var ps []*rawPeer
	workers := map[string]bool{}
	for i := range 3 {
		p := r.connectOn(i%2, rawAsk)
		workers[p.ask("pid")] = true
		ps = append(ps, p)
	}
	if len(workers) != 3 {
		t.Errorf("workers %v at three connections", workers)
	}
	begin := time.Now()
	for i := range 200 {
		q := r.sendOn(i%2, &request{target: "pid"}).wait()
		if workers[q.out] || q.out == "" {
			t.Fatalf("answer of %q", q.out)
		}
	}
	if d := time.Since(begin); d > 15*time.Second {
		t.Errorf("200 requests beside raw connections took %v", d)
	}
	for _, p := range ps {
		p.finish()
	}
	r.quiet()
	for _, l := range r.lbs {
		if n := l.(*loop).cells.handed; n != 0 {
			t.Errorf("%d connections are counted as handed over", n)
		}
	}
	for _, w := range r.p.processes() {
		if w.away.Load() != 0 || w.claims.Load() != 0 {
			t.Errorf("worker %d: away %d, claims %d", w.slot, w.away.Load(), w.claims.Load())
		}
	}
	for i := range 20 {
		wantOut(t, r.sendOn(i%2, &request{target: "hello?x"}).wait(), "hello x")
	}
	for i, l := range r.lbs {
		r.loops[i].do(func() {
			if w := l.(*loop).roster.home; w == nil || w.home != i {
				t.Errorf("loop %d rings the home worker of another one", i)
			}
		})
	}
}

// While nothing but raw connections is open, a loop hardly does anything, and reacts at once when something comes.
func TestSocketsCalm(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "queue_timeout", 1}, {0, "min_fork", 2}, {0, "max_fork", 2}}})
	r.ready(2)
	a, b := r.connect(rawAsk), r.connect(rawAsk)
	a.ask("hello")
	b.ask("hello")
	l := r.lbs[0].(*loop)
	calm := func() (is bool) {
		r.loops[0].do(func() { is = l.ticker.calm && l.ticker.on && l.cells.handed == 2 && l.cells.open == 2 })
		return is
	}
	eventually(t, "calm", calm)
	var before, after int
	r.loops[0].do(func() { before = r.loops[0].blocked })
	a.ask("sleep 1000\nlater")
	r.loops[0].do(func() { after = r.loops[0].blocked })
	if n := after - before; n > 20 {
		t.Errorf("the loop blocked %d times in a second in which nothing happened", n)
	}
	// Limits of time of what comes now are as exact as ever.
	wantStatus(t, r.get("hello?"), 503)
	if calm() {
		eventually(t, "not calm for the one that waited, then again", calm)
	}
	a.finish()
	wantOut(t, r.get("hello?x"), "hello x")
	b.finish()
	r.quiet()
}

// Stop waits for open connections, as long as it may.
func TestSocketStop(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}}})
	r.ready(1)
	p, waiting := r.connect(rawAsk), r.connect(rawAsk)
	p.ask("hello")
	stopped := make(chan struct{})
	go func() { r.stop(testPatience); close(stopped) }()
	eventually(t, "stopping", func() bool { return r.p.stopping.Load() })
	if q := r.connect(rawAsk); !errors.Is(q.err, backend.ErrStopped) {
		t.Errorf("error %v", q.err)
	}
	if got := p.ask("still"); got != "still" {
		t.Errorf("got %q", got)
	}
	p.finish()
	if got := waiting.ask("me too"); got != "me too" {
		t.Errorf("got %q", got)
	}
	waiting.finish()
	<-stopped
}

// When the time is over, open connections end with their worker, and waiting ones are reset.
func TestSocketStopInTheEnd(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}}})
	r.ready(1)
	p, waiting := r.connect(rawAsk), r.connect(rawAsk)
	p.ask("hello")
	r.stop(50 * time.Millisecond)
	p.end()
	waiting.wantReset()
}

// Workers are killed all the time. Every connection is served or ends, and no descriptor is left anywhere (the end of each
// test here checks that).
func TestSocketsKilledAtRandom(t *testing.T) {
	r := start(t, setup{loops: 2, options: [][3]any{
		{0, "min_fork", 4}, {0, "max_fork", 6}, {0, "fork_error_delay", 0.005}, {0, "fork_delay", 0.005}}})
	r.ready(4)
	stop, killed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(killed)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(15 * time.Millisecond):
			}
			if pids := r.h.pids(); len(pids) > 0 {
				unix.Kill(pids[i%len(pids)], unix.SIGKILL)
			}
		}
	}()
	served := 0
	for i := range 300 {
		p := r.connectOn(i%2, rawAsk)
		if p.err != nil {
			if !errors.Is(p.err, backend.ErrNoWorker) {
				t.Fatal(p.err)
			}
			continue
		}
		want := strconv.Itoa(i) + "\n"
		p.Write([]byte(want))
		p.CloseWrite()
		got, err := io.ReadAll(p.r)
		if err == nil && string(got) == want {
			served++
		} else if err != nil && !errors.Is(err, syscall.ECONNRESET) || err == nil && len(got) > 0 {
			t.Errorf("got %q, %v", got, err)
		}
		p.Close()
	}
	close(stop)
	<-killed
	if served == 0 {
		t.Error("not one connection was served")
	}
	t.Logf("%d of 300 served, %+v", served, r.p.Stats())
	r.quiet()
}

// A handler resets the connection and goes on: the peer sees the reset at once, and nothing of what follows.
func TestResetByHandler(t *testing.T) {
	r := start(t, setup{in: 256, out: 256})
	for _, q := range []*request{
		{target: "reset-now?0"},
		{target: "reset-now?100000"},
		{target: "reset-now?100000", stuck: true},
		{method: "POST", target: "reset-now?0", rest: make([]byte, 5000), stuck: true},
		{target: "reset-done"},
	} {
		got := r.send(q).wait()
		if got.end != backend.EndReset || got.calls != 1 || got.out != "" || got.status != 0 {
			t.Errorf("%s: %+v", q.target, got)
		}
		wantOut(t, r.get("hello?x"), "hello x")
	}
	r.quiet()
}
