package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const oneCPUEnv = "MOONBRIDGE_TEST_ONE_CPU"

// TestOneCPU starts engines in processes that may use one CPU. Without Batch the loop shares the only processor of Go's scheduler.
func TestOneCPU(t *testing.T) {
	onOneCPU(t)
	for batch, want := range map[string]string{"": "1 loop, GOMAXPROCS 1", "batch": "1 loop, GOMAXPROCS 3"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOneCPUOfChild$", "-test.v")
		cmd.Env = []string{oneCPUEnv + "=1" + batch}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want+"\n") {
			t.Errorf("%q: %v, want %q in\n%s", batch, err, want, out)
		}
	}
}

// onOneCPU restricts the thread of a test, and so the processes that it starts, to one CPU.
func onOneCPU(t *testing.T) {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if before.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	})
}

// TestOneCPUOfChild is the program of TestOneCPU.
func TestOneCPUOfChild(t *testing.T) {
	env := os.Getenv(oneCPUEnv)
	if env == "" {
		return
	}
	e, err := New(Options{Batch: strings.HasSuffix(env, "batch")})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	fmt.Printf("%d loop, GOMAXPROCS %d\n", e.Loops(), runtime.GOMAXPROCS(0))
}
