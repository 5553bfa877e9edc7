package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// watchOption is --watch, with the paths that are watched besides the files of the script.
type watchOption struct {
	on    bool
	paths []string // of directories, or patterns
}

// watchScript is the value of --watch without a path. No path has a NUL.
const watchScript = "\x00"

// watchPathsMax bounds the paths: each is looked for twice a second.
const watchPathsMax = 64

func (w *watchOption) String() string { return "" }
func (w *watchOption) Type() string   { return "PATH" }

func (w *watchOption) Set(path string) error {
	w.on = true
	if path == watchScript {
		return nil
	}
	if path == "" {
		return fmt.Errorf("the path is empty")
	}
	if len(w.paths) == watchPathsMax {
		return fmt.Errorf("more than %d paths", watchPathsMax)
	}
	if _, err := filepath.Match(path, ""); err != nil {
		return fmt.Errorf("malformed pattern: %w", err)
	}
	w.paths = append(w.paths, path)
	return nil
}

// absolute returns the paths as they will be found later.
func (w *watchOption) absolute(dir workDir) (paths []string) {
	for _, path := range w.paths {
		paths = append(paths, dir.abs(path))
	}
	return paths
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
