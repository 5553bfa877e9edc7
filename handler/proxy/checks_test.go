package proxy

import (
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"weak"

	"moonbridge/engine"
	"moonbridge/handler/upstream"
	"moonbridge/reactor/reactortest"
)

// Health checks take a target out and bring it back.
func TestHealthChecks(t *testing.T) {
	var sick atomic.Bool
	checked := make(chan string, 100)
	a := newTarget(t, func(p *peer) {
		for {
			h := p.request()
			switch {
			case h == "":
				return
			case !strings.HasPrefix(h, "GET /health HTTP/1.1\r\nHost: app\r\n"):
				p.send(ok("a"))
				continue
			}
			select {
			case checked <- h:
			default:
			}
			if sick.Load() {
				p.send("HTTP/1.1 503 Sick\r\nContent-Length: 0\r\n\r\n")
			} else {
				p.send(hints + ok("fine"))
			}
		}
	})
	b := newTarget(t, answering(ok("b")))
	r := newRig(t, rigOptions{loops: 2, Options: upstream.Options{
		Active: &upstream.Active{Path: "/health", Host: "app", Every: 5 * time.Millisecond, Timeout: patience, Rise: 1, Fall: 1},
	}}, a, b)
	answers := func() string { return r.get().body + r.get().body + r.get().body + r.get().body }
	answers()
	<-checked
	until(t, "both targets are used", func() bool { s := answers(); return strings.Contains(s, "a") && strings.Contains(s, "b") })
	sick.Store(true)
	until(t, "the sick one is not used", func() bool { return !strings.Contains(answers(), "a") })
	sick.Store(false)
	until(t, "it is used again", func() bool { return strings.Contains(answers(), "a") })
	if h := <-checked; !strings.Contains(h, "\r\nConnection: close\r\n") {
		t.Errorf("the check was %q", h)
	}
}

// A Set that is closed is not checked any more, and its targets still answer.
func TestHealthChecksEnd(t *testing.T) {
	var checks atomic.Int64
	a := newTarget(t, func(p *peer) {
		for h := p.request(); h != ""; h = p.request() {
			if strings.HasPrefix(h, "GET /health ") {
				checks.Add(1)
			}
			p.send(ok("a"))
		}
	})
	r := newRig(t, rigOptions{Options: upstream.Options{Active: &upstream.Active{Path: "/health", Every: time.Millisecond}}}, a)
	r.get().want(t, 200, "a")
	until(t, "there are checks", func() bool { return checks.Load() > 2 })
	r.set.Close()
	r.set.Close()
	until(t, "there are no more", func() bool {
		n := checks.Load()
		time.Sleep(100 * time.Millisecond)
		return checks.Load() == n
	})
	r.get().want(t, 200, "a")
}

// Checks that fail: no connection, no response, garbage, and one that takes too long.
func TestHealthCheckFailures(t *testing.T) {
	for name, addr := range map[string]string{
		"no connection": reactortest.FreePort(t),
		"no response":   newTarget(t, func(p *peer) { p.request() }).addr(),
		"garbage":       newTarget(t, func(p *peer) { p.request(); p.send("x\r\n\r\n"); p.wait() }).addr(),
		"too late":      newTarget(t, func(p *peer) { p.wait() }).addr(),
	} {
		t.Run(name, func(t *testing.T) {
			good := newTarget(t, answering(ok("good")))
			r := newRig(t, rigOptions{Options: upstream.Options{
				Active: &upstream.Active{Every: 100 * time.Millisecond, Timeout: time.Second},
			}}, good)
			if err := r.set.Replace(upstream.Target{Addr: good.addr()}, upstream.Target{Addr: addr}); err != nil {
				t.Fatal(err)
			}
			r.get().want(t, 200, "good") // checks begin with the first request
			until(t, "the check has failed", func() bool { return r.set.Status()[1].Why == "check failed" })
			until(t, "the other is up", func() bool { return r.set.Status()[0].Up })
		})
	}
}

// A target on a Unix socket. Its path is no host.
func TestUnixTarget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	checked := make(chan string, 1)
	serveTarget(t, ln, func(p *peer) {
		for h := p.request(); h != ""; h = p.request() {
			host, _, _ := strings.Cut(h[strings.Index(h, "Host: "):], "\r\n")
			if strings.HasPrefix(h, "GET /check ") {
				select {
				case checked <- host:
				default:
				}
			}
			p.send(ok(host))
		}
	})
	r := newRigOf(t, rigOptions{Config: Config{Host: HostTarget}, Options: upstream.Options{Active: &upstream.Active{Path: "/check"}}}, upstream.Target{Addr: "unix:" + path})
	r.get().want(t, 200, "Host: localhost")
	r.get().want(t, 200, "Host: localhost")
	if host := <-checked; host != "Host: localhost" {
		t.Errorf("a check has %s", host)
	}
}

