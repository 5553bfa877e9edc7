package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mistake is a mistake in a script, and the message about it: the place, and parts of the text in order.
type mistake struct {
	name   string
	script string
	want   []string
}

// Mistakes that keep the server from starting: the message is its only output. The first part starts with the line.
var mistakesAtStart = []mistake{
	{"listen without a table", `listen("tcp4", 8080)`,
		[]string{"1: listen: one table expected, as in listen{ { proto = \"tcp4\"", "got string"}},
	{"listener without braces", `listen{ proto = "tcp4", port = 0, connect = print }`,
		[]string{`1: listen: "p`, `" belongs in a listener's own table, as in listen{ { proto = `}},
	{"listener without names", `listen{ { "tcp4", 8080 }, connect = print }`,
		[]string{"1: listen: listener 1 has an unexpected entry [", "values need names, as in {"}},
	{"proto missing", `listen{ { port = 8080 }, connect = print }`,
		[]string{"1: listen: listener 1: proto is missing", "interval, local, main, tcp, tcp4, tcp6"}},
	{"proto unknown", `listen{ { proto = "http", port = 8080 }, connect = print }`,
		[]string{`1: listen: listener 1: unknown proto "http"`, "interval, local, main, tcp, tcp4, tcp6"}},
	{"port missing", `listen{ { proto = "tcp4" }, connect = print }`, []string{"1: listen: listener 1: port is missing"}},
	{"port out of range", `listen{ { proto = "tcp4", port = -1 }, connect = print }`,
		[]string{"1: listen: listener 1: port: -1 is not in the range from 0 to 65535"}},
	{"parameter mistyped", `listen{ { proto = "tcp4", port = 0, locahost = true }, connect = print }`,
		[]string{`1: listen: listener 1: unknown parameter of proto tcp4: "locahost" (did you mean "localhost"?)`}},
	{"parameter of a wrong type", `listen{ { proto = "tcp4", port = 0, localhost = "yes" }, connect = print }`,
		[]string{"1: listen: listener 1: localhost: boolean expected, got string"}},
	{"mode as a number", `listen{ { proto = "local", path = "/tmp/x", mode = 660 }, connect = print }`,
		[]string{`1: listen: listener 1: mode: string expected, got number: write "0660"`}},
	{"parameter of another proto", `listen{ { proto = "tcp4", port = 0, host = "127.0.0.1" }, connect = print }`,
		[]string{`1: listen: listener 1: unknown parameter of proto tcp4: "host" is one of proto tcp`}},
	{"option of other servers", `listen{ { proto = "tcp4", port = 0 }, workers = 4, connect = print }`,
		[]string{`1: listen: unknown option "workers": what it does elsewhere is done by min_fork and max_fork here`}},
	{"option unknown", `listen{ { proto = "tcp4", port = 0 }, colour = 4, connect = print }`,
		[]string{`1: listen: unknown option "colour"; options are connect, connection_limit, error_page, exit_delay, `, "max_fork", "trusted_proxies"}},
	{"module of ours with a dot", `local http = require "moonbridge.http"`,
		[]string{"1: module 'moonbridge.http' not found: its name is 'moonbridge_http'"}},
	{"module of ours in capitals", `local http = require "Moonbridge-Shared"`,
		[]string{"1: module 'Moonbridge-Shared' not found: its name is 'moonbridge_shared'"}},
	{"a module with another separator", `require "moonbridge.websocket"`,
		[]string{"1: module 'moonbridge.websocket' not found: its name is 'moonbridge_websocket'"}},
	{"option mistyped", `listen{ { proto = "tcp4", port = 0 }, conect = print }`,
		[]string{`1: listen: unknown option "conect" (did you mean "connect"?)`}},
	{"option of a wrong type", `listen{ { proto = "tcp4", port = 0 }, max_fork = "3", connect = print }`,
		[]string{"1: listen: option max_fork: number expected, got string"}},
	{"rate of a limit missing", `local config = {}; listen{ { proto = "tcp4", port = 0 }, rate_limit = { rate = config.rate }, connect = require("moonbridge_http").generate_handler(print) }`,
		[]string{"1: listen: option rate_limit is an empty table: it needs rate"}},
	{"limits of connections missing", `listen{ { proto = "tcp4", port = 0 }, connection_limit = {}, connect = print }`,
		[]string{"1: listen: option connection_limit is an empty table: it needs rate or open"}},
	{"option negative", `listen{ { proto = "tcp4", port = 0 }, queue_limit = -3, connect = print }`,
		[]string{"1: listen: option queue_limit: -3 is not in the range from 0 to 4096"}},
	{"time negative", `listen{ { proto = "tcp4", port = 0 }, idle_timeout = -3, connect = print }`,
		[]string{"1: listen: option idle_timeout: must not be negative"}},
	{"function called instead of given", `listen{ { proto = "tcp4", port = 0 }, prepare = 7, connect = print }`,
		[]string{"1: listen: option prepare: function expected, got number"}},
	{"connect missing", `listen{ { proto = "tcp4", port = 0 } }`,
		[]string{"1: listen: listener 1: there is no connect handler, neither here nor in the pool's options"}},
	{"timer with an HTTP handler", `local http = require "moonbridge_http"
listen{ { proto = "interval", delay = 1 }, connect = http.generate_handler(print) }`,
		[]string{"2: listen: listener 1: the pool's connect is an HTTP handler, but a timer has no requests"}},
	{"generate_handler without a function", `local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 0 }, connect = http.generate_handler{ chunk_size = 4096 } }`,
		[]string{"2: generate_handler: there is no callback function among the arguments"}},
	{"handler option mistyped", `local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 0 }, connect = http.generate_handler(print, { body_size_limit = 1 }) }`,
		[]string{"2: generate_handler: unknown option 'body_size_limit'; valid options are", "request_body_size_limit"}},
	{"handler option negative", `local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 0 }, connect = http.generate_handler(print, { request_body_size_limit = -1 }) }`,
		[]string{"2: generate_handler: option 'request_body_size_limit' is out of range"}},
	{"handler option of a wrong type", `local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 0 }, connect = http.generate_handler(print, { chunk_size = "1k" }) }`,
		[]string{"2: generate_handler: option 'chunk_size' must be a number of bytes, not a string"}},
	{"static header without a colon", `local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 0 }, connect = http.generate_handler(print, { static_headers = "X-Frame" }) }`,
		[]string{"2: generate_handler: option 'static_headers': a line without a colon: 'X-Frame'"}},
	{"module not loaded", `listen{ { proto = "tcp4", port = 0 }, connect = http.generate_handler(print) }`,
		[]string{"1: attempt to index ", "global 'http'"}},
	{"module not found", "\nlocal redis = require \"redis.client\"", []string{"2: module 'redis.client' not found", "no file"}},
	{"syntax", "listen{\n\t{ proto = \"tcp4\" port = 0 },\n}", []string{"2: '}' expected", "near 'port'"}},
	{"error that is a table", "local function load()\n\terror{ code = 7 }\nend\nload()",
		[]string{"", "error object of type table: code = 7", "script.lua:2: in "}},
	{"timeout outside a handler", "timeout(5)",
		[]string{"1: timeout: only prepare, connect and finish handlers can set it"}},
	{"nothing to do", `print "hello"`, []string{" the script has not called listen"}},
}

