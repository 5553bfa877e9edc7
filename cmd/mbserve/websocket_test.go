package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"moonbridge/handler/websocket/wstest"
)

// socket opens a WebSocket to the script testdata/websocket.lua.
func (s *instance) socket(query string) *socket { return openSocket(s.t, s.address(0), "/?"+query, "") }

// socketH2 is socket on a connection of its own with HTTP/2.
func (s *instance) socketH2(query string) *socket {
	s.t.Helper()
	conn, err := wstest.DialH2(s.address(0))
	if err != nil {
		s.t.Fatal(err)
	}
	return socketOn(s.t, conn, "/?"+query, "")
}

// overBoth runs a test with WebSockets over HTTP/1.1, and over HTTP/2.
func overBoth(t *testing.T, test func(t *testing.T, open func(s *instance, query string) *socket)) {
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, (*instance).socket) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, (*instance).socketH2) })
}

// socket is a client's WebSocket.
type socket struct {
	*wstest.Client
	t testing.TB
}

func openSocket(t testing.TB, address, target, fields string) *socket {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return socketOn(t, conn, target, fields)
}

func socketOn(t testing.TB, conn net.Conn, target, fields string) *socket {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	c, err := wstest.Open(conn, target, fields)
	if err != nil {
		t.Fatal(err)
	}
	return &socket{c, t}
}

// says sends a text.
func (c *socket) says(text string) { c.Message(wstest.Text, []byte(text), 0) }

// hears receives a text.
func (c *socket) hears() (text string) {
	c.t.Helper()
	defer c.failure()
	_, p := c.Receive()
	return string(p)
}

// asks sends a text and wants an answer.
func (c *socket) asks(text, want string) {
	c.t.Helper()
	c.says(text)
	if got := c.hears(); got != want {
		c.t.Errorf("%q: %.80q, want %q", text, got, want)
	}
}

// closes wants to be closed with a code, and answers.
func (c *socket) closes(code int) {
	c.t.Helper()
	defer c.failure()
	c.WantsCloseFrame(code)
	c.answersClose(code)
}

// answersClose sends a close frame and closes the connection when the server has, so that nothing lingers.
func (c *socket) answersClose(code int) {
	c.t.Helper()
	defer c.failure()
	c.Send(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.CloseFrame, Payload: wstest.ClosePayload(code, "")})
	c.WantsEnd()
	c.Conn.Close()
}

// leaves wants to be closed with a code, and answers.
func (c *socket) leaves(code int) {
	c.t.Helper()
	defer c.failure()
	c.WantsCloseFrame(code)
	c.Send(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.CloseFrame, Payload: wstest.ClosePayload(code, "")})
	c.WantsEnd()
	c.Conn.Close()
}

// failure makes what the client has to complain about an error of the test.
func (c *socket) failure() {
	c.t.Helper()
	switch f := recover().(type) {
	case nil:
	case wstest.Failure:
		c.t.Error(f)
	default:
		panic(f)
	}
}

// What a script can do with a WebSocket.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, open func(*instance, string) *socket) {
		s := start(t, "testdata/websocket.lua")
		ends := open(s, "handler=quiet&channel=ends")
		c := open(s, "state=7")
		if got := c.hears(); got != "open 7" {
			t.Errorf("%q", got)
		}
		for _, tt := range [][2]string{
			{"echo hello", "hello"}, {"echo ", ""}, {"count", "8"}, {"count", "9"}, {"misuse", "false false false false false"},
			{"keep", "kept"}, {"kept", "false"}, {"publish nothing", "to 0"}, {"subscribe room", "subscribed"},
		} {
			c.asks(tt[0], tt[1])
		}
		for n := range 200 { // in order, though two workers run them
			c.says(fmt.Sprintf("echo %d", n))
		}
		for n := range 200 {
			if got := c.hears(); got != strconv.Itoa(n) {
				t.Fatalf("%q, want %d", got, n)
			}
		}
		c.says("many 500") // more than the out-window has
		for n := range 500 {
			if got := c.hears(); got != fmt.Sprintf("%d:%s", n+1, strings.Repeat("x", 1000)) {
				t.Fatalf("%d: %.20q", n, got)
			}
		}
		c.asks("echo "+strings.Repeat("é", 300_000), strings.Repeat("é", 300_000))
		c.says("large 1000000")
		if got := c.hears(); len(got) != 1_000_000 {
			t.Errorf("%d bytes", len(got))
		}

		other := open(s, "handler=quiet&channel=room&key=me")
		c.says("publish news")
		if a, b := other.hears(), c.hears(); a != "news" || b != "news" && b != "to 2" {
			t.Errorf("%q, %q", a, b)
		}
		c.hears()
		other.asks("id", otherID(other, c))
		c.asks("unsubscribe room", "unsubscribed")
		c.asks("publish again", "to 1")
		if got := other.hears(); got != "again" {
			t.Errorf("%q", got)
		}
		c.says("close bye")
		c.closes(4000)
		if got := ends.hears(); got != "9 4000 bye" {
			t.Errorf("close handler: %q", got)
		}
		other.Conn.Close() // its handler has no close
		gone := open(s, "state=5")
		gone.hears()
		gone.Conn.Close()
		if got := ends.hears(); got != "5 1006 " {
			t.Errorf("close handler of a client that is gone: %q", got)
		}
	})
}

