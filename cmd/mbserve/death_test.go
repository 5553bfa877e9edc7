package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is a number of clients that make one GET after another on persistent connections. None may fail.
type load struct {
	t    *testing.T
	over atomic.Bool
	done atomic.Int64
	all  sync.WaitGroup

	turns []atomic.Int64 // answers of each client

	mu       sync.Mutex
	last     map[string]int // secret → requests since the last check
	answered map[int]bool   // process ids of the workers that have answered
}

func startLoad(t *testing.T, s *instance, clients int) *load {
	l := &load{t: t, last: map[string]int{}, answered: map[int]bool{}, turns: make([]atomic.Int64, clients)}
	t.Cleanup(l.stop)
	for i := range clients {
		p := dial(t, s.address(0))
		l.all.Go(func() { l.run(p, &l.turns[i]) })
	}
	return l
}

func (l *load) run(p *peer, turns *atomic.Int64) {
	defer p.Close()
	for !l.over.Load() {
		status, body, err := p.ask("/")
		w, errTold := readTold(body)
		if err != nil || errTold != nil || status != 200 {
			l.t.Errorf("after %d requests: status %d, body %q, %v", l.done.Load(), status, body, err)
			return
		}
		l.done.Add(1)
		turns.Add(1)
		l.mu.Lock()
		l.last[w.secret]++
		l.answered[w.pid] = true
		l.mu.Unlock()
	}
}

// secrets returns the secrets in the answers since the last call.
func (l *load) secrets() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := l.last
	l.last = map[string]int{}
	return got
}

// goOn waits until each client has made a request that was not in progress before, and has its answer.
func (l *load) goOn() {
	l.t.Helper()
	from := make([]int64, len(l.turns))
	for i := range from {
		from[i] = l.turns[i].Load()
	}
	eventually(l.t, "answers to all clients", func() bool {
		for i := range from {
			if l.turns[i].Load() < from[i]+2 {
				return l.t.Failed()
			}
		}
		return true
	})
}

// oneOf is a worker that has answered a request, so one that has started. There is none if it is 0.
func (l *load) oneOf(workers []int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	started := slices.DeleteFunc(workers, func(pid int) bool { return !l.answered[pid] })
	if len(started) == 0 {
		return 0
	}
	return started[rand.IntN(len(started))]
}

func (l *load) stop() {
	l.over.Store(true)
	l.all.Wait()
}

// wantWorkers waits until the pool has n workers, all of one fork server.
func (s *instance) wantWorkers(n int) {
	s.t.Helper()
	if !holds(patience, func() bool { return len(s.workers()) == n && len(s.forkServers()) == 1 }) {
		s.t.Fatalf("%d workers, want %d: %v", len(s.workers()), n, marked(s.mark))
	}
}

func kill(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		t.Fatal(err)
	}
}

// Workers die all the time: no GET is lost, and afterwards everything is as before. Those that are starting are left alone: after a death in
// prepare, no worker is started for a while. Between two deaths each GET is answered, because none is tried a third time.
func TestWorkersKilledUnderLoad(t *testing.T) {
	s := start(t, "testdata/state.lua")
	s.wantWorkers(4)
	// The fork server has a pidfd too.
	eventually(t, "all handles", func() bool { return files(t, s.pid())["[pidfd]"] == 1+4 })
	before := files(t, s.pid())
	l := startLoad(t, s, 32)
	killed := 0
	for range 20 {
		l.goOn()
		if pid := l.oneOf(s.workers()); pid != 0 {
			kill(t, pid)
			killed++
		}
	}
	l.goOn()
	l.stop()
	t.Logf("%d workers killed, %d requests", killed, l.done.Load())
	if killed == 0 {
		t.Error("no worker was killed")
	}
	if n := len(l.secrets()); n != 1 {
		t.Errorf("%d secrets, want 1", n)
	}
	s.wantWorkers(4)
	s.wait("worker ended", `end="signal SIGKILL"`)
	s.wantFiles(before)
}

// A GET whose worker dies is answered by another one, without the client noticing.
func TestGetIsTriedAgain(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/wait.lua", fifo)
	p := dial(t, s.address(0))
	p.get("/wait")
	first := field(s.wait("msg=waiting"), "pid")
	from := s.log.size()
	kill(t, number(t, first))
	if second := field(s.log.wait(t, from, "msg=waiting"), "pid"); second == first {
		t.Errorf("both by worker %s", first)
	}
	s.log.wait(t, from, "worker ended", "pid="+first, "SIGKILL", "lost=0", "retried=1")
	open()
	p.hears(200)
}