func TestMistakesAtStart(t *testing.T) {
	t.Parallel()
	for _, m := range mistakesAtStart {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			_, stderr := runToEnd(t, 3, writeScript(t, m.script))
			place := "script.lua:"
			if m.want[0] == "" { // the place is in the traceback
				place = ""
			}
			checkMessage(t, stderr, append([]string{place + m.want[0]}, m.want[1:]...)...)
		})
	}
	t.Run("port in use", func(t *testing.T) {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		port := ln.Addr().(*net.TCPAddr).Port
		_, stderr := runToEnd(t, 3, writeScript(t,
			fmt.Sprintf("listen{ { proto = \"tcp4\", port = %d, localhost = true }, connect = print }", port)))
		checkMessage(t, stderr, "script.lua:1: listen: ", fmt.Sprintf("127.0.0.1:%d", port), "address already in use")
	})
}

func writeScript(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.lua")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Mistakes in an HTTP handler: each is a case in one script and starts at its line 6. The log line names the request.
var mistakesInHandlers = []mistake{
	{"header before status", `request:send_header("A", "b")`, []string{"send_header: no status has been sent yet"}},
	{"data before status", `request:send_data("x")`, []string{"send_data: no status has been sent yet"}},
	{"finish before status", `request:finish()`, []string{"finish: no status has been sent yet"}},
	{"second status", `request:send_status("200 OK") request:send_status("200 OK")`, []string{"send_status: a status has already been sent"}},
	{"status without a number", `request:send_status("OK")`, []string{`send_status: a status is three digits, optionally followed by a space and a text, as in`}},
	{"status missing", `request:send_status()`, []string{"bad argument #1 to 'send_status' (string expected, got no value)"}},
	{"status with a line break", `request:send_status("200 OK\r\nA: b")`, []string{"send_status: a status must not contain control characters such as line breaks"}},
	{"header with a line break", `request:send_status("200 OK") request:send_header("Location", "/a\nb")`,
		[]string{"send_header: a header must not contain control characters such as line breaks"}},
	{"header in one argument", `request:send_status("200 OK") request:send_header("A: b")`,
		[]string{"bad argument #2 to 'send_header' (string expected, got no value)"}},
	{"header with a table", `request:send_status("200 OK") request:send_header("A", {})`,
		[]string{"bad argument #2 to 'send_header' (string expected, got table)"}},
	{"header with a boolean", `request:send_status("200 OK") request:send_header("A", true)`,
		[]string{"bad argument #2 to 'send_header' (string expected, got boolean)"}},
	{"header name with a colon", `request:send_status("200 OK") request:send_header("A:", "b")`,
		[]string{"send_header: the name of a header consists of letters, digits and hyphens"}},
	{"length negative", `request:send_status("200 OK") request:send_header("Content-Length", -1)`,
		[]string{"send_header: Content-Length must be a whole number of bytes"}},
	{"header after data", `request:send_status("200 OK") request:send_data("x") request:send_header("A", "b")`,
		[]string{"send_header: the header section is already finished"}},
	{"data after finish", `request:send_status("200 OK") request:finish() request:send_data("x")`,
		[]string{"send_data: the response is already finished"}},
	{"data without a body", `request:send_status("204 No Content") request:send_data("x")`,
		[]string{"send_data: a response with status 204 has no body"}},
	{"data beyond the length", `request:send_status("200 OK") request:send_header("Content-Length", 3) request:send_data("abcd")`,
		[]string{"send_data: more data than the Content-Length that was sent (3)"}},
	{"no status at all", ``, []string{"the handler has sent no status: it returned without calling send_status"}},
	{"less data than the length", `request:send_status("200 OK") request:send_header("Content-Length", 3) request:send_data("a")`,
		[]string{"finish: less data (1 bytes) than the Content-Length that was sent (3)"}},
	{"method with a dot", `request.send_status("200 OK")`,
		[]string{"bad argument #1 to 'send_status' (request expected: call it as a method, with a colon)"}},
	{"body and form", `local b = request.body local p = request.post_params`,
		[]string{"request.post_params: the request body has already been read as request.body"}},
	{"form and body", `local p = request.post_params local b = request.body`,
		[]string{"request.body: the request body has already been read as a form"}},
	{"body and stream", `local b = request.body request:stream_request_body(print)`,
		[]string{"stream_request_body: the request body has already been read as request.body"}},
	{"stream registered too late", `request:send_status("200 OK") request:stream_post_param("a", print)`,
		[]string{"stream_post_param: the request body has already been read as a form"}},
	{"stream without a function", `request:stream_post_param("a")`,
		[]string{"bad argument #2 to 'stream_post_param' (function expected, got no value)"}},
	{"stream without a name", `request:stream_post_param(print)`,
		[]string{"bad argument #1 to 'stream_post_param' (string expected, got function)"}},
	{"pattern malformed", `request:stream_post_params("[", print)`, []string{"stream_post_params: pattern '[': malformed pattern"}},
	{"field mistyped", `local n = request.get_parms.name`, []string{"attempt to index ", "field 'get_parms'"}},
	{"method mistyped", `request:send("x")`, []string{"attempt to call ", "method 'send'"}},
	{"listen in a handler", `listen{ { proto = "tcp4", port = 0 }, connect = print }`,
		[]string{"listen() must be called by the script itself, not from a handler"}},
	{"module not found", `local m = require "no.such.module"`, []string{"module 'no.such.module' not found"}},
	{"handler called in a handler", `require("moonbridge_http").generate_handler(print)(request)`,
		[]string{"handler: called while a request is already being handled; only a connect handler may call it"}},
	{"timeout negative", `timeout(-1)`, []string{"timeout: seconds are out of range (0 to 1e9)"}},
	{"timeout with a text", `timeout("soon")`, []string{"timeout: seconds must be a number, not a string"}},
	{"timeout without a function", `timeout(1, 2)`, []string{"timeout: argument 2 must be a function, not a number"}},
	{"timeout over", `timeout(0.01) while true do end`, []string{"timeout: still running, ending the worker"}},
}

func TestMistakesInHandlers(t *testing.T) {
	t.Parallel()
	for _, m := range mistakesInHandlers {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, writeScript(t, fmt.Sprintf(`local http = require "moonbridge_http"

listen{
	{ proto = "tcp4", port = 0, localhost = true },
	max_fork = 1,
	connect = http.generate_handler(function(request) %s end),
}
`, m.script)))
			resp, _ := answer(t, "POST", s.url("/page"), "application/x-www-form-urlencoded", "a=b")
			line := s.wait("path=/page", "script.lua:6: "+m.want[0])
			wantParts(t, line, m.want[1:])
			if want := 500; resp.StatusCode != want && !strings.HasSuffix(m.name, "after finish") && !strings.HasPrefix(m.name, "timeout over") {
				t.Errorf("%s, want %d", resp.Status, want)
			}
		})
	}
}

