package worker

import (
	"slices"
	"strings"
	"testing"
)

// Every start of a script and every worker draws other random numbers (testdata/random.lua), whatever the script does to
// math.randomseed. A handler that seeds the generator itself gets what it asks for.
func TestRandomNumbersDiffer(t *testing.T) {
	seen := map[string]bool{}
	fresh := func(what string, numbers ...string) {
		t.Helper()
		for _, n := range numbers {
			if seen[n] {
				t.Errorf("%s: %s is not new", what, n)
			}
			seen[n] = true
		}
	}
	var fixed []string
	for _, arg := range []string{"", "", "nothing"} {
		f := mustLoad(t, "random.lua", arg)
		var ofScript []string
		for range 3 {
			w := f.fork(0, small)
			numbers := strings.Split(w.get("/").body(), ",")
			if len(numbers) != 3 {
				t.Fatalf("%q\n%s", numbers, w.stderr)
			}
			fresh("a worker", numbers[1:]...)
			ofScript = append(ofScript, numbers[0])
			if arg == "" {
				fixed = append(fixed, strings.Split(w.get("/fixed").body(), ",")[2])
			}
		}
		if len(slices.Compact(ofScript)) != 1 {
			t.Errorf("what the script has drawn differs between workers: %q", ofScript)
		}
		fresh("a script", ofScript[0])
	}
	if len(slices.Compact(fixed)) != 1 {
		t.Errorf("with the same seed: %q", fixed)
	}
}
