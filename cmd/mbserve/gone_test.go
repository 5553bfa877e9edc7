package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// leaving is a server with the script gone.lua.
type leaving struct {
	*instance
	open   func() // lets a handler that waits go on
	calls  string // file with a line for each call
	access string // access log
}

// startLeaving starts one with the value of gone_after, and options of the command line.
func startLeaving(t *testing.T, after string, options ...string) *leaving {
	t.Helper()
	t.Parallel()
	fifo, open := newFIFO(t)
	c := &leaving{open: open, calls: filepath.Join(t.TempDir(), "calls"), access: filepath.Join(t.TempDir(), "access")}
	args := append(options, "--access-log", c.access, "testdata/gone.lua", fifo, c.calls)
	if after != "" {
		args = append(args, after)
	}
	c.instance = start(t, args...)
	return c
}

// called returns the paths that handlers were called for, sorted.
func (s *leaving) called() string {
	text, _ := os.ReadFile(s.calls)
	return strings.Join(slices.Sorted(strings.FieldsSeq(string(text))), " ")
}

// occupy keeps the only worker of the first pool busy, and returns the connection that waits for it.
func (s *leaving) occupy() *peer {
	s.t.Helper()
	p := dial(s.t, s.address(0))
	p.get("/wait")
	s.wait("waiting")
	return p
}

// ends sends the client's FIN.
func ends(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// Requests of clients that have given up are not worked through.
func TestAbandonedRequests(t *testing.T) {
	for _, format := range []string{"combined", "json"} {
		t.Run(format, func(t *testing.T) {
			s := startLeaving(t, "", "--access-format", format, "--stats")
			busy := s.occupy()
			const n = 6
			for range n {
				p := dial(t, s.address(0))
				p.get("/slow")
				p.Close()
			}
			for _, line := range fileLines(t, s.access, n) {
				if format == "combined" && !strings.Contains(line, `"GET /slow HTTP/1.1" 499 0 `) {
					t.Errorf("access log: %s", line)
				}
				if format == "json" {
					if e := parseEntry(t, line); e.Status != 499 || e.Bytes != 0 || e.Complete || e.Target != "/slow" || *e.Queue < 0 || *e.Queue > e.Total || *e.Service != 0 {
						t.Errorf("access log: %s", line)
					}
				}
			}
			p := dial(t, s.address(0))
			p.get("/hello")
			s.open()
			busy.hears(200)
			p.hears(200)
			if got := s.called(); got != "hello wait" {
				t.Errorf("called: %s", got)
			}
			p.Close()
			busy.Close()
			s.stop()
			if line := s.wait("msg=stats", "pool=0"); field(line, "abandoned") != fmt.Sprint(n) {
				t.Errorf("stats %q", line)
			}
			if text := s.log.String(); strings.Contains(text, "requests failed") || strings.Contains(text, "requests refused") {
				t.Error("clients that have gone count as failures")
			}
		})
	}
}

// A client that has closed its sending side only, and still reads, is answered if a worker has its request, however long that
// takes.
func TestHalfCloseOfSlowRequest(t *testing.T) {
	s := startLeaving(t, "")
	p := s.occupy()
	ends(t, p.Conn)
	time.Sleep(300 * time.Millisecond) // nothing comes of it
	s.open()
	if got := p.hears(200); got != "wait" {
		t.Errorf("body %q", got)
	}
	p.hearsEnd()
}

// gone_after says how long it may wait for one.
func TestGoneAfter(t *testing.T) {
	for _, c := range []struct {
		after  string
		served bool
	}{{"false", true}, {"3600", true}, {"0.2", false}} {
		t.Run(c.after, func(t *testing.T) {
			s := startLeaving(t, c.after)
			busy := s.occupy()
			p := dial(t, s.address(0))
			p.get("/hello")
			ends(t, p.Conn)
			if c.served {
				time.Sleep(300 * time.Millisecond) // nothing comes of it
				s.open()
				p.hears(200)
			}
			p.hearsEnd()
			if !c.served {
				s.open()
			}
			busy.hears(200)
			busy.Close()
		})
	}
}

// Raw connections that wait are left as requests are.
func TestAbandonedConnections(t *testing.T) {
	s := startLeaving(t, "", "--stats")
	busy := s.occupy()
	raw := rawAddress(t, s.instance, 0)
	l := dialLines(t, "tcp", raw)
	l.Conn.(*net.TCPConn).SetLinger(0)
	l.Close()
	const n = 3
	for range n {
		l = dialLines(t, "tcp", raw)
		fmt.Fprintln(l, "hello")
		ends(t, l.Conn)
		if err := l.end(); err == nil {
			t.Error("a connection that has waited for too long ends normally")
		}
	}
	l = dialLines(t, "tcp", raw)
	fmt.Fprintln(l, "hello")
	s.open()
	busy.hears(200)
	busy.Close()
	if got, err := l.r.ReadString('\n'); got != "hello\n" {
		t.Errorf("%q, %v", got, err)
	}
	l.Close()
	s.stop()
	if line := s.wait("msg=stats", "pool=0"); field(line, "abandoned") != fmt.Sprint(n+1) {
		t.Errorf("stats %q", line)
	}
}

// Clients that have gone hold no workers, if the script does not want that.
func TestClientGoneEndsHandlers(t *testing.T) {
	s := startLeaving(t, "")
	s.wantWorkers(5) // of three pools
	pids := s.workers()
	for _, path := range []string{"events", "silent", "events", "silent", "silent", "silent"} { // there are two workers
		from := s.log.size()
		p := dial(t, s.address(1))
		p.get("/" + path)
		if path == "events" {
			if line, err := p.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
				t.Fatalf("%q, %v", line, err)
			}
			p.Close()
			continue
		}
		s.log.wait(t, from, "silent")
		ends(t, p.Conn)
		p.hearsEnd()
	}
	p := dial(t, s.address(1))
	for range 3 {
		p.get("/hello")
		p.hears(200)
	}
	p.Close()
	if got := s.workers(); !slices.Equal(got, pids) {
		t.Errorf("workers %v, then %v", pids, got)
	}
	if text := s.log.String(); strings.Contains(text, "client has closed") || strings.Contains(text, "level=ERROR") {
		t.Error("that clients have gone is in the log as an error")
	}
	var gone int
	for _, line := range fileLines(t, s.access, 6+3) {
		if strings.Contains(line, `"GET /silent HTTP/1.1" 499 0 `) {
			gone++
		}
	}
	if gone != 4 {
		t.Errorf("%d requests have status 499, want 4", gone)
	}
}

