package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Relative paths, of the command line as well as of the script, refer to the working directory. If the server was started in
// a directory that has a symbolic link in its path, as in /srv/app/current, the link may lead to another release by the
// time of a reload, while the working directory of a process stays where it is. Like a shell, the server remembers the path
// by which the directory was entered, and enters it again whenever it loads the script.

// workDir is the working directory of the server.
type workDir struct {
	path string // as in PWD; "": unknown, then the directory never changes
}

// findWorkDir takes the path from the environment variable PWD, if it is the path of the working directory.
func findWorkDir() workDir {
	path := os.Getenv("PWD")
	parts := strings.Split(path, "/")
	if !filepath.IsAbs(path) || slices.Contains(parts, ".") || slices.Contains(parts, "..") || !sameFile(path, ".") {
		return workDir{}
	}
	return workDir{path}
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// enter enters the directory that the path leads to now. settle is told whether to stay there: if not, it returns to the
// directory before.
func (d workDir) enter() (settle func(stay bool), err error) {
	nothing := func(bool) {}
	if d.path == "" || sameFile(d.path, ".") {
		return nothing, nil
	}
	was, err := os.Open(".")
	if err != nil {
		return nothing, nil // there would be no way back
	}
	err = os.Chdir(d.path)
	if errors.Is(err, fs.ErrPermission) {
		err = nil // given up together with root privileges: the server stays where it is
	}
	if err != nil {
		was.Close()
		return nil, err
	}
	return func(stay bool) {
		if !stay {
			was.Chdir()
		}
		was.Close()
	}, nil
}

// abs returns the path by which a file will be found that is named relative to the directory. It is not simplified, since
// ".." leads out of the directory that a link leads to.
func (d workDir) abs(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	path := d.path
	if path == "" {
		var err error
		if path, err = os.Getwd(); err != nil {
			return name
		}
	}
	return path + "/" + name
}

// enterable reports whether a new process can be started in the directory that the path leads to.
func (d workDir) enterable() bool {
	_, err := os.Stat(d.path)
	return d.path != "" && !errors.Is(err, fs.ErrPermission)
}

// program returns the path by which the server was started, if it is still that of this program; else where the program was
// then. A new binary is expected there when the server is to replace itself.
func (d workDir) program(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path, err := exec.LookPath(name)
	if err != nil || !sameFile(path, self) {
		return self, nil
	}
	return d.abs(path), nil
}