// otherID asks a for its id, and c to send to it and to one that is none.
func otherID(a, c *socket) string {
	a.says("id")
	id := a.hears()
	c.asks("to "+id+" hello there", "true")
	if got := a.hears(); got != "hello there" {
		a.t.Errorf("%q", got)
	}
	c.asks("to 0-1-ffff hello", "false")
	return id
}

// Options that are not right, and arguments that no connection can have.
func TestWebSocketMistakes(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/websocket.lua")
	const name = "accept_websocket: the name of a channel has 1 to 255 bytes, without control characters and '*'"
	for _, tt := range []struct{ options, want string }{
		{`{}`, "accept_websocket: the option 'handler' is missing"},
		{`{ handler = "none" }`, "accept_websocket: there is no websocket.handler 'none'"},
		{`{ handler = "quiet", on_error = "stop" }`, `accept_websocket: the option 'on_error' must be "ignore" or "close"`},
		{`{ handler = "quiet", compress = "yes" }`, `accept_websocket: the option 'compress' must be true, false or "takeover"`},
		{`{ handler = "quiet", max_message = 2e6 }`, "accept_websocket: the option 'max_message' must be a number from 1 to 1048576"},
		{`{ handler = "quiet", channels = "room*" }`, name},
		{`{ handler = "quiet", channels = { "a", ("x"):rep(256) } }`, name},
		{`{ handler = "quiet", channels = "a\n" }`, name},
		{`{ handler = "quiet", channels = { 1 } }`, "accept_websocket: the option 'channels' is a name or a table of names"},
		{`{ handler = "quiet", key = "a\n" }`, "accept_websocket: a key has at most 255 bytes, without control characters"},
		{`{ handler = "quiet", state = ("x"):rep(4097) }`, "accept_websocket: the option 'state' has more than 4096 bytes"},
		{`{ handler = "quiet", any = 1 }`, "accept_websocket: there is no option 'any'"},
	} {
		if _, got, err := fetch("GET", s.url("/?mistake="+url.QueryEscape(tt.options)), ""); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v", tt.options, got, err)
		}
	}
	c := s.socket("handler=quiet")
	for _, tt := range [][2]string{
		{`return websocket.send(("x"):rep(2^20 + 1000), "x")`, "false"}, // it does not cost the worker
		{`return websocket.send(("x"):rep(256), ("x"):rep(2^20))`, "false"},
		{`return websocket.close(("x"):rep(2^20))`, "false"},
	} {
		c.asks("pcall "+tt[0], "true "+tt[1])
	}
	c.asks(`pcall ws:subscribe("room*")`, "false subscribe: the name of a channel has 1 to 255 bytes, without control characters and '*'")
	c.asks("echo still there", "still there")
	s.socket("handler=quiet&channel=room&last_id="+strings.Repeat("x", 300)).asks("echo open", "open")
}

func TestWebSocketClosedByAnother(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, open func(*instance, string) *socket) {
		s := start(t, "testdata/websocket.lua")
		a, b := open(s, "handler=quiet"), open(s, "handler=quiet")
		a.says("id")
		id := a.hears()
		b.asks("end "+id, "true")
		a.closes(4001)
		b.asks("end nonsense", "false")
	})
}

// A handler that fails, and one whose worker dies, answer nothing. The connection goes on, or is closed if the script wants that.
func TestWebSocketFailures(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, open func(*instance, string) *socket) {
		s := launch(t, "testdata/websocket.lua")
		s.wait("msg=ready")
		c := open(s, "handler=quiet")
		for _, what := range []string{"fails", "exits"} {
			c.says(what)
			c.asks("echo after "+what, "after "+what)
			strict := open(s, "handler=quiet&on_error=close")
			strict.says(what)
			strict.closes(1011)
		}
		s.wait("failed on purpose", "in=websocket")
		small := open(s, "handler=quiet&max=10")
		small.says("echo 12345")
		small.hears()
		small.says("echo 123456")
		small.closes(1009)
		c.Conn.Close()
		s.stop()
		s.cleanUp()
	})
}

