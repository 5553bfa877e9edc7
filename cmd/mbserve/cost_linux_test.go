package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// A batch of requests wakes the server and a worker about once, not once for each of them: what separate processes cost is the
// switches between them. Everything runs on one CPU, so that the requests of a round are all there when the server gets to run.
// Then 0.6 to 0.8 switches are measured, and 4.5 if each request comes alone. A busy machine adds some, so the best of three
// passes counts.
func TestSwitchesPerRequest(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector adds switches")
	}
	const conns, rounds, passes, bound = 64, 50, 3, 1.5
	onOneCPU(t)
	s := start(t, "testdata/hello.lua")
	peers := make([]*peer, conns)
	for i := range peers {
		peers[i] = dial(t, s.address(0))
	}
	switches, calls := math.Inf(1), math.Inf(1)
	sendRounds(peers, 5)
	for range passes {
		before := s.work()
		sendRounds(peers, rounds)
		after := s.work()
		if after.switches == before.switches {
			t.Fatal("context switches are not counted")
		}
		switches = min(switches, float64(after.switches-before.switches)/(conns*rounds))
		calls = min(calls, float64(after.calls-before.calls)/(conns*rounds))
	}
	t.Logf("%.2f context switches and %.2f calls of read and write for a request", switches, calls)
	if switches > bound || calls > bound {
		t.Errorf("%.2f context switches and %.2f calls of read and write for a request, want at most %v of each", switches, calls, bound)
	}
}

// sendRounds sends a request on each connection, then reads the responses, and so on.
func sendRounds(peers []*peer, rounds int) {
	for range rounds {
		for _, p := range peers {
			p.get("/")
		}
		for _, p := range peers {
			p.hears(200)
		}
	}
}

// onOneCPU keeps this test and the processes that it starts on one CPU.
func onOneCPU(t *testing.T) {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Skip("the CPUs of a thread cannot be read: ", err)
	}
	for cpu := range len(before) * 64 {
		if before.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Skip("a thread cannot be bound to a CPU: ", err)
	}
	t.Cleanup(func() {
		unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	})
}

// work is what the processes of a server have done so far: context switches of all threads, and calls of read and write, which
// are those on doorbells. Sockets are read and written with other calls.
type work struct{ switches, calls int }

func (s *instance) work() (w work) {
	s.t.Helper()
	for _, pid := range append(s.workers(), s.pid()) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(threads) == 0 {
			s.t.Skip("context switches cannot be counted: there is no /proc with threads")
		}
		for _, thread := range threads {
			w.switches += s.sumOf(thread, contextSwitches)
		}
		w.calls += s.sumOf(fmt.Sprintf("/proc/%d/io", pid), readsAndWrites)
	}
	return w
}

var (
	contextSwitches = regexp.MustCompile(`(?m)^(?:non)?voluntary_ctxt_switches:\s+(\d+)`)
	readsAndWrites  = regexp.MustCompile(`(?m)^sysc[rw]: (\d+)`)
)

// sumOf adds up the two numbers that a pattern finds in a file of /proc.
func (s *instance) sumOf(file string, pattern *regexp.Regexp) (sum int) {
	s.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Skipf("the work of a process cannot be counted: %v", err)
	}
	found := pattern.FindAllSubmatch(text, -1)
	if len(found) != 2 {
		s.t.Skipf("the work of a process cannot be counted: %s has %d of two numbers", file, len(found))
	}
	for _, m := range found {
		n, _ := strconv.Atoi(string(m[1]))
		sum += n
	}
	return sum
}
