package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"moonbridge/handler/pool"
)

// underGDB sends the request when gdb has the worker. It returns when gdb has ended.
func (r *replay) underGDB(ctx context.Context, host *pool.Host, socket string) error {
	pid := 0
	for _, w := range host.Pools()[r.record.Request.Pool].Workers() {
		pid = w.PID
	}
	if pid == 0 {
		return errors.New("--gdb: the worker has ended")
	}
	// SIGURG and SIGALRM are the worker's own.
	cmd := exec.Command(r.gdb, "-q", "-p", strconv.Itoa(pid), "-ex", "handle SIGURG SIGALRM nostop noprint pass", "-ex", "continue")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, r.stdout, r.stdout
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT)
	defer signal.Stop(interrupts)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("--gdb: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := make(chan struct{})
	started := false
	tick := time.NewTicker(tracedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			cmd.Process.Kill()
			<-ended
			return nil
		case err := <-ended:
			if started {
				cancel()
				<-sent
				return nil
			}
			return fmt.Errorf("gdb has not attached to the worker (%v); the system may forbid it: kernel.yama.ptrace_scope, CAP_SYS_PTRACE", err)
		case <-tick.C:
			if !started && attached(pid) {
				started = true
				go func() {
					defer close(sent)
					r.send(sending, socket)
				}()
			}
		}
	}
}

// tracedEvery is how often it is looked whether gdb has attached.
const tracedEvery = 20 * time.Millisecond

// attached reports whether a debugger has attached to a process and lets it run.
func attached(pid int) bool {
	status := "/proc/" + strconv.Itoa(pid) + "/status"
	return fieldOf(status, "TracerPid:") != 0 && !halted(pid)
}

// halted reports whether a process is stopped, for its debugger or otherwise.
func halted(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	i := bytes.LastIndexByte(b, ')')
	return i < 0 || i+2 >= len(b) || b[i+2] == 't' || b[i+2] == 'T'
}
