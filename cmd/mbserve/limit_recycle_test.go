package main

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
)

// rawAddress returns the address of the n-th listener for raw connections.
func rawAddress(t testing.TB, s *instance, n int) string {
	t.Helper()
	all := regexp.MustCompile(`address=tcp://(\S+)`).FindAllStringSubmatch(s.log.String(), -1)
	if n >= len(all) {
		t.Fatalf("there is no raw listener %d:\n%s", n, s.log)
	}
	return all[n][1]
}

// served requests a path. It returns the worker that answered, and its number of requests so far.
func (p *peer) served(path string) (pid string, n int) {
	p.t.Helper()
	p.get(path)
	if _, err := fmt.Sscan(p.hears(200), &pid, &n); err != nil {
		p.t.Fatal(err)
	}
	return pid, n
}

// false ends a worker only if it has had min_requests_per_fork requests, including this one.
func TestMinRequestsPerFork(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/limit_recycle.lua", "5")
	p := dial(t, s.address(0))
	for range 3 {
		first, _ := p.served("/false")
		for n := 2; n <= 5; n++ {
			pid, got := p.served("/false")
			if pid != first || got != n {
				t.Fatalf("request %d was number %d of worker %s, want %s", n, got, pid, first)
			}
		}
		s.wait("msg=finish", "pid="+first)
	}
}

// Without the option, the first false ends the worker.
func TestNoMinRequestsPerFork(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/limit_recycle.lua")
	p := dial(t, s.address(0))
	for range 3 {
		pid, n := p.served("/false")
		if n > 1 {
			t.Errorf("worker %s was not replaced", pid)
		}
		s.wait("msg=finish", "pid="+pid)
	}
}

// With recycle_on_error a Lua error ends the worker, which runs finish. An error that is caught, or that the client
// causes, does not.
func TestRecycleOnError(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/limit_recycle.lua", "error")
	for _, address := range []string{s.address(0), rawAddress(t, s, 0)} {
		first := dial(t, address)
		before, _ := first.served("/caught")
		first.Close() // otherwise it keeps the only worker, at the second address
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 100000))
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		p := dial(t, address)
		p.get("/error")
		p.hears(500)
		line := s.wait("testdata/limit_recycle.lua:6: it is broken", "path=/error")
		s.wait("msg=finish", "pid="+field(line, "pid"))
		if now, _ := dial(t, address).served("/count"); now == before {
			t.Errorf("worker %s was not replaced", now)
		}
	}
}

// So does an error of a timer.
func TestRecycleOnErrorOfTimer(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/limit_recycle.lua", "timer")
	from := 0
	for range 2 {
		line := s.log.wait(t, from, "testdata/limit_recycle.lua:25: it is broken", "interval=broken")
		s.log.wait(t, from, "msg=finish", "pid="+field(line, "pid"))
		from = strings.Index(s.log.String(), line) + len(line)
	}
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a planned end is logged as unplanned")
	}
}
