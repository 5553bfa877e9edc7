package proxy

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/upstream"
	"moonbridge/reactor/reactortest"
)

// Targets are killed and started again under load. No GET fails.
func TestTargetsKilled(t *testing.T) {
	addrs := []string{reactortest.FreePort(t), reactortest.FreePort(t)} // their own, also while they are killed
	start := func(i int) *target {
		ln, err := net.Listen("tcp4", addrs[i])
		if err != nil {
			t.Fatal(err)
		}
		return serveTarget(t, ln, answering(ok("x")))
	}
	running := []*target{start(0), start(1)}
	r := newRigOf(t, rigOptions{loops: 2, Options: upstream.Options{Passive: upstream.Passive{Out: 10 * time.Millisecond, OutMax: 20 * time.Millisecond}}},
		upstream.Target{Addr: addrs[0]}, upstream.Target{Addr: addrs[1]})
	var stop atomic.Bool
	var asked, failed atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			c := r.dial("")
			defer c.Close()
			for !stop.Load() {
				c.send(get)
				asked.Add(1)
				if got := c.reply("GET"); got.status != 200 || got.body != "x" {
					failed.Add(1)
					t.Errorf("status %d, error %v", got.status, got.err)
					return
				}
			}
		})
	}
	for round := range 20 {
		before := asked.Load()
		i := round % 2
		running[i].stop()
		until(t, "requests go on without it", func() bool { return asked.Load() > before+200 || failed.Load() > 0 })
		running[i] = start(i)
		v := r.set.Servers()[i]
		until(t, "it gets requests again", func() bool { return r.set.Status()[i].Up && v.Active() >= 0 || failed.Load() > 0 })
		before = asked.Load()
		until(t, "requests go on", func() bool { return asked.Load() > before+200 || failed.Load() > 0 })
	}
	stop.Store(true)
	clients.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
}

// bigBytes is the size of the bodies that the memory must not grow with. PROXY_BIG_BYTES makes it larger: 1073741824 is what the
// limits are promised for.
func bigBytes(t *testing.T) int64 {
	if text := os.Getenv("PROXY_BIG_BYTES"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 64 << 20
}

// Row: large bodies each way, with one side slower. The memory is bounded by the windows.
func TestMemoryIsBounded(t *testing.T) {
	size := bigBytes(t)
	piece := []byte(strings.Repeat("0123456789abcdef", 1<<12))
	pour := func(w io.Writer) {
		for left := size; left > 0; left -= int64(len(piece)) {
			if _, err := w.Write(piece[:min(left, int64(len(piece)))]); err != nil {
				return
			}
		}
	}
	// drain reads all, and looks at the memory now and then. It is ten times slower than the sender could be, since it reads a
	// little at a time and lets others run.
	drain := func(t *testing.T, r io.Reader, expect int64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		start, room := m.HeapAlloc, make([]byte, 4096)
		var n, looked int64
		for n < expect {
			k, err := r.Read(room)
			n += int64(k)
			if err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			if n-looked > expect/16 {
				looked = n
				runtime.GC()
				runtime.ReadMemStats(&m)
				if grown := int64(m.HeapAlloc) - int64(start); grown > 4<<20 {
					t.Fatalf("after %d bytes the memory has grown by %d", n, grown)
				}
			}
			runtime.Gosched()
		}
	}
	for _, framing := range []string{fmt.Sprintf("Content-Length: %d", size), ""} {
		t.Run("response "+framing, func(t *testing.T) {
			a := newTarget(t, func(p *peer) {
				p.request()
				if framing == "" {
					p.send("HTTP/1.1 200 OK\r\n\r\n")
				} else {
					p.send("HTTP/1.1 200 OK\r\n" + framing + "\r\n\r\n")
				}
				pour(p)
			})
			r := newRig(t, rigOptions{}, a)
			c := r.dial(get)
			c.SetDeadline(time.Now().Add(time.Hour))
			c.request()
			drain(t, c.r, size)
		})
		if framing == "" {
			continue
		}
		t.Run("request", func(t *testing.T) {
			poured := make(chan error, 1)
			a := newTarget(t, func(p *peer) {
				p.request()
				drain(t, p.r, size)
				p.send(ok("all"))
				p.wait()
			})
			r := newRig(t, rigOptions{limits: engine.Limits{BodyBytes: -1}}, a)
			c := r.dial("POST / HTTP/1.1\r\nHost: x\r\n" + framing + "\r\n\r\n")
			c.SetDeadline(time.Now().Add(time.Hour))
			go func() { pour(c); poured <- nil }()
			<-poured
			c.reply("POST").want(t, 200, "all")
		})
	}
}

// Nothing is allocated for a request on the way through the proxy.
func TestNoAllocation(t *testing.T) {
	response := []byte(ok(strings.Repeat("x", 1000)))
	a := newTarget(t, func(p *peer) {
		room := make([]byte, 4096)
		for {
			n, err := p.Conn.Read(room)
			if err != nil || n == len(room) {
				return
			}
			p.Conn.Write(response)
		}
	})
	r := newRigOf(t, rigOptions{Options: upstream.Options{Balance: upstream.LeastLoad()}}, upstream.Target{Addr: a.addr()})
	for name, request := range map[string]string{
		"GET":  "GET /some/path HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n",
		"POST": "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello",
	} {
		c := r.dial("")
		text, room := []byte(request), make([]byte, 4096)
		run := func() {
			if _, err := c.Conn.Write(text); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAtLeast(c.Conn, room, len(response)); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 {
			run()
		}
		if n := testing.AllocsPerRun(500, run); n >= 1 { // a growing slice of the loop is no allocation per request
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
