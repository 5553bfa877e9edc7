package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// envForbidden makes this test binary forbid itself to make memory executable, and become the program of its arguments.
const envForbidden = "MBSERVE_TEST_FORBIDDEN"

// From linux/prctl.h (Linux 6.3).
const (
	prSetMDWE   = 65
	prGetMDWE   = 66
	refuseGains = 1
)

// execWithoutCode becomes the program of the arguments, whose processes cannot make memory executable.
func execWithoutCode() {
	os.Unsetenv(envForbidden)
	if err := unix.Prctl(prSetMDWE, refuseGains, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	err := syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Where the system forbids executable memory, LuaJIT does not compile. The log says so once.
func TestNoExecutableMemory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux forbids it in a way that a test can ask for")
	}
	if _, err := unix.PrctlRetInt(prGetMDWE, 0, 0, 0, 0); err != nil {
		t.Skipf("PR_GET_MDWE: %v (Linux 6.3 and later)", err)
	}
	a := newApplication(t)
	a.write(`local function loop(n) local s = 0 for i = 1, n do s = s + i %% 7 end return s end
	loop(1e6)
	if jit then jit.on() jit.opt.start("hotloop=2") end
	@ listen{ port, prepare = function() loop(1e6) end, connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(loop(1e6) > 0 and jit and tostring((jit.status())) or "no LuaJIT")
	end) }`)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := os.Getenv("MBSERVE_BINARY")
	if program == "" {
		program = self
	}
	s := launchWith(t, self, nil, []string{envForbidden + "=1"}, program, a.script)
	s.wait("msg=ready")
	for range 3 {
		switch got := get(t, s.url("/")); got {
		case "no LuaJIT":
			t.Skip(got)
		case "false":
		default:
			t.Errorf("the compiler is on: %q", got)
		}
	}
	s.mustReload()
	if got := get(t, s.url("/")); got != "false" {
		t.Errorf("after a reload: %q", got)
	}
	if n := strings.Count(s.log.String(), "the system forbids executable memory: LuaJIT does not compile"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	s.wait("level=WARN", "the system forbids executable memory")
}
