//go:build !lua54

package worker

import (
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

// What the tests see of the Lua that they run with.
const (
	luaName    = "LuaJIT 2.1"
	luaModules = "5.1" // in the names of directories
	luaPackage = "luajit"
)

// Without memory_limit, nothing is said of one when a string is longer than Lua can have.
func TestTooLongWithoutLimit(t *testing.T) {
	w := mustLoad(t, "errors.lua").fork(0, small)
	w.check(w.get("/long"), "", 500<<shm.ResultStatusShift)
	w.quit()
	if s := w.stderr.all(t); !strings.Contains(s, "not enough memory") || strings.Contains(s, "memory_limit") {
		t.Errorf("standard error: %s", s)
	}
}
