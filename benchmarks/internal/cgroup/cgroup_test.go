package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocate(t *testing.T) {
	const (
		one  = "cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,nosuid,cpu,cpuacct 0 0\n"
		two  = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"
		both = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n" + one
	)
	tests := []struct {
		name, mounts, top string
		unified           bool
	}{
		{"version 1", one, "/sys/fs/cgroup/cpu", false},
		{"version 2", two, "/sys/fs/cgroup", true},
		{"both", both, "/sys/fs/cgroup/cpu", false},
	}
	for _, test := range tests {
		top, unified, err := locate(test.mounts)
		if err != nil || top != test.top || unified != test.unified {
			t.Errorf("%s: got %s, %v, %v", test.name, top, unified, err)
		}
	}
	for _, none := range []string{"", "proc /proc proc rw 0 0\n", "cgroup /x cgroup rw,cpuset 0 0\n"} {
		if top, _, err := locate(none); err == nil {
			t.Errorf("%q: got %s", none, top)
		}
	}
}

func TestCreateSaysWhyNot(t *testing.T) {
	top := t.TempDir()
	control := filepath.Join(top, "cgroup.subtree_control")
	if err := os.WriteFile(control, []byte("memory pids\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := createIn(top, true, "x"); err == nil || !strings.Contains(err.Error(), "echo +cpu >"+control) {
		t.Errorf("without the controller: %v", err)
	}
	if err := os.WriteFile(control, []byte("cpu memory\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := createIn(top, true, "x"); err != nil {
		t.Errorf("with the controller: %v", err)
	}
	if _, err := createIn(filepath.Join(top, "none"), false, "x"); err == nil || !strings.Contains(err.Error(), "root") {
		t.Errorf("where nothing can be created: %v", err)
	}
}

// The process enters its group under the id with which it was started.
func TestWrap(t *testing.T) {
	g, err := Create(fmt.Sprintf("moonbridge-test-%d", os.Getpid()))
	if err != nil {
		t.Skip("no cgroup can be made: ", err)
	}
	cmd := g.Wrap(exec.Command("sh", "-c", `echo $$ "$1"; cat /proc/self/cgroup`, "sh", "an argument"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if text := string(out); !strings.HasPrefix(text, fmt.Sprintf("%d an argument\n", cmd.Process.Pid)) ||
		!strings.Contains(text, "/"+filepath.Base(g.dir)+"\n") {
		t.Errorf("process %d wrote\n%s", cmd.Process.Pid, text)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(g.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", g.dir, err)
	}
}
