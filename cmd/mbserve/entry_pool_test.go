package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

var listening = regexp.MustCompile(`msg=listening .*address=(?:https?|tcp|tls)://([^/\s]+)`)

// tcp returns the address of the n-th TCP listener, whatever it serves.
func (s *instance) tcp(n int) string {
	s.t.Helper()
	all := listening.FindAllStringSubmatch(s.log.String(), -1)
	if n >= len(all) {
		s.t.Fatalf("there is no TCP listener %d:\n%s", n, s.log)
	}
	return all[n][1]
}

// count returns how many lines of the log contain text.
func (s *instance) count(text string) int { return strings.Count(s.log.String(), text) }

// How many workers a pool starts by itself.
func TestEntryNumberOfWorkers(t *testing.T) {
	tests := []struct {
		pool     string
		min, max int
	}{
		{"", 2, 2},             // min_fork is 2
		{"min_fork = 1", 1, 1}, // which is also the spare one
		{"min_fork = 3", 3, 3},
		{"max_fork = 1", 1, 1}, // min_fork is lowered
		{"pre_fork = 4", 4, 4}, // min_fork is raised
		{"min_fork = 1, pre_fork = 3, fork_delay = 0.1", 3, 3},
		{"min_fork = 1, pre_fork = 0", 1, 1},
		// Without a pause, a worker may count as busy before it has gone to sleep for the first time.
		{"min_fork = 1, pre_fork = 3, max_fork = 9, fork_delay = false", 3, 9},
	}
	for _, test := range tests {
		t.Run(test.pool, func(t *testing.T) {
			t.Parallel()
			got := 0
			for range 5 { // on a busy machine, a worker may seem to be busy for so long that the pool needs another one
				s := start(t, "testdata/entry_births.lua", test.pool)
				eventually(t, "as many workers as asked for", func() bool { return s.count("msg=born") >= test.min })
				for range 10 { // successive requests need no more workers
					get(t, s.url("/"))
				}
				s.stop()
				if got = s.count("msg=born"); got >= test.min && got <= test.max {
					return
				}
			}
			t.Errorf("%d workers, want %d to %d", got, test.min, test.max)
		})
	}
}

// With a fork_delay of an hour, no spare workers start before that.
func TestEntryForkDelay(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_births.lua", "min_fork = 1, pre_fork = 5, fork_delay = 3600")
	s.wait("msg=born")
	time.Sleep(1500 * time.Millisecond) // enough for workers at the default rate
	s.stop()
	if got := s.count("msg=born"); got > 2 { // the first spare worker starts without a delay
		t.Errorf("%d workers", got)
	}
}

// fork_error_delay is the time between workers that fail in prepare. Here it is longer than the default.
func TestEntryForkErrorDelay(t *testing.T) {
	t.Parallel()
	const delay = 4 * time.Second
	s := start(t, "testdata/entry_unborn.lua", fmt.Sprint(delay.Seconds()))
	eventually(t, "two failures", func() bool { return len(failures(t, s)) >= 2 })
	at := failures(t, s)
	// The first line may be read late, but not by the whole difference from the default.
	if d := at[1].Sub(at[0]); d <= 2*time.Second {
		t.Errorf("%v between two workers, want %v", d, delay)
	}
}

// A worker without requests ends after idle_timeout, and so does its successor.
func TestEntryIdleTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_births.lua", "min_fork = 1, max_fork = 1, idle_timeout = 0.2")
	eventually(t, "three workers", func() bool { return s.count("msg=born") >= 3 })
	get(t, s.url("/"))
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a planned end is logged as unplanned")
	}
}

// failures returns the times at which workers failed in prepare.
func failures(t *testing.T, s *instance) (at []time.Time) {
	t.Helper()
	for line := range strings.Lines(s.log.String()) {
		if strings.HasSuffix(line, "\n") && strings.Contains(line, "not now") {
			when, err := time.Parse(time.RFC3339Nano, field(line, "time"))
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, when)
		}
	}
	return at
}

// A handler that returns false ends its worker, which runs finish; any other value keeps the worker. This applies to
// requests and raw connections.
func TestEntryResultOfConnect(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_result.lua")
	ask := map[string]func(value string) string{
		"request": func(value string) string { return get(t, s.url("/"+value)) },
		"connection": func(value string) string {
			p := dial(t, s.tcp(1))
			p.say("%s\n", value)
			line, err := p.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			p.hearsEnd()
			return strings.TrimSpace(line)
		},
	}
	for what, do := range ask {
		values := []string{"true", "nil", "0", "'no'", "false"}
		for i, value := range values {
			if got := do(value); got != fmt.Sprint(i+1) {
				t.Errorf("%s, before it returns %s: number %s of its worker, want %d", what, value, got, i+1)
			}
		}
		eventually(t, "finish of the worker", func() bool { return s.count("finish 5") > 0 })
		if got := do("true"); got != "1" {
			t.Errorf("%s, after false: number %s of its worker", what, got)
		}
		do("false")
		eventually(t, "finish of the next worker", func() bool { return s.count("finish 2") > 0 })
	}
}

// After the script has ended, no handler can call listen.
func TestEntryListenTooLate(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/entry_late.lua")
	get(t, s.url("/"))
	for _, where := range []string{"prepare", "tick", "request", "finish"} {
		s.wait(where + ": false listen() must be called by the script itself, not from a handler")
	}
	if n := len(listening.FindAllString(s.log.String(), -1)); n != 1 {
		t.Errorf("%d listeners", n)
	}
}

// A timer's object has a name, which may be empty, and no connection. The first tick comes after the delay.
func TestEntryTimerObject(t *testing.T) {
	t.Parallel()
	const delay = 300 * time.Millisecond
	begun := time.Now()
	s := start(t, "testdata/entry_timer.lua", fmt.Sprint(delay.Seconds()))
	when := func(line string) time.Time {
		at, err := time.Parse(time.RFC3339Nano, field(line, "time"))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	tick := s.wait("tick [] nil nil")
	s.wait("tick [a name] nil nil")
	s.wait("own field")
	if d := when(tick).Sub(begun); d < delay-time.Millisecond { // the log has no more than milliseconds
		t.Errorf("the first tick comes after %v", d)
	}
}
