//go:build lua54

package worker

import (
	"slices"
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

// What the tests see of the Lua that they run with.
const (
	luaName    = "Lua 5.4."
	luaModules = "5.4" // in the names of directories
	luaPackage = "lua5.4"
)

// What Lua 5.4 has and LuaJIT has not does in a handler what it does elsewhere.
func TestLua54(t *testing.T) {
	f := mustLoad(t, "lua54.lua")
	for _, e := range []entry{
		{1, shm.TypeNumber, "port", "8080"}, {0, shm.TypeNumber, "pre_fork", "2"}, {0, shm.TypeNumber, "max_fork", "8"},
	} {
		if !slices.Contains(f.listens[0], e) {
			t.Errorf("LISTEN has no %v: %v", e, f.listens[0])
		}
	}
	w := f.fork(0, small)
	for _, c := range []struct{ path, want string }{
		{"numbers", "80 80.0 3 3.5 9007199254740992 9223372036854775807 4611686018427387904"},
		{"counts?n=41", "integer integer 42 integer 2 1"},
		{"no_integer", "number has no integer representation"},
		{"environment", "42 42 nil within"},
		{"pairs", "1v 2v 3v 1"},
		{"finalizer", "finalizer"},
		{"collector", "incremental x generational"},
		{"close", "inner outer! thread loop coroutine false send_status: a status has already been sent closed file"},
		{"utf8", "ü 2"},
		{"keys", "GET x nil nil nil own"},
		{"warning", "warned"},
	} {
		if r := w.get("/" + c.path); r.body() != c.want {
			t.Errorf("%s:\n got %q\nwant %q\n%s", c.path, r.body(), c.want, w.stderr)
		}
	}
	if r := w.get("/name"); !strings.HasPrefix(r.body(), "Point: 0x") {
		t.Errorf("name: %q", r.text)
	}
	w.check(w.get("/part_of_a_status"), "", 500<<shm.ResultStatusShift)
	w.check(w.get("/close_at_error"), "", 500<<shm.ResultStatusShift)
	w.stderr.wait(t, "GET /close_at_error: error object of type table\n")
	for _, want := range []string{
		"Lua warning: a warning\n",
		": send_status: a status is three digits, optionally followed by a space and a text",
		"closed\n",
	} {
		w.stderr.wait(t, want)
	}
}

// The client sees the end of what is sent when the output's block ends, and can still send.
func TestCloseOutput(t *testing.T) {
	w := mustLoad(t, "lua54.lua").fork(0, small)
	c := w.connect(1)
	c.send("name\n")
	c.expect("name integer 80\n")
	c.sendEnd("12345;")
	c.over(0)
	w.stderr.wait(t, "then 1234 5; 4 closed file file\n")
}

func TestIntegersInJSON(t *testing.T) {
	w := mustLoad(t, "lua54.lua").fork(0, small)
	r := w.get("/json")
	if r.body() == "missing" {
		t.Skip("lua-cjson is not installed")
	}
	if want := "[80,80,3,2.5,4] float 5"; r.body() != want {
		t.Errorf("got %q, want %q", r.text, want)
	}
}

// A handler may end its worker with the state in order.
func TestExitClosesState(t *testing.T) {
	w := mustLoad(t, "lua54.lua").fork(0, small)
	w.start(request{head: "GET /exit"})
	if status := w.wait(); status.ExitStatus() != 7 {
		t.Errorf("worker ended with %#x", status)
	}
	if s := w.stderr.all(t); s != "state closed\n" {
		t.Errorf("standard error: %q", s)
	}
}
