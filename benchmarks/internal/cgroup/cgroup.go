package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Group is a control group.
type Group struct{ dir string }

// Check returns an error that says why there can be no groups.
func Check() error {
	g, err := Create(fmt.Sprintf("moonbridge-check-%d", os.Getpid()))
	if err != nil {
		return err
	}
	return g.Remove()
}

// Create creates a group at the top of the hierarchy.
func Create(name string) (*Group, error) {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return nil, err
	}
	top, unified, err := locate(string(mounts))
	if err != nil {
		return nil, err
	}
	return createIn(top, unified, name)
}

// locate returns the mount point of the hierarchy with the cpu controller, and whether it is one of version 2.
func locate(mounts string) (top string, unified bool, err error) {
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		switch {
		case f[2] == "cgroup" && slices.Contains(strings.Split(f[3], ","), "cpu"):
			return f[1], false, nil // each controller is in one hierarchy only
		case f[2] == "cgroup2":
			top, unified = f[1], true
		}
	}
	if top == "" {
		err = errors.New("no control groups: neither version 1 with the cpu controller nor version 2 is mounted")
	}
	return top, unified, err
}

func createIn(top string, unified bool, name string) (*Group, error) {
	if unified {
		if err := checkEnabled(top); err != nil {
			return nil, err
		}
	}
	g := &Group{filepath.Join(top, name)}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("no control group can be created: %w; usually only root has the right, outside of containers", err)
	}
	return g, nil
}

// checkEnabled reports whether groups below the top have the cpu controller.
func checkEnabled(top string) error {
	path := filepath.Join(top, "cgroup.subtree_control")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(string(text)), "cpu") {
		return fmt.Errorf("control groups have no cpu controller: enable it as root with: echo +cpu >%s", path)
	}
	return nil
}

// Wrap returns a command that enters the group and then becomes cmd, in the same process.
func (g *Group) Wrap(cmd *exec.Cmd) *exec.Cmd {
	args := append([]string{"-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs"), cmd.Path}, cmd.Args[1:]...)
	return exec.Command("sh", args...)
}

// removeTimeout is how long the kernel may take to forget processes that have ended.
const removeTimeout = 5 * time.Second

// Remove removes the group, which must have no processes.
func (g *Group) Remove() error {
	for deadline := time.Now().Add(removeTimeout); ; time.Sleep(10 * time.Millisecond) {
		// os.Remove would try to unlink it first, and report that error.
		err := syscall.Rmdir(g.dir)
		if err != syscall.EBUSY || time.Now().After(deadline) {
			if err != nil {
				err = fmt.Errorf("control group %s: %w", g.dir, err)
			}
			return err
		}
	}
}
