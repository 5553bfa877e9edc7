package main

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// batchThreads is how many threads of a process are in the class SCHED_BATCH.
func batchThreads(t *testing.T, pid int) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/" + itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		tid, _ := strconv.Atoi(e.Name())
		if a, err := unix.SchedGetAttr(tid, 0); err == nil && a.Policy == unix.SCHED_BATCH {
			n++
		}
	}
	return n
}

// The event loops are in the class that was asked for, by default SCHED_BATCH. Fork server and workers never are.
func TestScheduling(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has these classes")
	}
	for _, c := range []struct {
		args []string
		want int
	}{{nil, 2}, {[]string{"--scheduling", "batch"}, 2}, {[]string{"--scheduling", "normal"}, 0}} {
		s := start(t, append(append([]string{"--loops", "2"}, c.args...), "testdata/hello.lua")...)
		if got := get(t, s.url("/")); got == "" {
			t.Error("no answer")
		}
		if n := batchThreads(t, s.pid()); n != c.want {
			t.Errorf("%q: %d threads of the server in SCHED_BATCH, want %d", c.args, n, c.want)
		}
		for _, pid := range append(s.forkServers(), s.workers()...) {
			if n := batchThreads(t, pid); n != 0 {
				t.Errorf("%q: %d threads of a fork server or worker in SCHED_BATCH", c.args, n)
			}
		}
	}
}