func wantParts(t *testing.T, line string, parts []string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(line, part) {
			t.Errorf("no %q in %q", part, line)
		}
	}
}

// Mistakes with sockets, in the same way.
var mistakesWithSockets = []mistake{
	{"HTTP callback as connect", `socket:send_status("200 OK")`,
		[]string{"socket: send_status is a method of HTTP requests: connect must be what generate_handler returns"}},
	{"method with a dot", `socket.write("x")`, []string{"bad argument #1 to 'write' (socket expected: call it as a method, with a colon)"}},
	{"format unknown", `socket:read("*x")`, []string{"read: unknown format '*x'; valid formats are"}},
	{"format of a wrong type", `socket:read({})`, []string{"read: argument 1 must be a format or a number of bytes, not a table"}},
	{"writing a table", `socket:write("x", {})`, []string{"write: argument 2 must be a string or a number, not a table"}},
	{"writing nil", `socket:write(nil)`, []string{"write: argument 1 must be a string or a number, not a nil"}},
	{"terminator of two bytes", `socket:readuntil("\r\n")`, []string{"readuntil: the terminator must be one byte, not 2"}},
	{"terminator missing", `socket:readuntil()`, []string{"readuntil: the terminator must be a string of one byte"}},
	{"length negative", `socket:readuntil("\n", -1)`, []string{"readuntil: maxlen must be a whole number of 0 or more"}},
	{"writing after close", `socket:close() socket:write("x")`, []string{"write: the socket is closed"}},
	{"reading after close", `socket:close() socket:read("*l")`, []string{"read: the socket is closed"}},
	{"close with a text", `socket:close("soon")`, []string{"close: timeout must be a number of seconds, not a string"}},
	{"close with a negative time", `socket:close(-1)`, []string{"close: timeout is out of range (0 to 1e9 seconds)"}},
	{"field mistyped", `local ip = socket.remote_ip .. ""`, []string{"attempt to concatenate ", "field 'remote_ip'"}},
	{"HTTP handler without the socket", `require("moonbridge_http").generate_handler(print)()`,
		[]string{"handler: expected the socket of the connect handler as its argument, got a nil"}},
	{"error that is a table", `error{ code = 7, {}, [print] = 1 }`, []string{}},
}