// A target that cannot be connected to in time: 504.
func TestConnectTimeout(t *testing.T) {
	// A Unix socket whose queue is full makes those wait that connect.
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	syscall.CloseOnExec(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	full := false
	for i := 0; i < 100 && !full; i++ {
		c, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(c)
		syscall.CloseOnExec(c)
		syscall.SetNonblock(c, true)
		full = errors.Is(syscall.Connect(c, &syscall.SockaddrUnix{Name: path}), syscall.EAGAIN)
	}
	if !full {
		t.Skip("this system has no bound on the queue of a Unix socket")
	}
	r := newRigOf(t, rigOptions{Options: upstream.Options{Connect: 30 * time.Millisecond}}, upstream.Target{Addr: "unix:" + path})
	if got := r.get(); got.status != 504 {
		t.Errorf("status %d", got.status)
	}
	r.failure(ErrConnectTimeout)
}

// Status of each error, and what wraps it.
func TestStatus(t *testing.T) {
	for _, s := range statuses {
		if got := Status(fmt.Errorf("%w: more", s.err)); got != s.status {
			t.Errorf("%v: %d", s.err, got)
		}
	}
	if Status(ErrInvalid) != 502 || Status(ErrConnect) != 502 {
		t.Error("other errors are 502")
	}
}

// A health check for which this process has no room says nothing about the target.
func TestCheckWithoutRoom(t *testing.T) {
	for err, why := range map[error]string{syscall.EMFILE: "", syscall.ECONNREFUSED: "check failed"} {
		r := newFakeRigOf(t, Config{}, upstream.Options{Active: &upstream.Active{}}, upstream.Target{Addr: "10.0.0.1:80"})
		r.l.refuse = err
		r.start(get, math.MaxInt, "", false)
		if s := r.set.Status()[0]; s.Why != why {
			t.Errorf("after %v: %q", err, s.Why)
		}
		if check := r.l.timers[0]; !check.stopped {
			t.Errorf("after %v the timer of the check goes on", err)
		}
	}
}

// The health checks of a Set go on when the engine of the loop that has made them has ended.
func TestHealthChecksMove(t *testing.T) {
	const every = 5 * time.Second
	r := newFakeRigOf(t, Config{}, upstream.Options{Active: &upstream.Active{Every: every}}, upstream.Target{Addr: "10.0.0.1:80"})
	other := &fakeLoop{t: t}
	lb, err := New(Config{To: To(r.set)}).Attach(other)
	if err != nil {
		t.Fatal(err)
	}
	_, c := r.start(get, math.MaxInt, "", false)
	c.gives(ok("x"), false)
	if n := len(r.l.dialed); n != 2 {
		t.Fatalf("%d connections, want one for the request and one for the check", n)
	}
	o := &fakeRig{t: t, l: other, loop: lb.(*loop), set: r.set}
	_, c = o.start(get, math.MaxInt, "", false)
	c.gives(ok("x"), false)
	if n := len(other.dialed); n != 1 {
		t.Fatalf("%d connections: two loops make checks", n)
	}
	for range 10 { // the timers of the first loop do not fire any more
		other.now += every
		for _, f := range other.takeTimers() {
			f.fire()
		}
		other.run()
	}
	if n := len(other.dialed); n < 5 {
		t.Errorf("%d checks in the time of 10 after the end of the loop that has made them", n-1)
	}
}

// Sets that others have taken the place of are forgotten: a program may make one at each change of its configuration.
func TestClosedSetsAreForgotten(t *testing.T) {
	loop := &fakeLoop{t: t}
	l := newLoop(&New(Config{}).(*proxy).config, loop, loop)
	for range 10 {
		s, err := upstream.New(upstream.Options{}, upstream.Target{Addr: "127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		if v := l.service(s); v.set != s || l.service(s) != v {
			t.Error("another service")
		}
		s.Close()
	}
	if n := len(l.services); n > 2 {
		t.Errorf("%d services of Sets that are closed", n)
	}
}

// A proxy that another one of the same Set has taken the place of is forgotten, also if it has made the health checks. They go on.
func TestReplacedProxiesAreForgotten(t *testing.T) {
	var checks atomic.Int64
	a := newTarget(t, func(p *peer) {
		for h := p.request(); h != ""; h = p.request() {
			if strings.HasPrefix(h, "GET /health ") {
				checks.Add(1)
			}
			p.send(ok("a"))
		}
	})
	r := newRig(t, rigOptions{Options: upstream.Options{
		Idle: -1, Head: -1, Stall: -1, // connections that wait, and time limits, keep the proxy for their time
		Active: &upstream.Active{Path: "/health", Every: 2 * time.Millisecond},
	}}, a)
	ln, err := r.e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.address = ln.Addr()
	var old []weak.Pointer[proxy]
	serve := func() {
		p := New(Config{To: To(r.set)}).(*proxy)
		if err := r.e.Serve(ln, p, 0, engine.Limits{}); err != nil {
			t.Fatal(err)
		}
		if n := len(old); n > 0 {
			r.e.Detach(old[n-1].Value())
		}
		old = append(old, weak.Make(p))
		n := checks.Load()
		r.get().want(t, 200, "a")
		until(t, "there are checks", func() bool { return checks.Load() > n })
	}
	for range 5 {
		serve()
	}
	until(t, "the old ones are forgotten", func() bool {
		runtime.GC()
		for _, p := range old[:4] {
			if p.Value() != nil {
				return false
			}
		}
		return true
	})
	n := checks.Load()
	until(t, "the checks go on", func() bool { return checks.Load() > n+2 })
}