// kill -9 of a worker at any time loses at most the messages that it was at: the others are answered once, in order.
func TestWebSocketWorkersKilled(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, open func(*instance, string) *socket) {
		s := launch(t, "testdata/websocket.lua")
		s.wait("msg=ready")
		c, killer := open(s, "handler=quiet"), open(s, "handler=quiet")
		killed, last := 0, -1
		for n := range 300 {
			c.says(fmt.Sprintf("echo %d", n))
			if n%60 == 30 {
				killer.says("pid")
				if pid, err := strconv.Atoi(killer.hears()); err == nil {
					syscall.Kill(pid, syscall.SIGKILL)
					killed++
				}
			}
		}
		c.says("echo end")
		answered := 0
		for {
			got := c.hears()
			if got == "end" || t.Failed() {
				break
			}
			n, err := strconv.Atoi(got)
			if err != nil || n <= last {
				t.Fatalf("%q after %d", got, last)
			}
			last = n
			answered++
		}
		if answered < 300-killed {
			t.Errorf("%d of 300 messages answered, with %d workers killed", answered, killed)
		}
		c.Conn.Close()
		killer.Conn.Close()
		s.stop()
		s.cleanUp()
	})
}

// After HUP the next message goes to the new script, on the same connection. A handler that does not exist any more closes.
func TestWebSocketReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "version")
	t.Setenv("WS_VERSION_FILE", file)
	version := func(v string) {
		if err := os.WriteFile(file, []byte(v+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	version("one")
	s := start(t, "testdata/websocket.lua")
	c, leaves := s.socket("state=3"), s.socket("handler=leaves")
	c.hears()
	c.asks("version", "one")
	c.asks("count", "4")
	c.asks("subscribe room", "subscribed")
	version("two")
	s.mustReload()
	c.asks("version", "two")
	c.asks("count", "5")
	c.says("publish still here")
	if a, b := c.hears(), c.hears(); a+b != "still hereto 1" && a+b != "to 1still here" {
		t.Errorf("%q, %q", a, b)
	}
	leaves.says("version")
	leaves.closes(1012)
	s.wait("the replaced script has ended")
	c.asks("echo alive", "alive")
}

// At a stop clients are told that the server goes away, and close handlers run.
func TestWebSocketStop(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, open func(*instance, string) *socket) {
		s := launch(t, "testdata/websocket.lua")
		s.wait("msg=ready")
		c := open(s, "")
		c.hears()
		s.signal(syscall.SIGTERM)
		func() {
			defer c.failure()
			c.WantsCloseFrame(1001)
		}()
		c.answersClose(1001)
		s.exit(0)
		s.cleanUp()
	})
}

// What a handler sends does not wait for its end.
func TestWebSocketProgress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go-on")
	t.Setenv("WS_GO_ON", file)
	s := start(t, "testdata/websocket.lua")
	c := s.socket("handler=quiet")
	c.asks("progress", "begins")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := c.hears(); got != "ends" {
		t.Errorf("%q", got)
	}
}

