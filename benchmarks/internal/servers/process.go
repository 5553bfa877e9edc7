package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"moonbridge/benchmarks/internal/proc"
)

// Process is a program that was started, with all its processes.
type Process struct {
	Tree  *proc.Tree
	cmd   *exec.Cmd
	ended chan struct{} // closed when the first process has been waited for
}

// Launch starts a command whose output goes to the file log.
func Launch(cmd *exec.Cmd, log string) (*Process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{Tree: proc.NewTree(cmd.Process.Pid), cmd: cmd, ended: make(chan struct{})}
	go func() {
		cmd.Wait() // the error is not needed: Running and the log show an early end
		close(p.ended)
	}()
	return p, nil
}

// Await calls ready until it returns nil. It fails if the program ends, or if that takes too long.
func (p *Process) Await(ready func() error) error {
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		err := ready()
		switch {
		case !p.Running():
			return fmt.Errorf("it ended with %v", p.cmd.ProcessState)
		case err == nil:
			p.Tree.PIDs() // record its processes
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("no answer within %v: %w", startTimeout, err)
		}
	}
}

// Running reports whether the first process is still running.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Signal sends a signal to the first process.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Stop ends the program: it sends SIGTERM to the first process, and after ten seconds SIGKILL to all remaining
// processes. It returns an error if the first process had to be killed. Calling it again has no effect.
func (p *Process) Stop() error {
	p.Tree.PIDs() // including processes started since
	p.cmd.Process.Signal(syscall.SIGTERM)
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	var err error
	select {
	case <-p.ended:
	case <-limit.C:
		err = fmt.Errorf("it did not end within %v after SIGTERM", stopTimeout)
	}
	deadline := time.Now().Add(stopTimeout)
	for pids := p.Tree.PIDs(); len(pids) > 0; pids = p.Tree.PIDs() {
		if time.Now().After(deadline) {
			return errors.Join(err, fmt.Errorf("processes %v cannot be ended", pids))
		}
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
