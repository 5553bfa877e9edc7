package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/pool"
	"moonbridge/handler/worker"
)

// lua has a handler of a listener run Lua, and returns what it returns.
func (s *instance) lua(listener int, text string) string {
	s.t.Helper()
	_, body, err := fetch("POST", "http://"+s.address(listener)+"/", text)
	if err != nil {
		s.t.Fatal(err)
	}
	return body
}

// What the methods return, in Lua.
func TestShared(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/shared.lua")
	for _, c := range []struct{ text, want string }{
		{`return d:get("no")`, "nil"},
		{`return d:set("k", "a\0b")`, "true nil false"},
		{`return #d:get("k"), d:get("k") == "a\0b"`, "3 true"},
		{`return d:add("k", 1)`, "nil exists false"},
		{`return d:replace("no", 1)`, "nil not found false"},
		{`return d:replace("k", true)`, "true nil false"},
		{`return d:get("k") == true`, "true"},
		{`return d:incr("k", 1)`, "nil not a number false"},
		{`return d:incr("n", 1)`, "nil not found false"},
		{`return d:incr("n", 1, 5) == 6, d:incr("n", 0.5) == 6.5, d:get("n") == 6.5`, "true true true"},
		{`return d:cas("n", 6, 1)`, "nil not equal false"},
		{`return d:cas("n", 6.5, 1)`, "true nil false"},
		{`return d:cas("n", nil, 1)`, "nil exists false"},
		{`return d:cas("no", 1, 1)`, "nil not found false"},
		{`return d:cas("new", nil, "x"), d:get("new")`, "true x"},
		{`return d:delete("new"), d:delete("new")`, "true false"},
		{`return d:set("k", nil), d:get("k")`, "true nil"},
		{`d:set("t", 1, 100); return d:ttl("t") > 90, d:ttl("t") <= 100`, "true true"},
		{`return d:expire("t", 0), d:ttl("t") == 0`, "true true"},
		{`return d:ttl("no")`, "nil not found"},
		{`return d:expire("no", 1)`, "nil not found"},
		{`return d:lpush("l", 1), d:rpush("l", "two"), d:lpush("l", 0)`, "1 2 3"},
		{`return d:llen("l"), d:llen("no")`, "3 0"},
		{`return d:get("l")`, "nil value is a list"},
		{`return d:lpush("n", 1)`, "nil value not a list"},
		{`return d:llen("n")`, "nil value not a list"},
		{`return d:lpop("n")`, "nil value not a list"},
		{`return d:rpop("l"), d:lpop("l") == 0, d:lpop("l") == 1, d:lpop("l")`, "two true true nil"},
		{`return d:set("", 1)`, "nil empty key"},
		{`return d:get(("k"):rep(65536))`, "nil key too long"},
		{`return d:set("large", ("x"):rep(5 * 1024 * 1024))`, "nil too large false"},
		{`d:set("large", ("x"):rep(1024 * 1024)); return #d:get("large")`, "1048576"},
		{`return d:set(42, "number"), d:get("42")`, "true number"},
		{`own:set("a", 1); own:set("b", 2); local k = own:keys(); table.sort(k); return #k, k[1], k[2], #own:keys(1)`, "2 a b 1"},
		{`return own:capacity() > own:free_space(), own:stats().items == 2`, "true true"},
		{`own:flush(); return own:capacity() == own:free_space(), #own:keys(0)`, "true 0"},
		{`return tostring(own), shared("own") ~= nil`, `moonbridge dictionary "own" true`},
		{`return limit{ key = "x", rate = 0.001, burst = 2, dictionary = own }`, "true 0 1"},
		{`return limit{ key = "x", rate = 0.001, burst = 2, dictionary = own }`, "true 0 0"},
		{`local ok, wait, left = limit{ key = "x", rate = 0.001, burst = 2, dictionary = own }; return ok, wait > 900, left`, "false true 0"},
		{`return limit{ key = "x", rate = 5 }`, "true 0 4"},
		{`return own:get("x")`, "true"},
		{`own:set("v", 1); return limit{ key = "v", rate = 5, dictionary = own }`, "nil value not a limit"},
	} {
		got := s.lua(0, c.text)
		if strings.HasPrefix(got, "true 0.0 ") { // Lua 5.4
			got = strings.Replace(got, "0.0", "0", 1)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{`d:set("k", {})`, "string, number or boolean expected, got table"},
		{`d:add("k", nil)`, "string, number or boolean expected, got nil"},
		{`d:set("k", 1, -1)`, "a time from 0 seconds to ten years expected"},
		{`d.set(1, "k", 1)`, "moonbridge dictionary expected"},
		{`d:incr("k", "x")`, "number expected"},
		{`d:get({})`, "string expected"},
		{`d:keys(0.5)`, "a number of keys expected; 0: all"},
		{`d:keys(0/0)`, "a number of keys expected; 0: all"},
		{`shared("other", "1M")`, `shared: "other" has to be opened while the script is loaded`},
		{`limit{ key = "x" }`, "limit: rate: number expected, got nil"},
		{`limit{ key = "x", rate = 1, brust = 1 }`, `limit: unknown option "brust"`},
		{`limit{ rate = 1 }`, "limit: key: string expected, got nil"},
		{`limit{ key = "x", rate = 1, burst = 2, cost = 3 }`, "limit: a cost above burst is never allowed"},
		{`limit{ key = "x", rate = 0, burst = 2 }`, "limit: rate is out of range"},
	} {
		if got := s.lua(0, c.text); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
}

// All workers of all pools, and timers, have the same memory.
func TestSharedByAll(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/shared.lua")
	eventually(t, "four workers", func() bool { return len(s.workers()) >= 4 })
	var all sync.WaitGroup
	const clients, each = 8, 50
	for n := range clients {
		all.Go(func() {
			for range each {
				s.lua(n%2, `return d:incr("n", 1, 0)`)
			}
		})
	}
	all.Wait()
	if got := s.lua(0, `return d:get("n")`); got != fmt.Sprint(clients*each) {
		t.Errorf("counted %s", got)
	}
	eventually(t, "the timer counts", func() bool { return s.lua(1, `return d:get("ticks") or 0`) != "0" })
}

// A reload and another process keep what is to be kept, and nothing else.
func TestSharedIsKept(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/shared.lua")
	s.lua(0, `d:set("k", "v"); d:set("soon", 1, 1000); own:set("k", "v"); for i = 1, 5 do limit{ key = "l", rate = 0.001, burst = 5 } end`)
	check := func(pool int, loads string) {
		t.Helper()
		for text, want := range map[string]string{
			`return d:get("k")`: "v", `return own:get("k")`: "nil", `return d:ttl("soon") > 500`: "true", `return d:get("loads")`: loads,
			`return (limit{ key = "l", rate = 0.001, burst = 5 })`: "false",
		} {
			if got := s.lua(pool, text); got != want {
				t.Errorf("%s: %s, want %s", text, got, want)
			}
		}
	}
	s.reload()
	check(0, "2")
	at := s.address(0)
	pid := s.pid()
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	s.wait("msg=stopped")
	heir, err := strconv.Atoi(field(s.wait("handed over"), "pid"))
	if err != nil || at != s.address(0) {
		t.Fatal(err)
	}
	s.lua(0, `own:set("x", 1)`)
	check(0, "3")
	s.endOf(heir)
}

// A script that is loaded with another size begins with an empty dictionary.
func TestSharedResized(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	text := `@
local d = require("moonbridge_shared").shared("d", "%s", { keep = true })
d:add("size", "%s")
listen{ port, connect = say(d:get("size")) }`
	a.write(text, "1M", "1M")
	s := start(t, a.script)
	a.write(text, "2M", "2M")
	s.reload()
	if got := get(t, s.url("/")); got != "2M" {
		t.Errorf("%s", got)
	}
	s.wait("shared dictionary begins empty", `name=d`, "bytes=2097152")
}

func TestSharedMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`shared("d")`:                          "bad argument #2 to 'shared'",
		`shared("d", "1K")`:                    "a size from 64K to 16G expected",
		`shared("d", "64X")`:                   "a size from 64K to 16G expected",
		`shared("d", "0.000001 ")`:             "a size from 64K to 16G expected",
		`shared("d", "1M", { kepe = true })`:   "shared: unknown option",
		`shared("d", "1M", { keep = 1 })`:      "shared: option keep: boolean expected, got number",
		`shared("d", "1M"); shared("d", "2M")`: `shared: "d" is open with another size`,
		`shared("", "1M")`:                     "a name of 1 to 128 bytes",
		`require("moonbridge_crypto"); for i = 1, 65 do shared("d" .. i, "1M") end`:                                     "more than 64 dictionaries",
		`require("moonbridge_crypto"); for i = 1, 65 do shared("d" .. math.min(i, 64), "1M") end; error("64 are open")`: "64 are open",
	} {
		s := launch(t, writeScript(t, "local shared = require('moonbridge_shared').shared\n"+text))
		s.wait(want)
		s.exit(3)
	}
}

