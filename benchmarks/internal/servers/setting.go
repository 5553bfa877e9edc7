package servers

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"

	"moonbridge/benchmarks/internal/cgroup"
)

// Setting says what a server shares with other processes. Linux divides CPU time among sessions and control groups before
// it divides it among processes, so results depend on it.
type Setting string

const (
	// Apart gives each server a session of its own, as a login or a cron job has.
	Apart Setting = "apart"
	// Together leaves the servers in the session of this program and of wrk.
	Together Setting = "together"
	// Cgroup gives each server a control group of its own with the cpu controller, as systemd and containers do.
	Cgroup Setting = "cgroup"
	// Core gives each server a session and the first core, where nothing else runs that is measured: the load and upstreams have the
	// other cores.
	Core Setting = "core"
)

// AllSettings lists the settings, the default first.
var AllSettings = []Setting{Apart, Together, Cgroup, Core}

// ParseSetting returns the setting with this name.
func ParseSetting(name string) (Setting, error) {
	var names []string
	for _, s := range AllSettings {
		if string(s) == name {
			return s, nil
		}
		names = append(names, string(s))
	}
	return "", fmt.Errorf("unknown setting %q; the settings are %s", name, strings.Join(names, ", "))
}

// Check returns an error if there cannot be such servers.
func (s Setting) Check() error {
	var err error
	switch s {
	case Cgroup:
		err = cgroup.Check()
	case Core:
		err = checkCores()
	}
	if err != nil {
		return fmt.Errorf("-setting %s: %w", s, err)
	}
	return nil
}

// attributes are those of the first process of a server. It leads a session or at least a process group: that identifies
// the server's processes, and leaves it to Stop to end them after a Ctrl-C.
func (s Setting) attributes() *syscall.SysProcAttr {
	if s == Together {
		return &syscall.SysProcAttr{Setpgid: true}
	}
	return &syscall.SysProcAttr{Setsid: true}
}

// prepare returns the command as it is to be started, and the control group that it is to enter, or nil.
func (s Setting) prepare(cmd *exec.Cmd, name string) (*exec.Cmd, *cgroup.Group, error) {
	if s != Cgroup {
		return cmd, nil, nil
	}
	group, err := cgroup.Create(name)
	if err != nil {
		return nil, nil, err
	}
	return group.Wrap(cmd), group, nil
}