func TestMistakesWithSockets(t *testing.T) {
	t.Parallel()
	for _, m := range mistakesWithSockets {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, writeScript(t, fmt.Sprintf(`listen{
	{ proto = "tcp4", port = 0, localhost = true },
	max_fork = 1,
	connect = function(socket) assert(socket:read(1)) %s end,
}
`, m.script)))
			address := strings.TrimPrefix(field(s.wait("msg=listening"), "address"), "tcp://")
			p := dial(t, address)
			p.say("x")            // the handler waits for this: if it failed before, the connection could be reset before the client has it
			if len(m.want) == 0 { // the place is in the traceback
				s.wait(`msg="error object of type table: code = 7"`, "in=connection", "script.lua:4: in ")
				return
			}
			wantParts(t, s.wait("in=connection", "script.lua:4: "+m.want[0]), m.want[1:])
			p.hearsBreak()
		})
	}
}

// An object that is used after its exchange raises an error that says so.
func TestMistakeKeptRequest(t *testing.T) {
	t.Parallel()
	s := start(t, writeScript(t, `local http = require "moonbridge_http"
local kept
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	max_fork = 1,
	connect = http.generate_handler(function(request)
		if kept then kept:send_data("late") end
		kept = request
		request:send_status("200 OK")
	end),
}
`))
	get(t, s.url("/first"))
	if got := status(t, "GET", s.url("/second")); got != 500 {
		t.Errorf("status %d, want 500", got)
	}
	s.wait("path=/second", "script.lua:7: request: the exchange is over: its handler has returned")
}

// An unknown field of a request is nil, so that scripts can check for features of later versions.
func TestMistakeUnknownField(t *testing.T) {
	t.Parallel()
	s := start(t, writeScript(t, `local http = require "moonbridge_http"
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(request.no_such_field == nil and "nil" or "something")
	end),
}
`))
	if got := get(t, s.url("/")); got != "nil" {
		t.Errorf("got %q", got)
	}
}

// Errors of prepare and finish are logged with their place.
func TestMistakesInHooks(t *testing.T) {
	t.Parallel()
	s := start(t, writeScript(t, `listen{
	{ proto = "interval", delay = 3600 },
	connect = print,
	prepare = function() error("no database") end,
}
`))
	wantParts(t, s.wait("in=prepare"), []string{"level=ERROR", "script.lua:4: no database", "stack traceback"})

	s = start(t, writeScript(t, `listen{
	{ proto = "interval", delay = 3600 },
	connect = print,
	finish = function() error("cannot close") end,
}
`))
	s.stop()
	s.wait("level=ERROR", "in=finish", "script.lua:4: cannot close", "stack traceback")
}
