package worker

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A body that is still arriving is never taken for a complete one: see the program.
func TestBodyOrder(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the linker's option is that of Linux")
	}
	flags, err := cFlags()
	if err != nil {
		t.Skipf("pkg-config: %v", err)
	}
	program := filepath.Join(t.TempDir(), "body_order")
	args := append(strings.Fields(flags), "-O2", "-I.", "-I../shm", "-o", program, "testdata/body_order.c", "base.c",
		"-ffunction-sections", "-Wl,--gc-sections") // of these files the program needs a few functions
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
