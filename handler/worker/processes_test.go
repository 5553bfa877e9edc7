package worker

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// processesModule builds testdata/processes.c, a module for the Lua that the tests run with, and returns its directory.
func processesModule(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the module is written for Linux")
	}
	dir := t.TempDir()
	text, err := cFlags()
	if err != nil {
		t.Skipf("pkg-config: %v", err)
	}
	args := append(strings.Fields(text), "-shared", "-fPIC", "-o", filepath.Join(dir, "processes.so"), "testdata/processes.c")
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Skipf("cc: %v\n%s", err, out)
	}
	return dir
}

// cFlags are those that a module for this Lua is compiled with.
var cFlags = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("pkg-config", "--cflags", luaPackage).Output()
	return string(out), err
})
