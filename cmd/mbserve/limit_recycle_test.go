package main

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
)

// rawAddress is where the n-th listener for raw connections can be reached.
func rawAddress(t testing.TB, s *instance, n int) string {
	t.Helper()
	all := regexp.MustCompile(`address=tcp://(\S+)`).FindAllStringSubmatch(s.log.String(), -1)
	if n >= len(all) {
		t.Fatalf("there is no raw listener %d:\n%s", n, s.log)
	}
	return all[n][1]
}

// served asks for a path, and returns which worker has answered, and how many requests it had had.
func (p *peer) served(path string) (pid string, n int) {
	p.t.Helper()
	p.get(path)
	if _, err := fmt.Sscan(p.hears(200), &pid, &n); err != nil {
		p.t.Fatal(err)
	}
	return pid, n
}

// false ends a worker only if it has had min_requests_per_fork requests, this one included.
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

// Without the option the first false counts.
func TestNoMinRequestsPerFork(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/limit_recycle.lua")
	p := dial(t, s.address(0))
	for range 3 {
		pid, n := p.served("/false")
		if n > 1 {
			t.Errorf("worker %s goes on", pid)
		}
		s.wait("msg=finish", "pid="+pid)
	}
}

// With recycle_on_error an error of Lua ends the worker, which runs finish; one that is caught, or is the client's, does not.
func TestRecycleOnError(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/limit_recycle.lua", "error")
	for _, address := range []string{s.address(0), rawAddress(t, s, 0)} {
		first := dial(t, address)
		before, _ := first.served("/caught")
		first.Close() // else it keeps the only worker, at the second address
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
		line := s.wait("GET /error: testdata/limit_recycle.lua:6: it is broken")
		s.wait("msg=finish", "pid="+field(line, "pid"))
		if now, _ := dial(t, address).served("/count"); now == before {
			t.Errorf("worker %s goes on", now)
		}
	}
}

// So does an error of a timer.
func TestRecycleOnErrorOfTimer(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/limit_recycle.lua", "timer")
	from := 0
	for range 2 {
		line := s.log.wait(t, from, "interval broken: testdata/limit_recycle.lua:25: it is broken")
		s.log.wait(t, from, "msg=finish", "pid="+field(line, "pid"))
		from = strings.Index(s.log.String(), line) + len(line)
	}
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a planned end is logged as if it were none")
	}
}
