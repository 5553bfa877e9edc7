package worker

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// runProgram runs a program of testdata that includes C files of this package, and brings about what is rare in them.
func runProgram(t *testing.T, name string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("an option of the linker is that of Linux")
	}
	flags, err := cFlags()
	if err != nil {
		t.Skipf("pkg-config: %v", err)
	}
	program := filepath.Join(t.TempDir(), name)
	args := append(strings.Fields(flags), "-O2", "-I.", "-I../shm", "-o", program, "testdata/"+name+".c", "base.c",
		"-ffunction-sections", "-Wl,--gc-sections") // of these files the program needs a few functions
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A body that is still arriving is never taken for a complete one.
func TestBodyOrder(t *testing.T) { runProgram(t, "body_order") }

// The signal of a time limit never sees a mixture of two exchanges.
func TestPlacesOrder(t *testing.T) { runProgram(t, "places_order") }
