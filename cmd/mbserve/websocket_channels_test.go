package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// roomsScript accepts WebSockets with the options that its query has, as Lua. A POST is a piece of Lua.
const roomsScript = `@ local websocket, channel = require "moonbridge_websocket", require "moonbridge_channel"
local shared = require("moonbridge_shared").shared("ids", "64K", { keep = true })
channel.declare("room:*", { history = { messages = 3 }, presence = true, slow = 600 })
channel.declare("hasty:*", { slow = 0.1 })
websocket.handler("lua", { message = function(ws, text)
	local ok, result = pcall(assert((loadstring or load)("local ws, shared = ... " .. text)), ws, shared)
	ws:send(tostring(result))
end })
websocket.handler("told", { message = print, open = function(ws, lost) ws:send("lost: " .. tostring(lost)) end })
local function run(request, text)
	local f = assert((loadstring or load)("local request, channel, websocket = ... return " .. text))
	return f(request, channel, websocket)
end
local function send(from)
	local id = shared:get("wanted by " .. from)
	if id then
		shared:delete("wanted by " .. from)
		return websocket.send(id, "from " .. from)
	end
end
listen{ { proto = "tcp4", port = 0, localhost = true, http2 = "h2c" },
	{ proto = "interval", name = "tick", delay = 0.02, connect = function() send("a timer") end },
	min_fork = 2, prepare = function() send("prepare") end,
	connect = http.generate_handler(function(request)
		if request.method == "POST" then
			local result = tostring(run(request, request.body))
			request:send_status("200 OK")
			request:send_data(result)
			return
		end
		local options = run(request, request.get_params.o or "{}")
		if request.path == "blocking" then
			local ws = request:websocket(options)
			for data in ws:messages() do ws:send(data) end
			return
		end
		options.handler = options.handler or "lua"
		request:accept_websocket(options)
	end) }
listen{ port, connect = function(socket)
	socket:read("*l")
	send("a raw connection")
	socket:write("done\n")
end }`

func startRooms(t *testing.T, options ...string) *instance {
	t.Helper()
	a := newApplication(t)
	a.write(roomsScript)
	return start(t, spread(append(options, a.script)...)...)
}

// room opens a WebSocket with options, in Lua.
func (s *instance) room(options string) *socket {
	s.t.Helper()
	return openSocket(s.t, s.address(0), "/?o="+url.QueryEscape(options), "")
}

// A WebSocket is in the presence of its channels under its key, from its options or from ws:subscribe, until it leaves.
func TestWebSocketPresence(t *testing.T) {
	t.Parallel()
	s := startRooms(t)
	ann := s.room(`{ channels = { "room:a", "room:b" }, key = "Ann" }`)
	bob := s.room(`{ key = "Bob" }`)
	bob.asks(`ws:subscribe("room:a") return "subscribed"`, "subscribed")
	presence := func(want string) {
		t.Helper()
		eventually(t, "presence "+want, func() bool {
			return s.lua(0, `(function()
				local p = channel.presence("room:a")
				return ("%s Ann, %s Bob, %d"):format(p.Ann or "no", p.Bob or "no", channel.count("room:a"))
			end)()`) == want
		})
	}
	presence("1 Ann, 1 Bob, 2")
	again := s.room(`{ channels = "room:a", key = "Ann" }`)
	presence("2 Ann, 1 Bob, 3")
	bob.asks(`ws:unsubscribe("room:a") return "unsubscribed"`, "unsubscribed")
	presence("2 Ann, no Bob, 2")
	ann.Conn.Close()
	presence("1 Ann, no Bob, 1")
	again.says(`ws:close()`)
	again.leaves(1000)
	presence("no Ann, no Bob, 0")
}

// A client that comes back gets what it has missed, once, as far as the history has it.
func TestWebSocketResumes(t *testing.T) {
	t.Parallel()
	s := startRooms(t)
	id := s.lua(0, `channel.last_id()`)
	s.lua(0, `channel.publish("room:a", "one") and channel.publish("room:b", "two")`)
	resumes := func(id string, want ...string) {
		t.Helper()
		c := s.room(fmt.Sprintf(`{ channels = { "room:a", "room:b" }, last_id = %q }`, id))
		for _, text := range want {
			if got := c.hears(); got != text {
				t.Fatalf("after %s: %q, want %q", id, got, text)
			}
		}
		if n := s.lua(0, `channel.publish("room:b", "live")`); !strings.HasPrefix(n, "1") {
			t.Errorf("%s subscribers", n)
		}
		if got := c.hears(); got != "live" {
			t.Errorf("after %s: %q, want a new message", id, got)
		}
		c.Conn.Close()
		eventually(t, "it leaves", func() bool { return strings.HasPrefix(s.lua(0, `channel.count("room:b")`), "0") })
	}
	resumes(id, "one", "two")
	resumes(id, "one", "two", "live")
	resumes(s.lua(0, `channel.last_id()`))
	resumes(id, "one", "live", "live", "live") // three of room:b
}