// A GET that kills its second worker too is not tried again.
func TestGetIsNotTriedForEver(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := start(t, "testdata/wait.lua", fifo)
	p := dial(t, s.address(0))
	p.get("/wait")
	from := 0
	for range 2 {
		line := s.log.wait(t, from, "msg=waiting")
		from = s.log.size()
		kill(t, number(t, field(line, "pid")))
	}
	p.hears(502)
	p.get("/")
	p.hears(200)
}

// A POST must not be processed twice: its client is told that it may or may not have been processed.
func TestPostIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	fifo, _ := newFIFO(t)
	s := start(t, "testdata/wait.lua", fifo)
	p := dial(t, s.address(0))
	p.say("POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
	pid := field(s.wait("msg=waiting"), "pid")
	kill(t, number(t, pid))
	p.hears(502)
	s.wait("worker ended", "pid="+pid, "SIGKILL", "lost=1", "retried=0")
	p.get("/")
	p.hears(200)
	if n := strings.Count(s.log.String(), "msg=waiting"); n != 1 {
		t.Errorf("the handler was called %d times", n)
	}
}

// A worker dies in the middle of a body: the client of an upload is told, and the client of a download notices.
func TestWorkerKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/stream.lua") // one worker
	// More than the buffers of the system and a window hold: when it is written, the server no longer has its beginning.
	part := strings.Repeat("x", 20<<20)
	for _, head := range []string{
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n" + part,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5f5e100\r\n" + part,
		"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n" + part,
		"GET /1e12 HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		s.wantWorkers(1)
		from := s.log.size()
		worker := s.worker()
		p := dial(t, s.address(1))
		p.say("%s", head)
		if head[0] == 'G' {
			if _, err := p.r.ReadByte(); err != nil {
				t.Fatal(err)
			}
		} else {
			s.log.wait(t, from, "body begins")
		}
		kill(t, worker)
		if head[0] != 'G' {
			p.hears(502)
		}
		p.hearsBreak()
		s.log.wait(t, from, "worker ended", "lost=1", "retried=0")
		if got := get(t, s.url("/3")); got != string(pattern()[:3]) {
			t.Errorf("afterwards: %q", got)
		}
	}
}

// The fork server dies: workers keep running until those of a new one have taken over.
func TestForkServerKilled(t *testing.T) {
	s := start(t, "testdata/state.lua")
	s.wantWorkers(4)
	old, oldWorkers := s.forkServers()[0], s.workers()
	l := startLoad(t, s, 8)
	eventually(t, "answers", func() bool { return l.done.Load() > 100 })
	oldSecrets := l.secrets()
	if len(oldSecrets) != 1 {
		t.Fatalf("%d secrets, want 1", len(oldSecrets))
	}
	kill(t, old)
	s.wait("fork server died", fmt.Sprint("pid=", old))
	s.wait("fork server restarted")
	eventually(t, "all old workers are gone", func() bool {
		for _, pid := range oldWorkers {
			if _, ok := readProcess(pid); ok {
				return false
			}
		}
		return true
	})
	// Clients may still be about to read answers of the old workers.
	eventually(t, "all answers come from workers of the new fork server", func() bool {
		l.secrets()
		from := l.done.Load()
		eventually(t, "answers", func() bool { return l.done.Load() > from+100 })
		for secret := range l.secrets() {
			if oldSecrets[secret] != 0 {
				return false
			}
		}
		return true
	})
	l.stop()
	s.wantWorkers(4)
	if f := s.forkServers(); len(f) != 1 || f[0] == old {
		t.Errorf("fork servers %v, want a new one", f)
	}
}

// Whenever a fork server dies, while loading, forking or idle, the next one restores the pool, and no process is left
// over.
func TestForkServersKilledAtAnyTime(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/state.lua")
	s.wantWorkers(4)
	for range 4 { // the pause before the next one doubles
		var old int
		eventually(t, "a fork server", func() bool {
			f := s.forkServers()
			if len(f) > 0 {
				old = f[0]
			}
			return len(f) > 0
		})
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		kill(t, old)
		eventually(t, "it is gone", func() bool { return !slices.Contains(s.forkServers(), old) })
	}
	s.wait("fork server restarted")
	s.wantWorkers(4) // and one fork server
	get(t, s.url("/"))
}

// Even if all are killed at the same time, the server recovers.
func TestEverybodyKilled(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/state.lua")
	s.wantWorkers(4)
	p := dial(t, s.address(0))
	for range 2 {
		from := s.log.size()
		for _, pid := range append(s.forkServers(), s.workers()...) {
			kill(t, pid)
		}
		s.log.wait(t, from, "fork server restarted")
		eventually(t, "an answer", func() bool {
			status, _, err := p.ask("/")
			if err != nil || status != 200 && status != 503 && status != 502 {
				t.Fatalf("status %d, %v", status, err)
			}
			return status == 200
		})
	}
	s.wantWorkers(4)
}