// A wrong option is an error that names it, before the request is looked at.
func TestWebSocketOptions(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ require("moonbridge_websocket").handler("h", { message = function() end })
local wrong = {
	{ "accept_websocket", { handler = "h", on_error = "stop" } }, { "accept_websocket", { handler = "h", compress = "always" } },
	{ "accept_websocket", { handler = "h", max_message = 0 } }, { "accept_websocket", { handler = "other" } }, { "accept_websocket", {} },
	{ "accept_websocket", { handler = "h", colour = "red" } }, { "accept_websocket", { handler = "h", key = 5 } },
	{ "accept_websocket", { handler = "h", rate = 0 } }, { "accept_websocket", { handler = "h", rate = "5" } },
	{ "accept_websocket", { handler = "h", rate = 1, burst = 0 } }, { "accept_websocket", { handler = "h", burst = 5 } },
	{ "websocket", { rate = 2e6 } }, { "websocket", { rate = 1, burst = 2e6 } }, { "websocket", { compress = 1 } }, { "websocket", { key = "k" } }, { "websocket", { true } },
}
listen{ port, connect = http.generate_handler(function(request)
	local texts = {}
	for i, w in ipairs(wrong) do
		local _, text = pcall(request[w[1]], request, w[2])
		texts[i] = text
	end
	request:send_status("200 OK")
	request:send_data(table.concat(texts, "\n"))
end) }`)
	s := start(t, a.script)
	want := `accept_websocket: the option 'on_error' must be "ignore" or "close"
accept_websocket: the option 'compress' must be true, false or "takeover"
accept_websocket: the option 'max_message' must be a number from 1 to 1048576
accept_websocket: there is no websocket.handler 'other'
accept_websocket: the option 'handler' is missing
accept_websocket: there is no option 'colour'
accept_websocket: the option 'key' must be a string, not a number
accept_websocket: the option 'rate' must be a number of messages per second, from 0.001 to 1000000
accept_websocket: the option 'rate' must be a number of messages per second, from 0.001 to 1000000
accept_websocket: the option 'burst' must be a number from 1 to 1000000
accept_websocket: the option 'burst' needs 'rate'
websocket: the option 'rate' must be a number of messages per second, from 0.001 to 1000000
websocket: the option 'burst' must be a number from 1 to 1000000
websocket: the option 'compress' must be true, false or "takeover"
websocket: there is no option 'key'
websocket: there is no option 'number'`
	if got := get(t, s.url("/")); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// The cases of Autobahn's suite, through Lua.
func TestWebSocketCases(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ require("moonbridge_websocket").handler("echo", { message = function(ws, data, kind) ws:send(data, kind) end })
listen{ { proto = "tcp4", port = 0, localhost = true, http2 = "h2c" },
	connect = http.generate_handler(function(request) request:accept_websocket{ handler = "echo", compress = true } end) }`)
	s := start(t, a.script)
	for i, k := range wstest.Cases(2, 1<<20) {
		if chapter, _, _ := strings.Cut(k.ID, "."); chapter == "12" || chapter == "13" && !strings.HasSuffix(k.ID, ".5") {
			continue
		}
		dial := func() (net.Conn, error) { return net.Dial("tcp", s.address(0)) }
		if i%2 == 1 { // all of them go over HTTP/2 in package websocket
			dial = func() (net.Conn, error) { return wstest.DialH2(s.address(0)) }
		}
		if err := k.Run(dial, "/"); err != nil && !errors.Is(err, wstest.ErrNotOffered) {
			t.Errorf("%s, HTTP/%d: %v", k.ID, 1+i%2, err)
		}
	}
}

// A new binary takes over: clients are told to connect again, and do.
func TestWebSocketUpgrade(t *testing.T) {
	t.Parallel()
	pidName := filepath.Join(t.TempDir(), "pid")
	s := launch(t, "-p", pidName, "testdata/websocket.lua")
	s.wait("msg=ready")
	at, old, pid := s.address(0), s.pid(), 0
	c := s.socket("state=1")
	c.hears()
	s.signal(syscall.SIGUSR2)
	func() {
		defer c.failure()
		c.WantsCloseFrame(1012)
	}()
	again := openSocket(t, at, "/?state=2", "")
	if got := again.hears(); got != "open 2" {
		t.Errorf("%q", got)
	}
	c.answersClose(1012)
	s.awaitExit()
	eventually(t, "the pid file has the new process", func() bool {
		text, _ := os.ReadFile(pidName)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid != 0 && pid != old
	})
	again.asks("echo the new process", "the new process")
	again.Conn.Close()
	s.endOf(pid)
}

// Events that wait for the workers of one pool do not delay those of another one.
func TestWebSocketPoolsApart(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	file := filepath.Join(t.TempDir(), "go-on")
	a.write(`@ local websocket = require "moonbridge_websocket"
websocket.handler("waits", { message = function(ws)
	while not io.open(%q) do os.execute("sleep 0.02") end
	ws:send("done")
end })
websocket.handler("echo", { message = function(ws, data) ws:send(data) end })
listen{ port, max_fork = 1, queue_limit = 3, connect = http.generate_handler(function(request) request:accept_websocket{ handler = "waits" } end) }
listen{ port, max_fork = 1, connect = http.generate_handler(function(request) request:accept_websocket{ handler = "echo" } end) }`, file)
	s := start(t, "--loops", "1", a.script)
	waiting := make([]*socket, 8) // more than may be in progress
	for i := range waiting {
		waiting[i] = openSocket(t, s.address(0), "/", "")
	}
	for _, c := range waiting {
		c.says("x")
	}
	openSocket(t, s.address(1), "/", "").asks("hello", "hello")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range waiting {
		if got := c.hears(); got != "done" {
			t.Errorf("%q", got)
		}
	}
}

