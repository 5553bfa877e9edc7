package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// scribbleTime is how long TestScribbledMemory runs: MBSERVE_SCRIBBLE=10m for a long run.
func scribbleTime(t *testing.T) time.Duration {
	text := os.Getenv("MBSERVE_SCRIBBLE")
	if text == "" {
		return 6 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// startScribble starts the server with the script that can scribble.
func startScribble(t *testing.T) *instance {
	s := start(t, "testdata/scribble.lua")
	if get(t, s.url("/ffi")) != "true" {
		t.Skip("this Lua has no ffi")
	}
	return s
}

// asker makes requests to one pool, each with its own nonce, and checks whose answers it gets.
type asker struct {
	t       *testing.T
	address string
	strict  bool // every answer must be right
	all     sync.WaitGroup
	over    atomic.Bool

	right, failed, garbage, foreign atomic.Int64
}

// counted is a connection that counts the bytes read. impatient means that it does not wait long after the first bytes.
type counted struct {
	net.Conn
	n         int
	impatient bool
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.n += n; c.impatient {
		c.SetReadDeadline(time.Now().Add(5 * time.Second)) // the rest may never arrive, if its length is garbage
	}
	return n, err
}

func ask(t *testing.T, address string, clients int, strict bool) *asker {
	a := &asker{t: t, address: address, strict: strict}
	for i := range clients {
		a.all.Go(func() { a.run(i) })
	}
	return a
}

func (a *asker) run(client int) {
	var c net.Conn
	var r *bufio.Reader
	for i := 0; !a.over.Load(); i++ {
		if c == nil {
			var err error
			if c, err = net.DialTimeout("tcp", a.address, patience); err != nil {
				a.t.Errorf("client %d: %v", client, err)
				return
			}
			c = &counted{Conn: c, impatient: !a.strict}
			r = bufio.NewReader(c)
		}
		c.SetDeadline(time.Now().Add(patience))
		if !a.one(c, r, fmt.Sprintf("c%dr%d", client, i)) {
			c.Close()
			c = nil
		}
	}
	if c != nil {
		c.Close()
	}
}

// one makes a request. It returns false if the connection can no longer be used.
func (a *asker) one(c net.Conn, r *bufio.Reader, nonce string) bool {
	size, body, method := rand.IntN(50), "", "GET"
	switch rand.IntN(10) {
	case 0:
		size = 20000 // more than a window
	case 1:
		method, body = "POST", strings.Repeat("b", rand.IntN(100000))
	}
	c.(*counted).n = 0
	// Reading and writing happen concurrently: an answer may arrive before the end of the body.
	written := make(chan error, 1)
	go func() {
		_, err := fmt.Fprintf(c, "%s /?%s:%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", method, nonce, size, len(body), body)
		written <- err
	}()
	resp, err := http.ReadResponse(r, nil)
	var got []byte
	if err == nil {
		got, err = io.ReadAll(resp.Body)
	}
	want := strings.Repeat(nonce+";", size) + body
	right := err == nil && resp.StatusCode == 200 && string(got) == want && resp.Header.Get("X-Nonce") == nonce
	// If its length is garbage, an answer may seem endless; but there must be an answer.
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() && c.(*counted).n == 0 {
		a.t.Errorf("%s %s: no answer: %v", method, nonce, err)
	}
	switch {
	case right:
		a.right.Add(1)
	case a.strict:
		a.t.Errorf("%s %s: %.200q, %v", method, nonce, got, err)
	case err != nil || resp.StatusCode >= 500 && resp.StatusCode <= 504:
		a.failed.Add(1)
	case len(got) > 0 && resp.Header.Get("X-Nonce") != nonce && strings.HasPrefix(string(got), resp.Header.Get("X-Nonce")+";"):
		a.foreign.Add(1) // for another request
	default:
		a.garbage.Add(1)
	}
	if !right || resp.Close {
		c.Close()
	}
	return <-written == nil && right && !resp.Close
}

func (a *asker) stop() {
	a.over.Store(true)
	a.all.Wait()
}

// A worker that writes random numbers over all memory that it can write to harms only its own pool, and only while it
// runs.
func TestScribbledMemory(t *testing.T) {
	s := startScribble(t)
	settled := func() bool { return len(s.workers()) == 6 }
	eventually(t, "its workers are there", settled)
	for range 20 { // so that what the forks needed is closed
		get(t, s.url("/?a:1"))
	}
	before := files(t, s.pid())
	resident := readMemory(t, s.pid())

	own, other := ask(t, s.address(0), 6, false), ask(t, s.address(1), 6, true)
	seed, rounds := uint64(time.Now().UnixNano()), 0
	seeds := rand.New(rand.NewPCG(seed, 0))
	for end := time.Now().Add(scribbleTime(t)); time.Now().Before(end); rounds++ {
		url := s.url(fmt.Sprintf("/scribble?%d,%d", seeds.IntN(1e9), 50+seeds.IntN(200)))
		fetch("GET", url, "") // the result does not matter
		select {
		case <-s.exited:
			t.Fatal("the server has ended")
		default:
		}
	}
	own.stop()
	other.stop()
	t.Logf("seed %d, %d rounds; own pool: %d right, %d failed, %d garbage, %d of another request; other pool: %d right",
		seed, rounds, own.right.Load(), own.failed.Load(), own.garbage.Load(), own.foreign.Load(), other.right.Load())
	if own.right.Load() == 0 || other.right.Load() == 0 || own.failed.Load()+own.garbage.Load() == 0 {
		t.Error("one kind of answer never occurred")
	}

	// The last scribbler is gone: everything must work again.
	recovered := 0
	eventually(t, "its own pool has recovered", func() bool {
		if status, _, err := fetchStatus(s.url("/?again:3")); err != nil || status != 200 {
			recovered = 0
		}
		recovered++
		return recovered > 50
	})
	own, other = ask(t, s.address(0), 4, true), ask(t, s.address(1), 4, true)
	time.Sleep(time.Second)
	own.stop()
	other.stop()

	if !holds(patience, settled) {
		t.Errorf("%d workers, want 6", len(s.workers()))
	}
	s.wantFiles(before)
	if now := readMemory(t, s.pid()); now.anon > resident.anon+64<<20 {
		t.Errorf("memory: %v, before %v", now, resident)
	}
	quiet(t, s)
}

func fetchStatus(url string) (int, string, error) {
	resp, body, err := fetch("GET", url, "")
	if err != nil {
		return 0, "", err
	}
	return resp.StatusCode, body, nil
}

// quiet expects the server to use no processor time without requests.
func quiet(t *testing.T, s *instance) {
	t.Helper()
	used := func() time.Duration { return processorTime(t, s.pid()) }
	if !holds(patience, func() bool {
		from := used()
		time.Sleep(500 * time.Millisecond)
		return used()-from < 100*time.Millisecond
	}) {
		t.Error("the server is busy without requests")
	}
}

// processorTime returns the processor time used by a process.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return time.Duration(number(t, f[11])+number(t, f[12])) * 10 * time.Millisecond // in hundredths of a second
}

// A worker cannot write to the memory with the requests, whatever it tries.
func TestRequestsCannotBeChanged(t *testing.T) {
	s := startScribble(t)
	for _, way := range []string{"mem", "mprotect", "map_files", "server"} {
		got := get(t, s.url("/protect?"+way))
		if !strings.HasPrefix(got, "r--s unchanged") {
			t.Errorf("%s: %s", way, got)
		}
		t.Logf("%s: %s", way, got)
	}
	from := s.log.size()
	if status, body, err := fetchStatus(s.url("/protect?store")); err != nil || status != 502 {
		t.Errorf("a plain store: %d %q, %v", status, body, err)
	}
	s.log.wait(t, from, "worker ended", `end="signal SIGSEGV"`)
	get(t, s.url("/?x:1"))
	s.signal(syscall.SIGTERM)
	s.exit(0)
}
