package servers

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cores are the numbers of the cores that this process may use.
func cores() (numbers []string, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			numbers = append(numbers, strconv.Itoa(i))
		}
	}
	return numbers, nil
}

// checkCores returns an error if servers cannot have a core for themselves.
func checkCores() error {
	if _, err := exec.LookPath("taskset"); err != nil {
		return err
	}
	numbers, err := cores()
	if err == nil && len(numbers) < 2 {
		err = errors.New("there is one core only")
	}
	return err
}

// Pin returns the command as it is to be started: in the setting Core with the first core for a server that is measured, and the
// others for everything else.
func (s *Settings) Pin(cmd *exec.Cmd, measured bool) (*exec.Cmd, error) {
	if s.Setting != Core {
		return cmd, nil
	}
	numbers, err := cores()
	if err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	mine := numbers[1:]
	if measured {
		mine = numbers[:1]
	}
	return exec.Command("taskset", append([]string{"-c", strings.Join(mine, ","), cmd.Path}, cmd.Args[1:]...)...), nil
}

// serverCores is the number of cores that a server has.
func (s *Settings) serverCores() int {
	if s.Setting == Core {
		return 1
	}
	return runtime.NumCPU()
}
