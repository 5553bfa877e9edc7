package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWatchdogPeriod(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"2000000", "", 2 * time.Second}, {"2000000", strconv.Itoa(os.Getpid()), 2 * time.Second}, {"2000000", "1", 0},
		{"0", "", 0}, {"-1", "", 0}, {"much", "", 0}, {"99999999999999999", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if got := watchdogPeriod(); got != c.want {
			t.Errorf("%q, %q: %v", c.usec, c.pid, got)
		}
		if os.Getenv("WATCHDOG_USEC")+os.Getenv("WATCHDOG_PID") != "" {
			t.Error("the variables are still in the environment")
		}
	}
}

// The service manager hears of the server again and again, and of the process that replaces it, too. That is its child: systemd would
// not wait for another one.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	address, next := manager(t)
	s := launchWith(t, program(t), nil, []string{"NOTIFY_SOCKET=" + address, "WATCHDOG_USEC=100000"}, "testdata/watched.lua", "none", "false")
	s.wait("msg=ready")
	seen := map[string]int{}
	until := func(prefix string, times int) string {
		t.Helper()
		for {
			m := next()
			kind, _, _ := strings.Cut(m, "=")
			if seen[kind]++; kind == prefix && seen[kind] >= times {
				return m
			}
		}
	}
	until("READY", 1)
	until("WATCHDOG", 3)
	s.signal(syscall.SIGUSR2)
	heir := number(t, strings.TrimPrefix(until("MAINPID", 1), "MAINPID="))
	if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", heir)); !strings.Contains(string(text), fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())) {
		t.Errorf("the parent is another process:\n%s", text)
	}
	s.awaitExit()
	clear(seen)
	until("WATCHDOG", 3)
	if err := syscall.Kill(heir, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	ended(t, heir, exitOK)
	s.ended = true
	s.checkProcesses()
	s.checkLog()
}

// When the main process of a service has ended, the manager kills what is left. So the new process, which is the main one by then, does not
// end before the old one has completed its requests, unless a second signal asks for that.
func TestStopWaitsForPredecessor(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]syscall.Signal{"it has completed them": 0, "second TERM": syscall.SIGTERM, "QUIT": syscall.SIGQUIT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, _ := manager(t)
			fifo, open := newFIFO(t)
			s := launchWith(t, program(t), nil, []string{"NOTIFY_SOCKET=" + address}, "testdata/wait.lua", fifo)
			s.wait("msg=ready")
			busy := dial(t, s.address(0))
			busy.get("/wait")
			s.wait("waiting")
			s.signal(syscall.SIGUSR2)
			heir := number(t, field(s.wait("msg=upgrading"), "pid"))
			s.wait("handed over")
			if err := syscall.Kill(heir, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			s.wait("waiting for the end of the process that this one has replaced")
			if second != 0 {
				if err := syscall.Kill(heir, second); err != nil {
					t.Fatal(err)
				}
				ended(t, heir, exitOK)
			}
			open()
			if got := busy.hears(200); got != "done" {
				t.Errorf("%q", got)
			}
			s.awaitExit()
			if second == 0 {
				ended(t, heir, exitOK)
			}
			s.ended = true
			s.checkProcesses()
			s.checkLog()
		})
	}
}

// ended waits for the end of a process that is a child of this one, and checks its exit code.
func ended(t *testing.T, pid, code int) {
	t.Helper()
	var how syscall.WaitStatus
	eventually(t, "process "+itoa(pid)+" ends", func() bool {
		got, err := syscall.Wait4(pid, &how, syscall.WNOHANG, nil)
		if err != nil {
			t.Fatal(err)
		}
		return got == pid
	})
	if !how.Exited() || how.ExitStatus() != code {
		t.Errorf("process %d has ended with %#x, want exit code %d", pid, int(how), code)
	}
}

// A new process that fails is noticed, although it is not a child.
func TestUpgradeFailsUnderManager(t *testing.T) {
	t.Parallel()
	address, _ := manager(t)
	a := newApplication(t)
	a.write(`@ listen{ port, connect = say("one") }`)
	s := launchWith(t, program(t), nil, []string{"NOTIFY_SOCKET=" + address}, a.script)
	s.wait("msg=ready")
	a.write(`error("no database")`)
	s.signal(syscall.SIGUSR2)
	heir := number(t, field(s.wait("msg=upgrading"), "pid"))
	s.wait("upgrade failed: this process keeps running", "only its parent knows how")
	ended(t, heir, exitStart)
	if got := get(t, s.url("/")); got != "one" {
		t.Errorf("%q", got)
	}
}
