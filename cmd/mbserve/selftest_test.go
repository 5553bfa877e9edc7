package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tested writes a script that answers with a word, and whose timer notes the word in a file. Its test is the body of a function.
func (a *application) tested(word, test string) (ticks string) {
	a.t.Helper()
	ticks = filepath.Join(filepath.Dir(a.script), "ticks")
	a.write(`@
local function note()
	local f = assert(io.open(%q, "a"))
	f:write(%q, "\n")
	f:close()
end
listen{ port, { proto = "interval", name = "note", delay = 0.001, connect = note }, min_fork = 1, max_fork = 2, connect = say(%q),
	selftest = function(get) %s end }`, ticks, word, word, test)
	return ticks
}

// A reload keeps the old script when the new one does not pass its test, and says why. Neither timers nor figures notice the test.
func TestSelftestReload(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	passes := `local r = get("/"); if r.body ~= "%s" then error("it says " .. r.body) end`
	ticks := a.tested("one", strings.Replace(passes, "%s", "one", 1))
	s := start(t, "--admin", "127.0.0.1:0", a.script)
	s.wait("msg=\"selftest passed\"", "tests=1")
	if got := get(t, s.url("/")); got != "one" {
		t.Errorf("answer %q", got)
	}
	s.awaitRequests(1)
	for _, bad := range []struct{ test, want string }{
		{strings.Replace(passes, "%s", "three", 1), "it says two"},
		{`require("moonbridge.test").equal(get("/").status, 404)`, `expected: 404\n     got: 200\nlast request: GET /: 200`},
		{`os.exit(3)`, "the process has ended: exit status 3"},
		{`os.exit()`, "the process has ended before its tests: exit status 0"},
		{`get("/", { pool = 7 })`, "there is no pool 7"},
		{`local function f() return f() + 1 end f()`, "o"}, // which text depends on the Lua
	} {
		a.tested("two", bad.test)
		if line := s.reload(); !strings.Contains(line, "reload failed: the running script stays in use") ||
			!strings.Contains(line, "selftest of pool 0: ") || !strings.Contains(line, bad.want) {
			t.Errorf("no %q in %s", bad.want, line)
		}
		if got := get(t, s.url("/")); got != "one" {
			t.Errorf("answer %q", got)
		}
	}
	st := s.shown()
	if len(st.Reloads) != 7 || st.Reloads[0].Result != "failed" || !strings.Contains(st.Reloads[0].Error, "selftest of pool 0: ") {
		t.Errorf("reloads %+v", st.Reloads)
	}
	s.awaitRequests(7) // those of tests are not counted
	a.tested("three", strings.Replace(passes, "%s", "three", 1))
	s.mustReload()
	if got := get(t, s.url("/")); got != "three" {
		t.Errorf("answer %q", got)
	}
	noted := func(word string) bool {
		text, _ := os.ReadFile(ticks)
		return strings.Contains(string(text), word+"\n")
	}
	eventually(t, "the new timer ticks", func() bool { return noted("three") })
	if !noted("one") || noted("two") {
		t.Error("a timer ticked that was not to, or did not")
	}
}

// A test that takes too long fails. The script that it began with has none.
func TestSelftestTimeout(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ port, min_fork = 1, connect = say("one") }`)
	s := start(t, "--selftest-timeout", "0.3", a.script)
	a.write(`@ listen{ port, min_fork = 1, connect = function() end, selftest = function() while true do end end }`)
	if line := s.reload(); !strings.Contains(line, "not finished within 300ms") {
		t.Error(line)
	}
	if got := get(t, s.url("/")); got != "one" {
		t.Errorf("answer %q", got)
	}
}

// At the start there is nothing to keep.
func TestSelftestStart(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.tested("one", `error("not today")`)
	_, log := runToEnd(t, exitStart, a.script)
	if !strings.Contains(log, "the script has not passed its tests") || !strings.Contains(log, "mbserve: selftest of pool 0: "+a.script) {
		t.Error(log)
	}
	a.write(`@ listen{ port, connect = say("one") }`)
	if _, log := runToEnd(t, exitStart, "--selftest", filepath.Join(filepath.Dir(a.script), "none.lua"), a.script); !strings.Contains(log, "cannot open") {
		t.Error(log)
	}
}

// waitingTest is a test that does not end before the server does.
const waitingTest = `io.stderr:write("the test has begun\n"); get("/slow", { timeout = 600 })`

func waitingScript(a *application) {
	a.write(`@ listen{ port, min_fork = 1, gone_after = false, connect = http.generate_handler(function(request)
		require("moonbridge_io").poll({}, nil, 600)
	end), selftest = function(get) %s end }`, waitingTest)
}

// A signal ends the server while its first script is tested.
func TestSelftestStopped(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	waitingScript(a)
	s := launch(t, "--selftest-timeout", "300", a.script)
	s.wait("the test has begun")
	s.signal(syscall.SIGTERM)
	s.exit(0)
}

// If the server is killed, nothing is left of a test.
func TestSelftestServerKilled(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	waitingScript(a)
	s := launch(t, "--selftest-timeout", "300", a.script)
	s.wait("the test has begun")
	s.signal(syscall.SIGKILL)
	s.exit(-1)
}

// A new process whose script does not pass its tests does not take over.
func TestSelftestUpgrade(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	tests := filepath.Join(filepath.Dir(a.script), "tests.lua")
	write := func(want string) {
		text := `local test = require "moonbridge.test"
test.case("it says one", function(client) test.equal(client:get("/").body, "` + want + `") end)
test.case("it is there", function(client) test.equal(client:get("/").status, 200) end)`
		if err := os.WriteFile(tests, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	a.write(`@ listen{ port, min_fork = 1, connect = say("one") }`)
	s := start(t, "--selftest", tests, a.script)
	s.wait("selftest passed", "tests=2")
	write("two")
	s.signal(syscall.SIGUSR2)
	s.wait("the script has not passed its tests", "1 of 2 tests failed; it says one: ", `expected: \"two\"`)
	s.wait("upgrade failed: this process keeps running")
	if got := get(t, s.url("/")); got != "one" {
		t.Errorf("answer %q", got)
	}
}

// With --dev, the file with the tests is watched, and the browser shows why the script was not replaced.
func TestSelftestWatched(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	tests := filepath.Join(filepath.Dir(a.script), "tests.lua")
	write := func(want string) {
		text := `require("moonbridge.test").case("it is there", function(client)
	require("moonbridge.test").equal(client:get("/").body, "` + want + `") end)`
		if err := os.WriteFile(tests, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	a.write(`@ listen{ port, min_fork = 1, connect = say("one") }`)
	s := start(t, "--dev", "--log-format", "text", "--selftest", tests, a.script)
	write("another one")
	s.wait("reload failed")
	eventually(t, "the page shows the failure", func() bool {
		_, body, err := fetch("GET", s.url("/"), "")
		return err == nil && strings.Contains(body, "expected: &#34;another one&#34;")
	})
	write("one")
	s.wait("msg=reloaded")
	if got := get(t, s.url("/")); got != "one" {
		t.Errorf("answer %q", got)
	}
}
