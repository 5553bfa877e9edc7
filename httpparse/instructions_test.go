//go:build !race

package httpparse

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// parsesEnv tells this test binary, started again, which request to parse and how often.
const parsesEnv = "HTTPPARSE_TEST_PARSES"

// TestInstructions bounds what it costs to parse a head, in instructions. valgrind counts them, so the load of the machine does
// not matter. The bounds are a quarter above what was measured with Go 1.26 on amd64.
func TestInstructions(t *testing.T) {
	requests := map[string]struct {
		text  string
		bound float64
	}{
		"small":   {requestSmall, 1400},
		"browser": {requestBrowser, 8100},
		"upload":  {requestUpload, 3600},
	}
	if name, n, ok := strings.Cut(os.Getenv(parsesEnv), " "); ok {
		parseOften(t, requests[name].text, n)
		return
	}
	if testing.Short() || testing.CoverMode() != "" {
		t.Skip("valgrind is slow, and does not count the instructions of coverage apart")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("the bounds are those of amd64")
	}
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		t.Skip("instructions cannot be counted: valgrind is not installed")
	}
	for name, r := range requests {
		const more = 2000
		few, err := instructions(t, valgrind, name, 100)
		if err != nil {
			t.Skipf("instructions cannot be counted: valgrind does not run this program: %v", err)
		}
		many, err := instructions(t, valgrind, name, 100+more)
		if err != nil {
			t.Fatal(err)
		}
		each := float64(many-few) / more
		t.Logf("%s: %.0f instructions for %d bytes", name, each, len(r.text))
		if each > r.bound || each < float64(len(r.text))/8 {
			t.Errorf("%s: %.0f instructions, want at most %.0f", name, each, r.bound)
		}
	}
}

func parseOften(t *testing.T, text, n string) {
	times, err := strconv.Atoi(n)
	if err != nil || text == "" {
		t.Fatalf("%s = %q", parsesEnv, os.Getenv(parsesEnv))
	}
	var p Parser
	var h Head
	buf := []byte(text)
	for range times {
		if n, err := p.Parse(&h, buf, nil); n != len(buf) || err != nil {
			t.Fatal(n, err)
		}
	}
}

var instructionsCounted = regexp.MustCompile(`I +refs: +([\d,]+)`)

// instructions counts those of a run of this test binary that parses a request n times.
func instructions(t *testing.T, valgrind, name string, n int) (int64, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, valgrind, "--tool=cachegrind", "--cache-sim=no",
		"--cachegrind-out-file="+filepath.Join(t.TempDir(), "out"),
		os.Args[0], "-test.run=^TestInstructions$")
	// What the runtime does besides would count too, and valgrind does not get along with its signals.
	c.Env = append(os.Environ(), parsesEnv+"="+name+" "+strconv.Itoa(n), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	out, err := c.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	m := instructionsCounted.FindSubmatch(out)
	if m == nil {
		t.Fatalf("valgrind said:\n%s", out)
	}
	return strconv.ParseInt(strings.ReplaceAll(string(m[1]), ",", ""), 10, 64)
}
