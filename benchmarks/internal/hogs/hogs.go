package hogs

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/benchmarks/internal/proc"
)

// loop never ends, unless its parent does. It looks after that several times a second.
const loop = `while kill -0 "$1"; do i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; done 2>/dev/null`

// Hogs are running busy loops.
type Hogs struct{ all []*hog }

type hog struct {
	cmd   *exec.Cmd
	tree  *proc.Tree
	ended chan struct{}
}

// Start starts n busy loops, the first on the first core that this process may use, and so on in turn. The caller must
// call Stop.
func Start(n int) (*Hogs, error) {
	cores, err := allowed()
	if err != nil {
		return nil, err
	}
	h := new(Hogs)
	for i := range n {
		one, err := start(cores[i%len(cores)])
		if one != nil {
			h.all = append(h.all, one)
		}
		if err != nil {
			h.Stop()
			return nil, err
		}
	}
	return h, nil
}

// allowed returns the cores that this process may use.
func allowed() (cores []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("cores: %w", err)
	}
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			cores = append(cores, i)
		}
	}
	if len(cores) == 0 {
		err = errors.New("no cores")
	}
	return cores, err
}

func start(core int) (*hog, error) {
	cmd := exec.Command("sh", "-c", loop, "hog", fmt.Sprint(unix.Getpid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	one := &hog{cmd, proc.NewTree(cmd.Process.Pid), make(chan struct{})}
	go func() {
		cmd.Wait()
		close(one.ended)
	}()
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(cmd.Process.Pid, &set); err != nil {
		return one, fmt.Errorf("busy loop on core %d: %w", core, err)
	}
	return one, nil
}

// CPU returns the time that the busy loops have used.
func (h *Hogs) CPU() (sum time.Duration) {
	for _, one := range h.all {
		used, _ := one.tree.CPU()
		sum += used
	}
	return sum
}

// Running reports whether all of them are running.
func (h *Hogs) Running() bool {
	for _, one := range h.all {
		select {
		case <-one.ended:
			return false
		default:
		}
	}
	return true
}

// Stop ends the busy loops. It does nothing if there are none.
func (h *Hogs) Stop() {
	for _, one := range h.all {
		one.cmd.Process.Kill()
		<-one.ended
	}
	h.all = nil
}