// A response of HEAD is complete with its head, but its handler has not finished.
func TestClientGoneEndsHandlerOfHead(t *testing.T) {
	s := startLeaving(t, "")
	for range 3 { // there are two workers
		from := s.log.size()
		p := dial(t, s.address(1))
		p.say("HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n")
		p.hearsHead("HEAD")
		s.log.wait(t, from, "silent")
		p.Close()
	}
	p := dial(t, s.address(1))
	p.get("/hello")
	p.hears(200)
	p.Close()
}

// A worker whose handler does not end is replaced. One that works on after its response is left alone.
func TestClientGoneEndsWorkers(t *testing.T) {
	s := startLeaving(t, "")
	for range 2 { // as many as there are workers
		from := s.log.size()
		p := dial(t, s.address(2))
		p.get("/deaf")
		s.log.wait(t, from, "msg=deaf")
		p.Close()
		s.log.wait(t, from, "worker ended", "on_client_gone: GET /deaf has not ended within 300ms", "lost=0")
	}
	p := dial(t, s.address(2))
	p.get("/finished")
	if got := p.hears(200); got != "finished" {
		t.Errorf("body %q", got)
	}
	p.Close()
	time.Sleep(500 * time.Millisecond) // nothing comes of it
	s.open()
	s.wait("has worked")
	if n := strings.Count(s.log.String(), "worker ended"); n != 2 {
		t.Errorf("%d workers have ended", n)
	}
}

func TestClientGoneAsked(t *testing.T) {
	s := startLeaving(t, "")
	p := dial(t, s.address(0))
	p.get("/asks")
	s.wait("asks false true")
	p.Close()
	s.wait("is told true false")
}

// With more loops than workers the clients of all loops are served alike.
func TestLoopsShareWorker(t *testing.T) {
	s := startLeaving(t, "", "--loops", "4", "--fill-loops", "3")
	const clients, each = 12, 10
	var got []int
	for range 5 { // on a busy machine, a client or a loop may come too late
		if got = s.share(clients, each); t.Failed() || slices.Min(got) >= each/4 {
			return
		}
	}
	t.Errorf("answers of each client: %v", got)
}

// share has clients make requests at the same time, and returns how many answers each of them got.
func (s *leaving) share(clients, each int) []int {
	t := s.t
	got := make([]int, clients)
	left := make(chan struct{}, clients*each)
	for range cap(left) {
		left <- struct{}{}
	}
	close(left)
	done := make(chan error)
	for i := range clients {
		p := dialAs(t, i, s.address(0))
		go func() {
			for range left {
				if status, _, err := p.ask("/short"); status != 200 {
					done <- fmt.Errorf("client %d: status %d, %v", i, status, err)
					return
				}
				got[i]++
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return got
}
