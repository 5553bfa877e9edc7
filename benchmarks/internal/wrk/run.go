package wrk

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Load describes one run.
type Load struct {
	URL      string
	Threads  int // wrk's threads; never more than Conns are used, since wrk refuses that
	Conns    int
	Duration time.Duration // whole seconds, at least one: wrk knows nothing finer
	Script   string        // Lua script of wrk, or "" for a plain GET
}

// Args returns the arguments that wrk is started with.
func (l Load) Args() []string {
	seconds := max(int(l.Duration.Round(time.Second)/time.Second), 1)
	args := []string{
		"-t" + strconv.Itoa(max(min(l.Threads, l.Conns), 1)),
		"-c" + strconv.Itoa(l.Conns),
		"-d" + strconv.Itoa(seconds) + "s",
		"--latency",
	}
	if l.Script != "" {
		args = append(args, "-s", l.Script)
	}
	return append(args, l.URL)
}

// Run starts wrk, waits for it, and returns its result and the CPU time that wrk itself took. When the
// caller's context ends, wrk is ended and the context's error is returned.
func (l Load) Run(caller context.Context) (Result, time.Duration, error) {
	// wrk's own clock ends the run; the limit here is for a wrk that hangs.
	ctx, cancel := context.WithTimeout(caller, l.Duration+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "wrk", l.Args()...)
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout
	// Out of reach of a Ctrl-C: wrk would end at once, and report the part of a run as if it were the whole.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err := cmd.Run()
	if caller.Err() != nil {
		return Result{}, 0, caller.Err()
	}
	if err != nil {
		return Result{}, 0, fmt.Errorf("wrk %s: %w: %s", strings.Join(l.Args(), " "), err,
			strings.TrimSpace(out.String()+errout.String()))
	}
	result, err := Parse(out.String())
	return result, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

// Version returns the version that wrk tells of itself, or "" if there is no wrk.
func Version() string {
	// wrk -v exits with status 1, so the output counts and not the error.
	out, _ := exec.Command("wrk", "-v").CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	line, _, _ = strings.Cut(line, " Copyright")
	return strings.TrimSpace(line)
}
