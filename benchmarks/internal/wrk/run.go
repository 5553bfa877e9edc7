package wrk

import (
	"bytes"
	"cmp"
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
	Threads  int // number of threads; at most Conns are used, since wrk refuses more
	Conns    int
	Duration time.Duration // whole seconds, at least one: wrk's resolution
	Script   string        // Lua script of wrk, or "" for a plain GET
	Program  string        // with the arguments and the report of wrk; "": wrk

	Pin func(*exec.Cmd) (*exec.Cmd, error) // changes how it is started; nil: nothing
}

// command returns the command that is to be run.
func (l Load) command() (*exec.Cmd, error) {
	cmd := exec.Command(cmp.Or(l.Program, "wrk"), l.Args()...)
	if l.Pin == nil {
		return cmd, nil
	}
	return l.Pin(cmd)
}

// Args returns wrk's arguments.
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

// Run starts wrk, waits for it, and returns its result and the CPU time that wrk used. If ctx is done, Run ends wrk and
// returns the error of ctx.
func (l Load) Run(caller context.Context) (Result, time.Duration, error) {
	// wrk ends the run itself; this limit is for a wrk that hangs.
	ctx, cancel := context.WithTimeout(caller, l.Duration+30*time.Second)
	defer cancel()
	plan, err := l.command()
	if err != nil {
		return Result{}, 0, err
	}
	cmd := exec.CommandContext(ctx, plan.Path, plan.Args[1:]...)
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout
	// Keep a Ctrl-C from wrk, which would end at once and report a partial run as if it were complete.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Run()
	if caller.Err() != nil {
		return Result{}, 0, caller.Err()
	}
	if err != nil {
		return Result{}, 0, fmt.Errorf("%s: %w: %s", plan, err,
			strings.TrimSpace(out.String()+errout.String()))
	}
	result, err := Parse(out.String())
	return result, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

// Version returns wrk's version, or "" if there is no wrk.
func Version() string {
	// wrk -v exits with status 1, so use the output and ignore the error.
	out, _ := exec.Command("wrk", "-v").CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	line, _, _ = strings.Cut(line, " Copyright")
	return strings.TrimSpace(line)
}