// At a stop the handler that is at work still answers, and all close handlers run, even if they have to wait for a worker.
func TestWebSocketStopWhileBusy(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	goOn, ends := filepath.Join(t.TempDir(), "go-on"), filepath.Join(t.TempDir(), "ends")
	a.write(`@ require("moonbridge_websocket").handler("h", {
	message = function(ws)
		ws:send("begins")
		while not io.open(%q) do os.execute("sleep 0.02") end
		ws:send("ends")
	end,
	close = function(ws, code)
		os.execute("sleep 0.01")
		io.open(%q, "a"):write(code, "\n")
	end,
})
listen{ port, max_fork = 1, queue_limit = 3, connect = http.generate_handler(function(request) request:accept_websocket{ handler = "h" } end) }`, goOn, ends)
	s := launch(t, a.script)
	s.wait("msg=ready")
	all := make([]*socket, 20)
	for i := range all {
		all[i] = openSocket(t, s.address(0), "/", "")
	}
	all[0].says("x")
	if got := all[0].hears(); got != "begins" {
		t.Errorf("%q", got)
	}
	s.signal(syscall.SIGTERM)
	for _, c := range all[1:] {
		c.leaves(1001)
	}
	if err := os.WriteFile(goOn, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := all[0].hears(); got != "ends" {
		t.Errorf("%q", got)
	}
	all[0].leaves(1001)
	s.exit(0)
	if text, _ := os.ReadFile(ends); string(text) != strings.Repeat("1001\n", len(all)) {
		t.Errorf("close handlers: %q", text)
	}
	s.cleanUp()
}

// What is counted is what clients have counted, by the cause of each end.
func TestWebSocketFigures(t *testing.T) {
	s := launch(t, "--admin", loopbackPort, "--stats", "testdata/websocket.lua")
	s.wait("msg=ready")
	in, out := 0, 0
	said := func(c *socket, text string, answers int) {
		t.Helper()
		c.says(text)
		in++
		for range answers {
			c.hears()
			out++
		}
	}
	subscriber := s.socket("handler=quiet&channel=room")
	c := s.socket("")
	c.hears()
	out++
	for n := range 100 {
		said(c, fmt.Sprintf("echo %d", n), 1)
	}
	said(c, "many 70", 70)
	said(c, "publish to all", 1)
	subscriber.hears()
	out++
	func() {
		defer c.failure()
		c.Close(1000)
		c.Conn.Close()
	}()
	for text, code := range map[string]int{"close now": 4000, "fails": 1011} {
		one := s.socket("handler=quiet&on_error=close")
		said(one, text, 0)
		one.leaves(code)
	}
	large := s.socket("handler=quiet&max=5")
	large.says("123456")
	large.leaves(1009)
	wrong := s.socket("handler=quiet")
	wrong.Raw([]byte{0x81, 1, 'x'}) // no mask
	wrong.leaves(1002)
	s.socket("handler=quiet").Conn.Close()
	refused := dial(t, s.address(0))
	refused.say("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
		strings.Repeat("?", 24))
	refused.hears(400)
	want := map[string]int{
		"moonbridge_websockets": 1, "moonbridge_websockets_accepted_total": 7, "moonbridge_websockets_refused_total": 1,
		`moonbridge_websockets_closed_total{cause="client"}`: 1, `moonbridge_websockets_closed_total{cause="application"}`: 1,
		`moonbridge_websockets_closed_total{cause="failed"}`: 1, `moonbridge_websockets_closed_total{cause="too_large"}`: 1,
		`moonbridge_websockets_closed_total{cause="protocol"}`: 1, `moonbridge_websockets_closed_total{cause="lost"}`: 1,
		`moonbridge_websockets_closed_total{cause="silent"}`: 0, `moonbridge_websockets_closed_total{cause="slow"}`: 0,
		`moonbridge_websockets_closed_total{cause="drained"}`:  0,
		`moonbridge_websocket_messages_total{direction="in"}`:  in,
		`moonbridge_websocket_messages_total{direction="out"}`: out,
		"moonbridge_websocket_events_waiting":                  0, "moonbridge_websocket_message_bytes": 0,
	}
	eventually(t, "the ends are counted", func() bool { return s.figures()["moonbridge_websockets"] == 1 })
	f := s.figures()
	for name, n := range want {
		if got, there := f[name]; !there || got != float64(n) {
			t.Errorf("%s is %v, want %d", name, got, n)
		}
	}
	subscriber.Conn.Close()
	s.stop()
	s.wait("msg=websockets", "accepted=7 refused=1", fmt.Sprintf("in=%d out=%d", in, out), "closed_too_large=1")
	s.cleanUp()
}
