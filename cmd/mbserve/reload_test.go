package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// application is a directory with a script that tests rewrite.
type application struct {
	t      testing.TB
	script string
}

func newApplication(t testing.TB) *application {
	t.Helper()
	return &application{t, filepath.Join(t.TempDir(), "app.lua")}
}

// write writes the script. @ in it stands for the common start.
func (a *application) write(text string, args ...any) {
	a.t.Helper()
	text = strings.Replace(fmt.Sprintf(text, args...), "@", `
local http = require "moonbridge_http"
local function say(text)
	return http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(text)
	end)
end
local port = { proto = "tcp4", port = 0, localhost = true }
`, 1)
	// A server that watches the script must not find one that is empty yet: on a busy machine, it may be so for a while.
	whole := filepath.Join(a.t.TempDir(), "whole")
	if err := os.WriteFile(whole, []byte(text), 0o644); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(whole, a.script); err != nil {
		a.t.Fatal(err)
	}
}

// reload makes the server reload its script, and waits until that is over. It returns the log line.
func (s *instance) reload() string {
	s.t.Helper()
	from := s.log.size()
	s.signal(syscall.SIGHUP)
	var line string
	eventually(s.t, "the reload is over", func() bool {
		for l := range strings.Lines(s.log.String()[from:]) {
			if strings.Contains(l, "msg=reloaded") || strings.Contains(l, "reload failed") {
				line = l
			}
		}
		return line != ""
	})
	return line
}

func (s *instance) mustReload() {
	s.t.Helper()
	if line := s.reload(); !strings.Contains(line, "msg=reloaded") {
		s.t.Fatal(line)
	}
}

// The script and its modules are reloaded, and the next request of an open connection goes to the new script.
func TestReload(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	module := filepath.Join(filepath.Dir(a.script), "words.lua")
	words := func(text string) {
		if err := os.WriteFile(module, []byte("return "+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	words(`"one"`)
	a.write(`@ listen{ port, connect = say(require "words") }`)
	s := start(t, a.script)
	at := s.address(0)
	stays := dial(t, at)
	stays.get("/")
	if got := stays.hears(200); got != "one" {
		t.Errorf("answer %q", got)
	}
	words(`"two"`)
	s.mustReload()
	stays.get("/")
	if got := stays.hears(200); got != "two" {
		t.Errorf("answer %q after the reload", got)
	}
	if got := get(t, "http://"+at+"/"); got != "two" {
		t.Errorf("answer %q on a new connection", got)
	}
	s.wait("the replaced script has ended")
}

// A connection of a listener that the new script has not has time for a last request, which the old script answers.
func TestReloadLastRequest(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ port, connect = say("stays") } listen{ port, connect = say("old") }`)
	s := start(t, a.script)
	last := dial(t, s.address(1))
	last.get("/")
	if got := last.hears(200); got != "old" {
		t.Errorf("answer %q", got)
	}
	a.write(`@ listen{ port, connect = say("new") }`)
	reloading := time.Now()
	s.mustReload()
	// Only if the reload takes too long, the second is over.
	if status, got, err := last.ask("/"); (err != nil || status != 200 || got != "old") && (err == nil || time.Since(reloading) < time.Second) {
		t.Errorf("the last request: %d %q, %v", status, got, err)
	}
	s.wait("the replaced script has ended")
	s.stop()
}

// A broken script changes nothing, in whatever way it is broken.
func TestReloadBroken(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ port, connect = say("good") }`)
	s := start(t, a.script)
	stays := dial(t, s.address(0))
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct{ script, want string }{
		{`this is no Lua`, "app.lua:1:"},
		{`error("on purpose")`, "on purpose"},
		{`print("and nothing else")`, "has not called listen"},
		{fmt.Sprintf(`@ listen{ port, { proto = "tcp4", port = %d, localhost = true }, connect = say("bad") }`,
			taken.Addr().(*net.TCPAddr).Port), "address already in use"},
		{`@ listen{ port, connect = say("bad"), prepare = function() error("in prepare") end }`, "workers end before they are ready"},
		{`@ listen{ port, connect = say("bad"), prepare = function() os.exit(7) end }`, "workers end before they are ready"},
	} {
		a.write("%s", c.script)
		if line := s.reload(); !strings.Contains(line, "reload failed") || !strings.Contains(line, c.want) {
			t.Errorf("%q instead of %q", line, c.want)
		}
		stays.get("/")
		if got := stays.hears(200); got != "good" {
			t.Errorf("%q", got)
		}
		if got := get(t, s.url("/")); got != "good" {
			t.Errorf("%q", got)
		}
	}
	if err := os.Remove(a.script); err != nil {
		t.Fatal(err)
	}
	if line := s.reload(); !strings.Contains(line, "no such file") {
		t.Error(line)
	}
	a.write(`@ listen{ port, connect = say("better") }`)
	s.mustReload()
	stays.get("/")
	if got := stays.hears(200); got != "better" {
		t.Errorf("%q", got)
	}
}

// Reloads under load refuse no request and break no connection.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ port, connect = say("0") }`)
	s := start(t, a.script)
	at := s.address(0)
	var stop atomic.Bool
	ended := make(chan int)
	for range 4 {
		stays := dial(t, at)
		go func() {
			n := 0
			defer func() { ended <- n }()
			for ; !stop.Load() && !t.Failed(); n++ {
				stays.get("/")
				stays.hears(200)
			}
		}()
	}
	go func() {
		n := 0
		defer func() { ended <- n }()
		for ; !stop.Load() && !t.Failed(); n++ {
			get(t, "http://"+at+"/")
		}
	}()
	const reloads = 8
	for i := range reloads {
		a.write(`@ listen{ port, connect = say("%d") }`, i+1)
		s.mustReload()
	}
	stop.Store(true)
	for range 5 {
		if <-ended == 0 {
			t.Error("a client got no answer")
		}
	}
	if got := get(t, "http://"+at+"/"); got != fmt.Sprint(reloads) {
		t.Errorf("%q", got)
	}
	if text := s.log.String(); strings.Contains(text, "lost=1") || strings.Contains(text, "refused") {
		t.Error("exchanges were lost or refused")
	}
}

