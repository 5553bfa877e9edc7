package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// pattern returns the data of stream.lua.
var pattern = sync.OnceValue(func() []byte {
	p := make([]byte, 65521)
	for i := range p {
		p[i] = byte((i*i + 7*i) % 251)
	}
	return p
})

// patternReader yields n bytes of it.
type patternReader struct{ at, n int64 }

func (r *patternReader) Read(b []byte) (n int, err error) {
	if r.at == r.n {
		return 0, io.EOF
	}
	p := pattern()
	n = copy(b[:min(int64(len(b)), r.n-r.at)], p[r.at%int64(len(p)):])
	r.at += int64(n)
	return n, nil
}

// checksum is what stream.lua computes.
type checksum struct {
	n   int64
	sum uint32
}

func (c *checksum) Write(b []byte) (int, error) {
	h := c.sum
	for _, x := range b {
		h = h*31 + uint32(x)
	}
	c.sum, c.n = h, c.n+int64(len(b))
	return len(b), nil
}

func (c *checksum) String() string { return fmt.Sprintf("%d %08x", c.n, c.sum) }

func checksumOf(n int64) string {
	var c checksum
	io.Copy(&c, &patternReader{n: n})
	return c.String()
}

// bulk returns a size that exceeds all buffers on the way and, without the race detector, what watchMemory allows.
func bulk() int64 {
	if raceEnabled {
		return 32 << 20
	}
	return 96 << 20
}

