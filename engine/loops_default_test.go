package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

const loopsEnv = "MOONBRIDGE_TEST_LOOPS"

// TestDefaultLoops starts engines in separate processes: GOMAXPROCS says how many loops there are, up to a bound, even for a second engine, and
// a value that the user has set stays.
func TestDefaultLoops(t *testing.T) {
	for procs, want := range map[string]string{"1": "1 1 1", "3": "3 3 3", "300": "128 128 300"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLoopsOfChild$", "-test.v")
		cmd.Env = append(os.Environ(), loopsEnv+"=1", "GOMAXPROCS="+procs)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "loops: "+want+"\n") {
			t.Errorf("GOMAXPROCS=%s: %v, want %q in\n%s", procs, err, want, out)
		}
	}
}

// TestLoopsOfChild is the program of TestDefaultLoops.
func TestLoopsOfChild(t *testing.T) {
	if os.Getenv(loopsEnv) == "" {
		return
	}
	var loops [2]int
	for i := range loops {
		e, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		loops[i] = e.Loops()
		defer e.Shutdown(context.Background())
	}
	fmt.Printf("loops: %d %d %d\n", loops[0], loops[1], runtime.GOMAXPROCS(0))
}

func TestTooManyLoops(t *testing.T) {
	if e, err := New(Options{Loops: loopsMax + 1}); err == nil {
		e.Shutdown(context.Background())
		t.Error("no error")
	}
}