// The open handler is told when messages are missing that the client has asked for.
func TestWebSocketLost(t *testing.T) {
	t.Parallel()
	s := startRooms(t)
	id := s.lua(0, `channel.last_id()`)
	told := func(options, want string) {
		t.Helper()
		c := s.room(`{ handler = "told", channels = "room:a"` + options + ` }`)
		for {
			if got := c.hears(); strings.HasPrefix(got, "lost: ") {
				if got != "lost: "+want {
					t.Errorf("%s: %s, want %s", options, got, want)
				}
				break
			}
		}
		c.Conn.Close()
	}
	for i := range 3 {
		s.lua(0, fmt.Sprintf(`channel.publish("room:a", "%d")`, i))
	}
	told("", "false")
	told(fmt.Sprintf(", last_id = %q", id), "false")
	told(`, last_id = "0"`, "false")
	told(`, last_id = "ffff-3"`, "true")
	s.lua(0, `channel.publish("room:a", "one more than the history has")`)
	told(fmt.Sprintf(", last_id = %q", id), "true")
	told(`, last_id = "0"`, "false")
}

// A subscriber that takes nothing is closed with 1013 after the time of its channel. Others are not.
func TestWebSocketSlowSubscriber(t *testing.T) {
	t.Parallel()
	s := startRooms(t, "--admin", loopbackPort)
	patient, hasty := s.room(`{ channels = "room:a" }`), s.room(`{ channels = "hasty:a" }`)
	count := func(name string) string { return s.lua(0, fmt.Sprintf(`("%%d"):format(channel.count(%q))`, name)) }
	for _, name := range []string{"room:a", "hasty:a"} { // more than sockets hold
		s.lua(0, fmt.Sprintf(`(function() for i = 1, 100 do channel.publish(%q, ("x"):rep(250000)) end end)()`, name))
	}
	eventually(t, "the hasty channel's subscriber is ended", func() bool { return count("hasty:a") == "0" })
	if n := count("room:a"); n != "1" {
		t.Errorf("the other channel has %s subscribers", n)
	}
	eventually(t, "the end is counted", func() bool { return s.figures()[`moonbridge_websockets_closed_total{cause="slow"}`] == 1 })
	func() {
		defer patient.failure()
		if got := patient.hears(); len(got) != 250000 {
			t.Errorf("%d bytes", len(got))
		}
	}()
	hasty.Conn.Close()
}

// The state is bounded, and a wrong value is an error of the handler that leaves it as it was.
func TestWebSocketState(t *testing.T) {
	t.Parallel()
	s := startRooms(t)
	c := s.room(`{ state = "first" }`)
	most := strings.Repeat("s", 4096)
	c.asks(`return ws.state`, "first")
	c.asks(`ws.state = ("s"):rep(4096)`, "nil")
	c.asks(`return ws.state`, most)
	for _, wrong := range []string{`ws.state = ("s"):rep(4097)`, `ws.state = 5`, `ws.state = nil`} {
		c.says(wrong + ` return "not sent"`)
		c.asks(`return #ws.state .. ws.state:sub(1, 1)`, "4096s")
	}
	c.asks(`ws.state = "a\0b"`, "nil")
	c.asks(`return #ws.state`, "3")
}

// websocket.send works in handlers of every kind.
func TestWebSocketSendFromAnywhere(t *testing.T) {
	t.Parallel()
	s := startRooms(t)
	c := s.room(`{}`)
	wanted := func(from string) {
		t.Helper()
		c.asks(fmt.Sprintf(`shared:set("wanted by %s", ws.id) return "wanted"`, from), "wanted")
	}
	heard := func(from string) {
		t.Helper()
		if got := c.hears(); got != "from "+from {
			t.Errorf("%q, want that %s sends", got, from)
		}
	}
	c.says(`shared:set("wanted by a timer", ws.id)`)
	if a, b := c.hears(), c.hears(); a+b != "nilfrom a timer" && b+a != "nilfrom a timer" {
		t.Errorf("%q, %q", a, b)
	}
	wanted("a raw connection")
	raw := dial(t, strings.TrimPrefix(field(s.wait("serves=raw"), "address"), "tcp://"))
	raw.say("go\n")
	heard("a raw connection")
	wanted("prepare")
	s.reload()
	heard("prepare")
}

// Messages beyond the rate wait, in order, and those of other clients do not.
func TestWebSocketRate(t *testing.T) {
	t.Parallel()
	s := startRooms(t)
	for _, path := range []string{"/?o=", "/blocking?o="} {
		text := func(n int) (say, hear string) {
			if hear = fmt.Sprint(n); path == "/?o=" {
				return "return " + hear, hear
			}
			return hear, hear
		}
		limited := openSocket(t, s.address(0), path+url.QueryEscape("{ rate = 20, burst = 2 }"), "")
		start := time.Now()
		for n := range 10 {
			say, _ := text(n)
			limited.says(say)
		}
		other := openSocket(t, s.address(0), path+"{}", "")
		for n := range 50 {
			other.asks(text(n))
		}
		other.Conn.Close()
		for n := range 10 {
			if _, want := text(n); limited.hears() != want {
				t.Errorf("%s: message %d is missing", path, n)
			}
		}
		if took := time.Since(start); took < 8*time.Second/20 {
			t.Errorf("%s: 10 messages in %v", path, took)
		}
		limited.Conn.Close()
	}
}