// slowScript is a script whose path /wait waits at a FIFO. The other one shows which script it is.
const slowScript = `@ listen{ port, connect = http.generate_handler(function(request)
	if request.path == "wait" then
		io.stderr:write("waiting\n")
		io.open(%q):close()
	end
	request:send_status("200 OK")
	request:send_data("%s")
end) }`

// startSlow starts a server with the script, and a request that waits.
func startSlow(t *testing.T, grace string) (a *application, s *instance, busy *peer, fifo string, open func()) {
	t.Parallel()
	a = newApplication(t)
	fifo, open = newFIFO(t)
	a.write(slowScript, fifo, "one")
	s = start(t, "--grace", grace, a.script)
	busy = dial(t, s.address(0))
	busy.get("/wait")
	s.wait("waiting")
	return a, s, busy, fifo, open
}

// A running exchange is completed by the script that started it.
func TestReloadWaits(t *testing.T) {
	a, s, busy, fifo, open := startSlow(t, "1000000")
	at := s.address(0)
	a.write(slowScript, fifo, "two")
	s.mustReload()
	if got := get(t, "http://"+at+"/"); got != "two" {
		t.Errorf("%q in parallel with the running exchange", got)
	}
	open()
	if got := busy.hears(200); got != "one" {
		t.Errorf("%q from the exchange that was running", got)
	}
	s.wait("the replaced script has ended")
}

// At most two scripts run at a time, and the old one gets no longer than the grace time to end.
func TestReloadWaitsForGrace(t *testing.T) {
	a, s, busy, fifo, _ := startSlow(t, "1")
	a.write(slowScript, fifo, "two")
	s.mustReload()
	a.write(slowScript, fifo, "three")
	s.mustReload() // it must wait for the first one
	s.wait("reload waits")
	s.wait("the replaced script did not end by itself")
	busy.hears(503)
	if got := get(t, s.url("/")); got != "three" {
		t.Errorf("%q", got)
	}
}

// Listeners that the new script also has stay open. The others are closed, and their connections end.
func TestReloadListeners(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	dir := filepath.Dir(a.script)
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	a.write(`@ listen{ port, { proto = "local", path = %q }, connect = say("one") }`, first)
	s := start(t, a.script)
	at := s.address(0)
	a.write(`@
		listen{ { proto = "local", path = %q, mode = "0600" }, connect = say("two") }
		listen{ port, connect = say("three") }`, second)
	s.mustReload()
	if got := get(t, "http://"+at+"/"); got != "three" {
		t.Errorf("%q", got)
	}
	if got := getLocal(t, second); got != "two" {
		t.Errorf("%q", got)
	}
	if _, err := os.Lstat(first); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the first socket: %v", err)
	}
	stays := dial(t, at)
	stays.get("/")
	stays.hears(200)
	a.write(`@ listen{ { proto = "local", path = %q, mode = "0644" }, connect = say("four") }`, second)
	s.mustReload()
	stays.hearsEnd()
	if c, err := net.Dial("tcp4", at); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
	if got := getLocal(t, second); got != "four" {
		t.Errorf("%q", got)
	}
	if info, err := os.Lstat(second); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	s.stop()
	if _, err := os.Lstat(second); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second socket: %v", err)
	}
}

// A listener may change from HTTP to raw connections and back.
func TestReloadRaw(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ port, connect = say("one") }`)
	s := start(t, a.script)
	at := s.address(0)
	stays := dial(t, at)
	stays.get("/")
	stays.hears(200)
	a.write(`@ listen{ port, connect = function(socket) socket:write("raw ", socket:readuntil("\n")) end }`)
	s.mustReload()
	stays.hearsEnd()
	raw := dial(t, at)
	raw.say("hello\n")
	if line, err := raw.r.ReadString('\n'); line != "raw hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	a.write(`@ listen{ port, connect = say("two") }`)
	s.mustReload()
	if got := get(t, "http://"+at+"/"); got != "two" {
		t.Errorf("%q", got)
	}
}

// The timers of the old script stop, and those of the new one start.
func TestReloadTimers(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	timer := `@ listen{ { proto = "interval", delay = 0.01, connect = function() io.stderr:write("tick %s\n") end } }`
	a.write(timer, "one")
	s := start(t, a.script)
	s.wait("tick one")
	a.write(timer, "two")
	s.mustReload()
	s.wait("the replaced script has ended")
	ticks := func() (from int) {
		for range 5 {
			from = s.log.size()
			s.log.wait(t, from, "tick two")
		}
		return from
	}
	from := ticks() // a last line of the old script may be late
	ticks()
	if strings.Contains(s.log.String()[from:], "tick one") {
		t.Error("the old timer still runs")
	}
}

// Any number of signals during a reload lead to one more reload, not to a queue of them; and the server can be stopped
// in the middle.
func TestReloadFlood(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/hello.lua")
	for range 50 {
		s.signal(syscall.SIGHUP)
	}
	s.wait("msg=reloaded", "generation=1")
	get(t, s.url("/"))
	for range 3 {
		s.signal(syscall.SIGHUP)
	}
	s.stop()
}