// watchMemory samples the memory of a server and its workers until the returned function is called, which checks that
// it was below a bound at all times.
func watchMemory(t *testing.T, s *instance) (stop func()) {
	var most [2]memory // server, any worker
	var over atomic.Bool
	done := make(chan struct{})
	pids := append([]int{s.pid()}, s.workers()...)
	go func() {
		defer close(done)
		for !over.Load() {
			for i, pid := range pids {
				m := &most[min(i, 1)]
				now := readMemory(t, pid)
				m.anon, m.shared, m.resident = max(m.anon, now.anon), max(m.shared, now.shared), max(m.resident, now.resident)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() {
		t.Helper()
		over.Store(true)
		<-done
		t.Logf("server: %v; worker: %v", most[0], most[1])
		if raceEnabled {
			return // the race detector needs extra memory
		}
		for i, who := range []string{"server", "worker"} {
			if most[i].resident > 64<<20 {
				t.Errorf("%s: %v, want less than 64 MiB", who, most[i])
			}
		}
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/stream.lua")
	s.wantWorkers(1)
	stop := watchMemory(t, s)
	want := checksumOf(bulk())
	for i, c := range []struct {
		listener int // the second one streams
		length   int64
	}{{0, bulk()}, {0, -1}, {1, bulk()}, {1, -1}} {
		req, err := http.NewRequest("POST", "http://"+s.address(c.listener)+"/", &patternReader{n: bulk()})
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = c.length
		resp, body, err := do(newClient(t), req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 || body != fmt.Sprintf("%s %d", want, i+1) {
			t.Errorf("%+v: %s, %q, want %q", c, resp.Status, body, want)
		}
	}
	stop()
}

func TestDownload(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/stream.lua")
	s.wantWorkers(1)
	stop := watchMemory(t, s)
	resp, err := newClient(t).Get(s.url(fmt.Sprintf("/%d", bulk())))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var sum checksum
	if _, err := io.Copy(&sum, resp.Body); err != nil {
		t.Error(err)
	}
	if want := checksumOf(bulk()); sum.String() != want {
		t.Errorf("got %v, want %v", &sum, want)
	}
	stop()
}

// Sizes around those of windows and chunks, in both directions.
func TestSizes(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/stream.lua")
	c := newClient(t)
	for _, n := range []int64{0, 1, 1023, 1024, 1025, 16384, 64<<10 - 1100, 64<<10 - 1024, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 1 << 20} {
		want := checksumOf(n)
		for _, length := range []int64{n, -1} {
			req, err := http.NewRequest("POST", s.url("/"), &patternReader{n: n})
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			resp, body, err := do(c, req)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != 200 || !strings.HasPrefix(body, want+" ") {
				t.Errorf("upload of %d, length %d: %s, %q, want %q", n, length, resp.Status, body, want)
			}
		}
		req, _ := http.NewRequest("GET", s.url(fmt.Sprintf("/%d", n)), nil)
		resp, body, err := do(c, req)
		if err != nil {
			t.Fatal(err)
		}
		var sum checksum
		io.WriteString(&sum, body)
		if resp.StatusCode != 200 || sum.String() != want {
			t.Errorf("download of %d: %s, %v, want %q", n, resp.Status, &sum, want)
		}
	}
}

// A client that reads nothing makes no buffer grow. When the spool has no more room for its response it occupies a worker,
// but delays neither its own end nor that of the server.
func TestClientReadsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "--grace", "500ms", "--spool-limit", "64M", "testdata/stream.lua")
	s.wantWorkers(1)
	worker := s.worker()
	stop := watchMemory(t, s)
	p := dial(t, s.address(0))
	p.get("/1e12")
	full := 0
	eventually(t, "the worker waits", func() bool {
		// It is not running at any check.
		if w, ok := readProcess(worker); ok && w.state == "S" {
			full++
		} else {
			full = 0
		}
		return full > 100
	})
	p.Close() // with bytes unread: a reset
	if got := get(t, s.url("/5")); got != string(pattern()[:5]) {
		t.Errorf("body %q", got)
	}
	if w := s.workers(); len(w) != 1 || w[0] != worker {
		t.Errorf("workers %v, want %d", w, worker)
	}
	p = dial(t, s.address(0))
	p.get("/1e12")
	if _, err := p.r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	stop()
	s.stop()
	p.hearsBreak()
}

// A client that disappears in the middle, in whatever way, releases its worker.
func TestClientVanishes(t *testing.T) {
	for _, reset := range []bool{false, true} {
		for _, head := range []string{
			"GET /1e12 HTTP/1.1\r\nHost: h\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 100000),
			"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n100\r\nxx",
		} {
			t.Run(fmt.Sprintf("%.6s reset %v", head, reset), func(t *testing.T) {
				t.Parallel()
				s := start(t, "testdata/stream.lua")
				s.wantWorkers(1)
				worker := s.worker()
				p := dial(t, s.address(1))
				p.say("%s", head)
				if head[0] == 'G' {
					if _, err := p.r.ReadByte(); err != nil {
						t.Fatal(err)
					}
				} else {
					s.wait("body begins")
				}
				if reset {
					p.Conn.(*net.TCPConn).SetLinger(0)
				}
				p.Close()
				if got := get(t, s.url("/5")); got != string(pattern()[:5]) {
					t.Errorf("body %q", got)
				}
				if w := s.workers(); len(w) != 1 || w[0] != worker {
					t.Errorf("workers %v, want %d", w, worker)
				}
				if text := s.log.String(); strings.Contains(text, "traceback") {
					t.Error("the client's end is logged as an error of the script")
				}
			})
		}
	}
}

// A client that has only closed its sending side still gets its answer.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/stream.lua")
	p := dial(t, s.address(0))
	p.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n%s", pattern()[:5])
	p.Conn.(*net.TCPConn).CloseWrite()
	if got := p.hears(200); got != checksumOf(5)+" 1" {
		t.Errorf("body %q", got)
	}
	p.hearsEnd()
	p = dial(t, s.address(0))
	p.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\nhalf")
	p.Conn.(*net.TCPConn).CloseWrite()
	p.hears(400)
	p.hearsEnd()
}

// Pipelined requests are answered in order.
func TestPipelining(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/stream.lua")
	p := dial(t, s.address(0))
	sizes := []int64{5, 100000, 0, 70000, 1}
	for _, n := range sizes {
		p.get(fmt.Sprintf("/%d", n))
		p.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", n)
		if _, err := io.Copy(p, &patternReader{n: n}); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range sizes {
		var sum checksum
		io.WriteString(&sum, p.hears(200))
		if sum.String() != checksumOf(n) {
			t.Errorf("download of %d: %v", n, &sum)
		}
		if got, want := p.hears(200), fmt.Sprintf("%s %d", checksumOf(n), 2*i+2); got != want {
			t.Errorf("upload of %d: %q, want %q", n, got, want)
		}
	}
}

// A download is completed if TERM arrives in the middle.
func TestStopDuringDownload(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/stream.lua")
	const n = 20 << 20
	p := dial(t, s.address(0))
	p.get(fmt.Sprintf("/%d", n))
	if _, err := p.r.Peek(1); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGTERM)
	s.wait("msg=stopping")
	var sum checksum
	io.WriteString(&sum, p.hears(200))
	if sum.String() != checksumOf(n) {
		t.Errorf("got %v", &sum)
	}
	p.hearsEnd()
	s.exit(0)
}