// Workers are killed while they use a dictionary. It stays usable, and no count is lost but those that were being made.
func TestSharedWorkersDie(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/shared.lua")
	eventually(t, "four workers", func() bool { return len(s.workers()) >= 4 })
	var done, failed atomic.Int64
	var stop atomic.Bool
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for !stop.Load() {
				_, body, err := fetch("POST", "http://"+s.address(n%2)+"/",
					`for i = 1, 100 do d:set("large" .. i % 3, ("x"):rep(100000)); d:incr("n", 1, 0) end; return "done"`)
				if err == nil && body == "done" {
					done.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	for n := range 20 {
		eventually(t, "workers", func() bool { return len(s.workers()) > 0 })
		if pids := s.workers(); len(pids) > 0 {
			syscall.Kill(pids[n%len(pids)], syscall.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond) // they get to work again, or not
	}
	stop.Store(true)
	all.Wait()
	// A pool whose workers have died one after the other waits before it starts the next ones.
	eventually(t, "a worker", func() bool { return s.lua(0, `return "ready"`) == "ready" })
	n, err := strconv.ParseFloat(s.lua(0, `return d:get("n")`), 64)
	if low, high := float64(done.Load()*100), float64((done.Load()+failed.Load())*100); err != nil || n < low || n > high {
		t.Errorf("counted %v (%v), want from %v to %v", n, err, low, high)
	}
	if got := s.lua(0, `d:set("k", "v"); return d:get("k"), #d:get("large1")`); got != "v 100000" {
		t.Errorf("%s", got)
	}
}

// A Go program has the dictionaries of its scripts.
func TestSharedWithGo(t *testing.T) {
	t.Parallel()
	h, err := pool.Start(context.Background(), pool.Config{Script: "testdata/shared.lua"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Kill()
	if h.Dictionary("no") != nil {
		t.Error("one that the script has not opened")
	}
	d, err := worker.OpenDict(h.Dictionary("kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if v, err := d.Incr("loads", int64(1), nil, 0); fmt.Sprint(v) != "2" || err != nil {
		t.Errorf("%v %v", v, err)
	}
}

// A finalizer may use a dictionary at any time: also while a result is made a string, before which LuaJIT runs the collector.
func TestSharedFinalizers(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/shared.lua")
	got := s.lua(0, `
		local function finalized(f)
			if newproxy then
				getmetatable(newproxy(true)).__gc = f
			else
				setmetatable({}, { __gc = f })
			end
		end
		local wrong, runs = 0, 0
		for i = 1, 20 do
			d:set("big" .. i, ("%2d"):format(i):rep(40000))
			d:set("small" .. i, ("%2d"):format(i):rep(1000 + i))
		end
		for i = 1, 4000 do
			finalized(function() runs = runs + 1 d:get("big" .. i % 20 + 1) d:keys(3) end)
			local k = i % 20 + 1
			if d:get("small" .. k) ~= ("%2d"):format(k):rep(1000 + k) then wrong = wrong + 1 end
			for _, key in ipairs(d:keys(10)) do
				if not key:find("^%a+%d*$") then wrong = wrong + 1 end
			end
		end
		return runs > 0, wrong`)
	if got != "true 0" {
		t.Errorf("%s", got)
	}
}

// A full dictionary lets go of what was not used, and refuses what can never fit.
func TestSharedFull(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/shared.lua")
	got := s.lua(0, `own:set("used", 1) for i = 1, 3000 do own:set(i, ("x"):rep(1000)) own:get("used") end
		return own:get("used") ~= nil, own:get("1"), own:get("3000") ~= nil, own:stats().evicted > 1000, own:set("k", ("x"):rep(2000000))`)
	if got != "true nil true true nil too large false" {
		t.Errorf("%s", got)
	}
}

// A worker writes over a dictionary while others use it. They go on, and a flush makes it as good as new.
func TestSharedScribbled(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/mem"); err != nil {
		t.Skip("the memory of a process cannot be written: ", err)
	}
	s := start(t, "testdata/shared.lua")
	scribble := `
		local from, to
		for line in io.lines("/proc/self/maps") do
			if line:find("moonbridge-dictionary", 1, true) then
				local a, b = line:match("^(%x+)-(%x+)")
				if tonumber(b, 16) - tonumber(a, 16) == 4 * 1024 * 1024 then
					from, to = tonumber(a, 16), tonumber(b, 16)
				end
			end
		end
		local memory = io.open("/proc/self/mem", "r+b")
		for i = 1, 300 do
			local shard = math.random(0, 1) * 2 * 1024 * 1024
			memory:seek("set", from + shard + 64 + math.random(0, i % 2 == 0 and 200 or 200000))
			memory:write(string.char(math.random(0, 255), math.random(0, 255), 0, math.random(0, 3) * 64))
			memory:flush()
			d:set("k" .. i, ("x"):rep(i * 10))
		end
		memory:close()
		return "written"`
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			text, want := scribble, "written"
			if n > 0 {
				text, want = `for i = 1, 3000 do local k = "k" .. i % 300
					d:set(k, ("y"):rep(i)) d:get(k) d:incr("n" .. i % 7, 1, 0) d:rpush("l", i) d:lpop("l") d:delete(k) d:keys(10) end return "used"`, "used"
			}
			for range 3 {
				if got := s.lua(n%2, text); got != want {
					t.Errorf("%s", got)
				}
			}
		})
	}
	all.Wait()
	if got := s.lua(1, `d:flush() d:set("k", "v") return d:get("k"), d:get("k1")`); got != "v nil" {
		t.Errorf("after a flush: %s", got)
	}
	if strings.Contains(s.log.String(), "worker ended") {
		t.Errorf("a worker has died:\n%s", s.log)
	}
}
