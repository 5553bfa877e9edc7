package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// endureTime is how long TestEndure runs: MBSERVE_ENDURE=60s for a long run.
func endureTime(t *testing.T) time.Duration {
	text := os.Getenv("MBSERVE_ENDURE")
	if text == "" {
		return 6 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// While wrk sends requests on 256 connections, workers are killed, the script is reloaded, and the server is replaced
// by a new process. Clients must not notice: no socket error, no status other than 200, and nothing is left over.
func TestEndure(t *testing.T) {
	wrk := needs(t, "wrk")
	d := endureTime(t)
	a := newApplication(t)
	pidName := filepath.Join(t.TempDir(), "pid")
	a.write(`@ listen{ port, min_fork = 3, max_fork = 8, exit_delay = 0.2, connect = say("hello") }`)
	s := start(t, "-p", pidName, a.script)
	pid := func() int {
		text, err := os.ReadFile(pidName)
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		return number(t, line)
	}
	settled := func() bool { return len(s.childrenOf(pid())) == 1 && len(s.workersOf(pid())) == 3 }
	eventually(t, "its workers are there", settled)
	eventually(t, "it knows them", func() bool { return files(t, pid())["/proc/PID/stat"] == 3 })
	before := openFiles(t, pid())

	load := exec.Command(wrk, "-t", "2", "-c", "256", "-d", itoa(int(d.Seconds()))+"s", s.url("/"))
	var said strings.Builder
	load.Stdout, load.Stderr = &said, &said
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	kills, reloads, upgrades := 0, 0, 0
	end := time.Now().Add(d - 1500*time.Millisecond)
	for time.Now().Before(end) {
		switch now := pid(); {
		case upgrades < 2 && time.Until(end) < d*time.Duration(2-upgrades)/3:
			upgrades++
			if err := syscall.Kill(now, syscall.SIGUSR2); err != nil {
				t.Fatal(err)
			}
			eventually(t, "another process has taken over", func() bool { return pid() != now })
		case rand.IntN(2) == 0:
			if workers := s.workersOf(now); len(workers) > 0 {
				kills++
				syscall.Kill(workers[rand.IntN(len(workers))], syscall.SIGKILL)
			}
		default:
			reloads++
			if err := syscall.Kill(now, syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(200+rand.IntN(400)) * time.Millisecond)
	}
	if err := load.Wait(); err != nil {
		t.Errorf("wrk: %v", err)
	}
	t.Logf("%d workers killed, %d reloads, %d replacements\n%s", kills, reloads, upgrades, &said)
	// A timeout is a response that took more than 2 s, which is a matter of speed. So are errors if wrk itself is late: see late.
	failures := `(connect|read|write) [1-9]|Non-2xx| 0 requests`
	if regexp.MustCompile(`Latency +\S+ +\S+ +[\d.]+s`).MatchString(said.String()) {
		failures = `Non-2xx| 0 requests`
	}
	if bad := regexp.MustCompile(failures).FindString(said.String()); bad != "" {
		t.Errorf("wrk has %q", bad)
	}
	last := pid()
	eventually(t, "only the last process and its workers are left", func() bool {
		all := marked(s.mark)
		return settled() && len(all) == 2+3
	})
	eventually(t, "no descriptors are leaked", func() bool { return openFiles(t, last) <= before })
	s.awaitExit()
	s.endOf(last)
}

// openFiles returns how many descriptors a process has.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir("/proc/" + itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// workersOf returns the children of the children of a server.
func (s *instance) workersOf(pid int) (pids []int) {
	for _, fork := range s.childrenOf(pid) {
		pids = append(pids, s.childrenOf(fork)...)
	}
	return pids
}
