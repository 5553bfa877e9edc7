package pool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

var forkServerHello = regexp.MustCompile(`fork server says hello" pid=(\d+)`)

// forkServers are the process ids of all fork servers so far, the youngest last. Each has a session, with its workers.
func (r *rig) forkServers() (pids []int) {
	for _, m := range forkServerHello.FindAllStringSubmatch(r.log.String(), -1) {
		pid, _ := strconv.Atoi(m[1])
		pids = append(pids, pid)
	}
	return pids
}

// inSessions are the living processes of some sessions.
func inSessions(sessions []int) (pids []int) {
	entries, _ := os.ReadDir("/proc") // filepath.Glob would read the directory of each process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// "PID (name) state ppid pgrp session …"
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		session, _ := strconv.Atoi(f[3])
		for _, s := range sessions {
			if s == session && f[0] != "Z" && f[0] != "X" {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// onlyWorkers checks that there are no processes other than those that the host knows of.
func (r *rig) onlyWorkers() {
	r.t.Helper()
	eventually(r.t, "no process but the fork server and its workers", func() bool {
		known := map[int]bool{r.h.server().cmd.Process.Pid: true}
		for _, pid := range r.h.pids() {
			known[pid] = true
		}
		for _, pid := range inSessions(r.forkServers()) {
			if !known[pid] {
				return false
			}
		}
		return true
	})
}

// A fork server may die in any phase: while it loads the script, while it forks, and while it is idle. The pool recovers, and
// no process is left over.
func TestForkServerDiesInAnyPhase(t *testing.T) {
	marked := filepath.Join(t.TempDir(), "m")
	for _, c := range []struct {
		name, script string
		phase        func(r *rig) // wait for it
	}{
		{"loading", "slow-load", func(r *rig) {
			n := len(r.forkServers())
			unix.Kill(r.h.server().cmd.Process.Pid, unix.SIGKILL)
			eventually(t, "the next one loads", func() bool { return len(r.forkServers()) > n })
		}},
		{"idle", "ok", func(r *rig) { r.ready(6) }},
		{"forking", "ok", func(r *rig) {
			before := r.h.pids()
			for _, pid := range before {
				unix.Kill(pid, unix.SIGKILL)
			}
			eventually(t, "workers booting", func() bool { // on a busy machine they may be ready before this looks
				return r.p.Stats().Booting > 0 || slices.ContainsFunc(r.h.pids(), func(pid int) bool { return !slices.Contains(before, pid) })
			})
		}},
		{"between the fork and the news of it", "dies-forking " + marked, func(r *rig) {
			r.log.await(t, "fork server restarted")
			os.Remove(marked) // the next one does it again, for the first of its workers
			for _, pid := range r.h.pids() {
				unix.Kill(pid, unix.SIGKILL)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, setup{script: c.script, options: [][3]any{{0, "min_fork", 6}, {0, "fork_error_delay", 0.01}}})
			for range 2 {
				r.ready(6)
				c.phase(r)
				eventually(t, "a fork server", func() bool { return len(r.forkServers()) > 0 })
				all := r.forkServers()
				killed := all[len(all)-1]
				unix.Kill(killed, unix.SIGKILL)
				eventually(t, "the next fork server", func() bool {
					fs := r.h.server()
					return len(r.forkServers()) > len(all) && fs.cmd.Process.Pid != killed && !fs.dead()
				})
				eventually(t, "served", func() bool { return r.get("hello?x").out == "hello x" })
			}
			r.ready(6)
			r.onlyWorkers()
			r.quiet()
			r.stop(testPatience)
			if left := inSessions(r.forkServers()); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
		})
	}
}

// The same at random, under load, with workers that are replaced all the time.
func TestForkServersKilledAtRandom(t *testing.T) {
	r := start(t, setup{loops: 2, options: [][3]any{{0, "min_fork", 3}, {0, "max_fork", 5}, {0, "fork_error_delay", 0.01},
		{0, "max_requests_per_fork", 5}, {0, "queue_timeout", 60}}})
	r.ready(3)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range 3 { // the pause before the next one doubles
			n := len(r.forkServers())
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			all := r.forkServers()
			unix.Kill(all[len(all)-1], unix.SIGKILL)
			for end := time.Now().Add(testPatience); len(r.forkServers()) == n && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for i, going := 0, true; going; i++ {
		select {
		case <-stop:
			going = false
		default:
		}
		q := r.sendOn(i%2, &request{target: "hello?" + strconv.Itoa(i)})
		checkKilled(t, q)
	}
	eventually(t, "served at the end", func() bool { return r.get("hello?end").out == "hello end" })
	r.ready(3)
	r.onlyWorkers()
	r.quiet()
	r.stop(testPatience)
	if left := inSessions(r.forkServers()); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

// A fork server that has many forks to make does not hang as long as it makes one after the other. Meanwhile workers can be killed.
func TestManyForksTakeLong(t *testing.T) {
	defer func(before time.Duration) { forkTimeout = before }(forkTimeout)
	forkTimeout = 2 * time.Second // far longer than one fork takes, and shorter than all
	r := start(t, setup{script: "slow-fork", options: [][3]any{{0, "min_fork", 24}, {0, "max_fork", 24}}})
	r.ready(24)
	if strings.Contains(r.log.String(), "hangs") || len(r.forkServers()) != 1 {
		t.Errorf("fork servers: %v", r.forkServers())
	}
	r.stop(testPatience)
}

// The time for a message to a fork server counts from its last answer.
func TestForkServerReadsSlowly(t *testing.T) {
	defer func(before time.Duration) { controlTimeout = before }(controlTimeout)
	controlTimeout = time.Second
	for range 20 {
		longest, err := readsSlowly(t)
		if err == nil {
			return
		}
		if longest < controlTimeout/2 {
			t.Fatal(err)
		}
	}
	t.Skip("this machine is too busy")
}

// readsSlowly sends messages to a fork server that forks for longer than a message may take, before it reads them. longest is for how long it did
// neither: on a busy machine, perhaps for too long.
func readsSlowly(t *testing.T) (longest time.Duration, err error) {
	ours, theirs, err := controlPair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ours.SetWriteBuffer(16 << 10)
	fs := &forkServer{conn: ours, started: time.Now()}
	const n = 100
	over := make(chan struct{})
	go func() {
		defer close(over)
		last := time.Now()
		lives := func() {
			longest = max(longest, time.Since(last))
			last = time.Now()
		}
		for begun := last; time.Since(begun) < 2*controlTimeout; time.Sleep(time.Millisecond) {
			fs.heard() // it forks, and reads nothing
			lives()
		}
		var buf []byte
		for range n {
			_, _, err := readMsg(theirs, &buf)
			lives()
			if err != nil {
				return // ours is closed
			}
		}
	}()
	for i := 0; i < n && err == nil; i++ {
		if err = writeMsg(fs.conn, shm.MsgFork, shm.Bytes(&shm.MsgForkBody{Slot: uint32(i)})); err != nil {
			err = fmt.Errorf("message %d: %w", i, err)
		}
	}
	ours.Close()
	<-over
	return longest, err
}

// A pool may end while requests for workers wait for the fork server.
func TestKillWhileForksWait(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	r := start(t, setup{script: "gated-fork " + gate, options: [][3]any{{0, "min_fork", 24}, {0, "max_fork", 24}, {0, "fork_error_delay", 0.01}}})
	r.ready(24)
	r.h.server().conn.SetWriteBuffer(1) // a few messages
	eventually(t, "their end is no failure to start", func() bool {
		return !r.p.has(func(w *Worker) bool { return w.activity.age(time.Now()) < startSpan })
	})
	marker(gate)
	for _, pid := range r.h.pids() {
		unix.Kill(pid, unix.SIGKILL)
	}
	eventually(t, "forks wait", func() bool { return r.p.Stats().Booting > 12 })
	r.h.Kill()
	if left := inSessions(r.forkServers()); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if n := len(r.p.processes()); n > 0 {
		t.Errorf("%d workers are taken for alive", n)
	}
}

// A fork server that is started again, and whose script waits for something, is ended after some time, and another one is started.
func TestRestartedScriptWaits(t *testing.T) {
	defer func(before time.Duration) { loadTimeout = before }(loadTimeout)
	loadTimeout = 500 * time.Millisecond
	r := start(t, setup{script: "second-waits " + filepath.Join(t.TempDir(), "m")})
	r.ready(2)
	unix.Kill(r.h.server().cmd.Process.Pid, unix.SIGKILL)
	r.log.await(t, "not loaded within")
	r.log.await(t, "fork server restarted")
	wantOut(t, r.get("hello?x"), "hello x")
	r.stop(testPatience)
}

// A fork server that makes nothing of a request for a worker hangs, even if nothing else happens then.
func TestForkIsNotAnswered(t *testing.T) {
	defer func(before time.Duration) { forkTimeout = before }(forkTimeout)
	forkTimeout = time.Second
	script := "second-fork-waits prepare-once " + filepath.Join(t.TempDir(), "m") // the first worker fails, and there is a pause before the next
	r := start(t, setup{script: script, options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}, {0, "fork_error_delay", 0.1}}})
	r.log.await(t, "fork server hangs")
	r.log.await(t, "fork server restarted")
	r.ready(1)
	wantOut(t, r.get("hello?x"), "hello x")
	r.stop(testPatience)
}
