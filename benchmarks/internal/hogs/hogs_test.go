package hogs

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestHogs(t *testing.T) {
	h, err := Start(1)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop()
	cores, err := allowed()
	if err != nil {
		t.Fatal(err)
	}
	pid := h.all[0].cmd.Process.Pid
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if want := fmt.Sprintf("Cpus_allowed_list:\t%d\n", cores[0]); err != nil || !strings.Contains(string(status), want) {
		t.Errorf("no %q, %v, in\n%s", want, err, status)
	}
	deadline := time.Now().Add(time.Minute)
	for before := h.CPU(); h.CPU() <= before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it uses no CPU time")
		}
	}
	if !h.Running() {
		t.Error("it has ended")
	}
	h.Stop()
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); !os.IsNotExist(err) {
		t.Errorf("it is still there after Stop: %v", err)
	}
	if h.CPU() != 0 {
		t.Error("CPU time after Stop")
	}
}

func TestNoHogs(t *testing.T) {
	h, err := Start(0)
	if err != nil || !h.Running() || h.CPU() != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	h.Stop()
}
