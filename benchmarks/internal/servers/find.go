package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FindBenchmarks returns the folder benchmarks of the source tree as an absolute path: dir if it is not "", otherwise
// the working directory, one of its parents, or a folder benchmarks in one of these.
func FindBenchmarks(dir string) (string, error) {
	if dir != "" {
		absolute, err := filepath.Abs(dir)
		if err == nil && !isBenchmarks(absolute) {
			err = fmt.Errorf("%s is not the folder benchmarks of the source tree", dir)
		}
		return absolute, err
	}
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		for _, candidate := range []string{at, filepath.Join(at, "benchmarks")} {
			if isBenchmarks(candidate) {
				return candidate, nil
			}
		}
		above := filepath.Dir(at)
		if above == at {
			return "", fmt.Errorf("no folder benchmarks here or above: specify it with -dir")
		}
		at = above
	}
}

func isBenchmarks(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(text), "module moonbridge/benchmarks\n")
}
