package examples_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tools are the programs of others that tests run, with the packages of Debian that have them.
var tools = map[string]string{
	"curl": "curl", "memccat": "libmemcached-tools", "nginx": "nginx", "haproxy": "haproxy", "python3": "python3", "wrk": "wrk",
}

// need skips the test if a program is not installed.
func need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%v: it is in Debian's package %s", err, tools[name])
		}
	}
}

// tool runs a program to its end and returns what it writes. A status other than 0 is an error of the test.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, &out, &errout)
	}
	return out.String()
}

// write writes a file for the test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// python returns a Python that has the module, or skips the test. A user's own may stand before the system's, which has the
// packages of Debian.
func python(t *testing.T, module string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import "+module).Run() == nil {
			return name
		}
	}
	t.Skipf("no Python with %s: it is in Debian's package python3-%[1]s", module)
	return ""
}
