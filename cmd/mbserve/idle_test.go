package main

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
)

// A connection without a request costs a little memory and no worker, before and after its first request.
func TestIdleConnections(t *testing.T) {
	const conns = 2000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < conns+500 {
		t.Skipf("this process may only have %d open files (%v)", limit.Cur, err)
	}
	fifo, open := newFIFO(t)
	s := start(t, "testdata/queue.lua", fifo, "3600") // one worker
	s.wantWorkers(1)
	base := sockets(t, s.pid())
	for range 200 { // so that one-time allocations are done
		get(t, s.url("/"))
	}
	base = min(base, sockets(t, s.pid())) // at first there may have been one of the fork, and then some of these clients
	connect := func(how string) (peers []*peer) {
		before := readMemory(t, s.pid())
		for range conns {
			peers = append(peers, dial(t, s.address(0)))
		}
		for _, p := range peers {
			if how == "served" {
				p.get("/")
				p.hears(200)
			}
		}
		eventually(t, "all are accepted", func() bool { return sockets(t, s.pid()) >= base+len(peers) })
		after := readMemory(t, s.pid())
		each := (after.resident - before.resident) / conns
		t.Logf("%s: %d bytes a connection (server before: %v, after: %v)", how, each, before, after)
		if each > 2<<10 && !raceEnabled {
			t.Errorf("%s: a connection uses %d bytes, want at most 2 KiB", how, each)
		}
		return peers
	}
	quiet := connect("quiet")
	closeAll(quiet)
	eventually(t, "all are closed", func() bool { return sockets(t, s.pid()) <= base })
	served := connect("served")

	// An incomplete request occupies no worker either.
	for i, p := range served {
		switch i % 4 {
		case 0:
			p.say("GET / HT")
		case 1:
			p.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf")
		}
	}
	if got := get(t, s.url("/")); got != "done" {
		t.Errorf("body %q", got)
	}
	// The same while the worker is busy: only complete requests wait.
	busy := dial(t, s.address(0))
	busy.get("/wait")
	s.wait("msg=waiting")
	open()
	busy.hears(200)
	for i, p := range served[:100] {
		switch i % 4 {
		case 0:
			p.say("TP/1.1\r\nHost: h\r\n\r\n")
			p.hears(200)
		case 1:
			p.say("%s", strings.Repeat("x", 996))
			p.hears(200)
		default:
			p.get("/")
			p.hears(200)
		}
	}
	closeAll(served)
	closeAll([]*peer{busy})
	eventually(t, "all are closed", func() bool { return sockets(t, s.pid()) <= base })
}

func closeAll(peers []*peer) {
	for _, p := range peers {
		p.Close()
	}
}

// A graceful stop ends idle connections at once, even if there are many, and however the client reacts.
func TestStopWithManyConnections(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/hello.lua")
	var peers []*peer
	for i := range 300 {
		p := dial(t, s.address(0))
		if i%2 == 0 {
			p.get(fmt.Sprintf("/?name=%d", i))
			p.hears(200)
		}
		peers = append(peers, p)
	}
	s.signal(syscall.SIGTERM)
	for i, p := range peers {
		if i%3 == 0 {
			p.Conn.(*net.TCPConn).SetLinger(0)
			p.Close()
		} else {
			p.hearsEnd()
		}
	}
	s.exit(0)
}
