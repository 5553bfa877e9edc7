package main

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A handler that fails on every request fills neither the disk nor memory.
func TestFaultErrorStorm(t *testing.T) {
	s, _ := startFault(t, "", false)
	storm := func(n int) {
		p := dial(t, s.address(0))
		defer p.Close()
		for range n {
			p.get("/fail")
			p.hears(500)
		}
	}
	storm(3000)
	before, logged := readMemory(t, s.pid()), s.log.size()
	began := time.Now()
	storm(6000)
	after, took := readMemory(t, s.pid()), time.Since(began)
	if after.anon > before.anon+32<<20 {
		t.Errorf("memory: %v, before %v", after, before)
	}
	// The reserve of 500 records is then used up; it is refilled by 50 a second. Each record is shorter than 1000 bytes.
	if got, most := s.log.size()-logged, (100+int(took.Seconds()*50))*1000; got > most {
		t.Errorf("%d bytes were logged, want at most %d", got, most)
	}
	s.wait("errors of handlers not logged: too many", "count=")
	get(t, s.url("/"))
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a worker has ended")
	}
}

// A full disk accepts no lines, but requests are still served.
func TestFaultLogDiskFull(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no file that is always full: ", err)
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	s := launch(t, "-l", "/dev/full", "--access-log", "/dev/full", "testdata/local.lua", socket)
	eventually(t, "it serves", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	for range 20 {
		if got := getLocal(t, socket); got != "local" {
			t.Errorf("body %q", got)
		}
	}
	for _, pid := range s.workers() {
		kill(t, pid) // which cannot be logged
	}
	eventually(t, "it serves", func() bool { return len(s.workers()) > 0 })
	s.stop()
}

// If the directory of the pid file is removed, the server is not affected.
func TestFaultPidDirectoryGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t, "-p", filepath.Join(dir, "pid"), "testdata/fault.lua")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	get(t, s.url("/"))
	s.stop()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory exists again: %v", err)
	}
	_, stderr := runToEnd(t, 3, "-p", filepath.Join(dir, "pid"), "testdata/fault.lua")
	checkMessage(t, stderr, "pid file "+filepath.Join(dir, "pid"), "no such file or directory")
}

// Clients that stop reading do not hold workers longer than stall_timeout.
func TestFaultSlowReaders(t *testing.T) {
	t.Parallel()
	s, _ := startFault(t, "stall", false)
	s.wantWorkers(2)
	before := sockets(t, s.pid())
	var peers []*peer
	for range 4 { // the largest number of workers
		p := dial(t, s.address(0))
		p.get("/big")
		peers = append(peers, p)
	}
	eventually(t, "others are served again", func() bool {
		status, _, err := fetchStatus(s.url("/"))
		return err == nil && status == 200
	})
	// The server also has a socket for each worker.
	eventually(t, "all are reset", func() bool { return sockets(t, s.pid())-len(s.workers()) <= before-2 })
	for _, p := range peers {
		if n, err := io.Copy(io.Discard, p.r); err == nil || n >= 1e8 {
			t.Errorf("%d bytes, %v: the response looks complete", n, err)
		}
	}
}

// Clients that send garbage, in pieces of any size, are refused or disconnected.
func TestFaultGarbage(t *testing.T) {
	t.Parallel()
	s, _ := startFault(t, "", false)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s.wantWorkers(2)
	idle := func() int { return sockets(t, s.pid()) - len(s.workers()) } // the server also has a socket for each worker
	before := idle()
	words := []string{"GET ", "POST ", "/", " HTTP/1.1", "\r\n", "\n", "\r\n\r\n", "Host: h", "Content-Length: ", "5", "-1",
		"99999999999999999999", "Transfer-Encoding: chunked", "chunked", ":", " ", "\x00", "\xff", "0\r\n\r\n", "PRI * HTTP/2.0", "\x16\x03\x01"}
	for i := range 300 {
		c, err := net.Dial("tcp", s.address(0))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		for range 1 + r.IntN(20) {
			var b []byte
			for range r.IntN(30) {
				if i%3 == 0 {
					b = append(b, byte(r.Uint32()))
				} else {
					b = append(b, words[r.IntN(len(words))]...)
				}
			}
			if _, err := c.Write(b); err != nil {
				break
			}
		}
		c.(*net.TCPConn).CloseWrite()
		var answer [8 << 10]byte
		for n := 0; ; {
			k, err := c.Read(answer[n:])
			n += k
			if err != nil || n == len(answer) {
				if e, ok := err.(net.Error); ok && e.Timeout() {
					t.Errorf("no end: %.100q", answer[:n])
				}
				if n > 0 && !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 ") {
					t.Errorf("%.100q", answer[:n])
				}
				break
			}
		}
		c.Close()
	}
	get(t, s.url("/"))
	if !holds(patience, func() bool { return idle() <= before }) {
		t.Errorf("sockets %d, before %d", idle(), before)
	}
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a worker has ended")
	}
}
