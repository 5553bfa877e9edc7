package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	shipped "moonbridge/packaging"
)

// skeleton is what "mbserve new" writes, with NAME in place of the name.
//
//go:embed application
var skeleton embed.FS

// applicationName is what is also a part of a name of a unit and of an image.
var applicationName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// runNew writes a small application into a directory that does not exist yet or is empty.
func runNew(args []string, stdout, stderr io.Writer) int {
	if len(args) != 1 || args[0] == "" || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(stderr, "mbserve: usage: mbserve new DIRECTORY")
		return exitUsage
	}
	dir, err := filepath.Abs(args[0])
	if err == nil {
		err = writeApplication(dir, filepath.Base(dir))
	}
	if err != nil {
		fmt.Fprintf(stderr, "mbserve: new %s: %v\n", args[0], err)
		return exitStart
	}
	fmt.Fprintf(stdout, `%[1]s is an application now. In that directory:

    mbserve --dev --watch=views main.lua    serves it on http://127.0.0.1:8080/ while you change it
    ./test.sh                               runs tests.lua, without a port
    mbserve --selftest tests.lua main.lua   serves it; a reload keeps the old version if a test fails
    Containerfile, %[2]s.service            for a container, and for systemd (in /srv/%[2]s)
`, args[0], filepath.Base(dir))
	return exitOK
}

func writeApplication(dir, name string) error {
	if !applicationName.MatchString(name) {
		return fmt.Errorf("%q is not a name of letters, digits and ., _ or -", name)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Unwrap(err)
	}
	if len(entries) > 0 {
		return errors.New("the directory is not empty")
	}
	write := func(file, text string) error {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if filepath.Ext(file) == ".sh" {
			mode = 0o755
		}
		return os.WriteFile(path, []byte(strings.ReplaceAll(text, "NAME", name)), mode)
	}
	if err := write(name+".service", unitOf(name)); err != nil {
		return err
	}
	return fs.WalkDir(skeleton, "application", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := skeleton.ReadFile(path)
		if err != nil {
			return err
		}
		return write(strings.TrimPrefix(path, "application/"), string(text))
	})
}

// unitOf is the unit of the packages for one application, with the binary that is running.
func unitOf(name string) string {
	_, unit, _ := strings.Cut(shipped.Unit, "\n[Unit]\n") // above it stands how to install the original
	unit = strings.ReplaceAll(unit, "%i", name)
	if self, err := os.Executable(); err == nil {
		unit = strings.ReplaceAll(unit, "/usr/local/bin/mbserve", self)
	}
	return "# install -m 644 " + name + ".service /etc/systemd/system/; systemctl enable --now " + name + "\n\n[Unit]\n" + unit
}
