package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// process is the information in /proc about a process.
type process struct {
	pid, parent int
	state       string
	name        string
}

func (p process) String() string {
	return fmt.Sprintf("%d (%s, %s, of %d)", p.pid, p.name, p.state, p.parent)
}

// marked returns all processes of one server, even reparented ones: each has the server's mark in its environment. A
// process that has ended has no environment.
func marked(mark string) (found []process) {
	want := []byte(envServer + "=" + mark)
	entries, _ := os.ReadDir("/proc") // filepath.Glob would read the directory of each process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile("/proc/" + entry.Name() + "/environ")
		if err != nil || !slices.ContainsFunc(bytes.Split(env, []byte{0}), func(e []byte) bool { return bytes.Equal(e, want) }) {
			continue
		}
		if p, ok := readProcess(pid); ok {
			found = append(found, p)
		}
	}
	return found
}

func readProcess(pid int) (p process, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	// pid (name) state parent …; the name may contain anything.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return p, false
	}
	f := strings.Fields(string(stat[end+1:]))
	if len(f) < 2 {
		return p, false
	}
	parent, _ := strconv.Atoi(f[1])
	return process{pid: pid, parent: parent, state: f[0], name: string(stat[open+1 : end])}, true
}

// forkServers returns the children of the server.
func (s *instance) forkServers() []int { return s.childrenOf(s.pid()) }

// workers returns the children of the fork server.
func (s *instance) workers() (pids []int) {
	for _, f := range s.forkServers() {
		pids = append(pids, s.childrenOf(f)...)
	}
	return pids
}

// worker returns a worker of a server that has one.
func (s *instance) worker() (pid int) {
	s.t.Helper()
	eventually(s.t, "there is a worker", func() bool {
		pids := s.workers()
		if len(pids) > 0 {
			pid = pids[0]
		}
		return len(pids) > 0
	})
	return pid
}

func (s *instance) childrenOf(parent int) (pids []int) {
	for _, p := range marked(s.mark) {
		if p.parent == parent && p.state != "Z" {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// files returns how many descriptors a process has open, by kind: "socket", "pipe", "[eventfd]", "[pidfd]", "/proc/PID/stat", ….
func files(t testing.TB, pid int) map[string]int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		kind, number, _ := strings.Cut(link, ":")
		if kind == "anon_inode" {
			kind = number
		}
		if strings.HasPrefix(kind, "/proc/") && strings.HasSuffix(kind, "/stat") {
			kind = "/proc/PID/stat" // of a worker
		}
		kinds[kind]++
	}
	return kinds
}

// wantFiles waits until a server has no more descriptors of any kind than before. It may have had more for a moment then, if its workers had
// just been forked.
func (s *instance) wantFiles(before map[string]int) {
	s.t.Helper()
	if !holds(patience, func() bool {
		for kind, n := range files(s.t, s.pid()) {
			if n > before[kind] {
				return false
			}
		}
		return true
	}) {
		s.t.Errorf("descriptors %v, before %v", files(s.t, s.pid()), before)
	}
}

// sockets returns how many sockets a process has open.
func sockets(t testing.TB, pid int) int {
	t.Helper()
	return files(t, pid)["socket"]
}

// memory is the memory of a process in bytes: private pages, and shared pages such as the segments.
type memory struct{ anon, shared, resident int64 }

func readMemory(t testing.TB, pid int) memory {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string) int64 {
		_, rest, _ := strings.Cut(string(status), "\n"+name+":")
		f := strings.Fields(rest)
		if len(f) < 2 {
			t.Fatalf("no %s in the status of %d", name, pid)
		}
		kb, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return kb << 10
	}
	return memory{anon: field("RssAnon"), shared: field("RssShmem"), resident: field("VmRSS")}
}

func (m memory) String() string {
	return fmt.Sprintf("anon %.1f MiB, shared memory %.1f MiB, resident %.1f MiB",
		float64(m.anon)/(1<<20), float64(m.shared)/(1<<20), float64(m.resident)/(1<<20))
}
