package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// refusals adds up the counts of the lines with a message and a cause, and returns the last total.
func refusals(t *testing.T, log, message, cause string) (count, total int) {
	t.Helper()
	for line := range strings.Lines(log) {
		if field(line, "msg") == message && field(line, "cause") == cause {
			count += number(t, field(line, "count"))
			total = number(t, field(line, "total"))
		}
	}
	return count, total
}

// occupy repeats what ask does, until the only worker says that it is waiting. On a busy machine the queue may give it up before.
// It returns how often that happened.
func (s *instance) occupy(ask func() (net.Conn, *bufio.Reader)) (refused int) {
	s.t.Helper()
	from := s.log.size()
	c, r := ask()
	eventually(s.t, "the worker is occupied", func() bool {
		over := peekEnd(c, r)
		if strings.Contains(s.log.String()[from:], "msg=waiting") {
			return true
		}
		if over {
			refused++
			c, r = ask()
		}
		return false
	})
	return refused
}

// peekEnd waits for a moment, and reports whether the server has answered, or has ended the connection.
func peekEnd(c net.Conn, r *bufio.Reader) bool {
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := r.Peek(1)
	c.SetReadDeadline(time.Now().Add(2 * patience))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// occupyRaw does so on a raw listener, whose handler waits when it gets this line.
func (s *instance) occupyRaw() (busy *lines, refused int) {
	s.t.Helper()
	refused = s.occupy(func() (net.Conn, *bufio.Reader) {
		busy = dialLines(s.t, "tcp", rawAddress(s.t, s, 0))
		fmt.Fprintln(busy, "wait")
		return busy.Conn, busy.r
	})
	return busy, refused
}

// occupyHTTP does so on an HTTP listener.
func (s *instance) occupyHTTP() (busy *peer, refused int) {
	s.t.Helper()
	refused = s.occupy(func() (net.Conn, *bufio.Reader) {
		busy = dial(s.t, s.address(0))
		busy.get("/wait")
		return busy.Conn, busy.r
	})
	return busy, refused
}

// refusedRaw makes a connection, and expects it to be reset. That may happen before the client knows that it is connected.
func refusedRaw(t *testing.T, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * patience))
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v, want a reset", err)
	}
}

// Every 503 is counted by cause, whether the request waited or not. The last ones are reported too.
func TestRefusedRequestsAreCounted(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/queue.lua", fifo)
	busy, before := s.occupyHTTP()
	const n = 12
	var waiting [n]*peer
	for i := range waiting {
		waiting[i] = dial(t, s.address(0))
		waiting[i].get("/some/page?secret")
	}
	for _, p := range waiting {
		p.hears(503)
	}
	eventually(t, "all of them are told", func() bool {
		log := s.log.String()
		full, fullTotal := refusals(t, log, "requests refused", "queue_limit")
		late, lateTotal := refusals(t, log, "requests refused", "queue_timeout")
		return full+late == before+n && fullTotal == full && lateTotal == late && full > 0 && late > 0
	})
	line := s.wait("requests refused", "cause=queue_timeout", "/some/page")
	if !regexp.MustCompile(`level=WARN .*pool=0 status=503 .*client=127\.0\.0\.1:\d+ method=GET path=/some/page request_id=\w+-0-\d+\n$`).MatchString(line) {
		t.Errorf("%s", line)
	}
	if strings.Contains(s.log.String(), "secret") {
		t.Error("the log has a query")
	}
	open()
	busy.hears(200)
}

// The same for raw connections.
func TestRefusedConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	fifo, open := newFIFO(t)
	s := start(t, "testdata/limit_queue.lua", fifo)
	busy, before := s.occupyRaw()
	const n = 6
	for range n {
		refusedRaw(t, rawAddress(t, s, 0))
	}
	eventually(t, "all of them are told", func() bool {
		log := s.log.String()
		full, _ := refusals(t, log, "connections refused", "queue_limit")
		late, _ := refusals(t, log, "connections refused", "queue_timeout")
		return full+late == before+n && late > 0
	})
	s.wait("level=WARN", "connections refused", "client=127.0.0.1:")
	open()
	busy.end()
}

// Requests refused without a handler are logged with the reason, on a listener of the server and on a raw connection of a worker.
func TestRefusedWithReason(t *testing.T) {
	t.Parallel()
	script := writeScript(t, `local http = require "moonbridge_http"
local handler = http.generate_handler({ request_header_timeout = 0.3, stall_timeout = 0.3 }, function(request)
	request:send_status("200 OK")
	request:send_data(request.post_params.a or "")
end)
listen{
	{ proto = "tcp4", port = 0, localhost = true, connect = handler },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) return handler(socket) end },
}
`)
	for _, raw := range []bool{false, true} {
		s := start(t, script)
		address := s.address(0)
		if raw {
			address = rawAddress(t, s, 0)
		}
		for _, c := range []struct{ text, log string }{
			{"GET /a HTTP/1.1\r\n\r\n", `status=400 cause="no Host field" count=1 total=1 client=CLIENT method=GET path=/a`},
			{"\x16\x03\x01\r\n", `status=400 cause="malformed method" count=1 total=1 client=CLIENT`},
			{"GET / HTTP/3.0\r\n\r\n", `status=505 cause="HTTP version other than 1.x" count=1 total=1 client=CLIENT method=GET path=/`},
			{"GET /slow HTTP/1.1\r\n", `status=408 cause="request head not received in time" count=1 total=1 client=CLIENT method=GET path=/slow`},
			{"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nx", `status=408 cause="request body not received in time" count=1 total=1 client=CLIENT method=POST path=/b`},
			{"POST /form HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 4\r\n\r\nxxxx",
				`status=400 cause="request body: multipart body without closing boundary" count=1 total=1 client=CLIENT method=POST path=/form request_id=`},
		} {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(patience))
			fmt.Fprint(conn, c.text)
			want := strings.ReplaceAll(c.log, "CLIENT", conn.LocalAddr().String())
			line := s.wait(`level=INFO msg="requests refused"`, strings.SplitAfter(c.log, " count")[0])
			if !strings.Contains(line, want) {
				t.Errorf("raw: %v: %s\nwant %s", raw, line, want)
			}
			conn.Close()
		}
	}
}

// The id of a request is the same in the record of its error, for the handler and in the access log, with and without one, and if
// requests are only counted.
func TestRequestIDsAgree(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--admin", loopbackPort}, {"--access-log", "-"}} {
		s := start(t, append(args, writeScript(t, `local http = require "moonbridge_http"
local handler = http.generate_handler(function(request)
	io.stderr:write("id ", request.id, "\n")
	error("on purpose")
end)
listen{
	{ proto = "tcp4", port = 0, localhost = true, connect = handler },
	{ proto = "tcp4", port = 0, localhost = true, connect = function(socket) return handler(socket) end },
}
`))...)
		seen := map[string]bool{}
		for _, c := range []struct{ address, fields, want string }{
			{s.address(0), "", ""}, {s.address(0), "", ""}, {s.address(0), "X-Request-Id: from-a-proxy\r\n", "from-a-proxy"},
			{rawAddress(t, s, 0), "", ""}, {rawAddress(t, s, 0), "X-Request-Id: from-another\r\n", "from-another"},
		} {
			from := s.log.size()
			sayRaw(t, c.address, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"+c.fields+"\r\n")
			id := field(s.log.wait(t, from, "level=ERROR", "on purpose"), "request_id")
			s.log.wait(t, from, `msg="id `+id+`"`)
			if c.want != "" && id != c.want || len(id) < 8 || seen[id] {
				t.Errorf("id %q, want %q; others %v", id, c.want, seen)
			}
			seen[id] = true
			if len(args) > 0 && args[0] == "--access-log" && c.address == s.address(0) {
				s.out.wait(t, 0, " "+id+" ")
			}
		}
	}
}

// A handler that is killed has the same id in what the server says of it as in what the handler itself has said, and on the status page.
func TestRequestIDsOfKilled(t *testing.T) {
	t.Parallel()
	s := start(t, "--admin", loopbackPort, writeScript(t, `local http = require "moonbridge_http"
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	request_timeout = 0.5, min_fork = 1, max_fork = 1,
	connect = http.generate_handler(function(request)
		io.stderr:write("id ", request.id, "\n")
		timeout(0)
		string.rep("x", 1e5):find(("x*"):rep(50) .. "y") -- Lua cannot be interrupted here
	end),
}
`))
	for _, c := range []struct{ fields, want string }{{"", ""}, {"X-Request-Id: from-a-proxy\r\n", "from-a-proxy"}, {"X-Request-Id: bad id\r\n", ""}} {
		id := ""
		eventually(t, "the handler has said its id before the end", func() bool {
			from := s.log.size()
			p := dial(t, s.address(0))
			p.say("GET /hangs HTTP/1.1\r\nHost: h\r\n%s\r\n", c.fields)
			p.hears(504)
			id = field(s.log.wait(t, from, "request_timeout", "request_id="), "request_id")
			return holds(time.Second, func() bool { return strings.Contains(s.log.String()[from:], `msg="id `+id+`"`) })
		})
		if c.want != "" && id != c.want || len(id) < 8 {
			t.Errorf("the id is %q, want %q", id, c.want)
		}
	}
}

// In JSON an error is one object too, whatever is in its text.
func TestErrorInJSON(t *testing.T) {
	t.Parallel()
	s := launch(t, "--log-format", "json", writeScript(t, `local http = require "moonbridge_http"
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "interval", delay = 3600, name = "first", strict = true, connect = print },
	prepare = function() if os.getenv("NEVER") then error("x") end end,
	finish = function() error("at the end") end,
	connect = http.generate_handler(function(request)
		error("bad packet \0\1\2\"\n\255 from " .. request.path)
	end),
}
`))
	s.wait(`"msg":"ready"`)
	_, rest, _ := strings.Cut(s.wait(`"msg":"listening"`), "http://")
	address, _, _ := strings.Cut(rest, "/")
	sayRaw(t, address, "GET /device/5 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	type record struct {
		Level, Msg, In, Method, Path, Traceback, Client string
		RequestID                                       string `json:"request_id"`
		Pool, Pid                                       int
	}
	read := func(part string) (r record) {
		t.Helper()
		line := s.wait(part)
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		return r
	}
	r := read("bad packet")
	if !strings.HasSuffix(r.Msg, `script.lua:8: bad packet \x00\x01\x02"`+"\n"+`\xff from device/5`) || r.Level != "ERROR" || r.In != "request" ||
		r.Method != "GET" || r.Path != "/device/5" || r.RequestID == "" || r.Pid == 0 || r.Client == "" ||
		!strings.HasPrefix(r.Traceback, "stack traceback:\n\t") || !strings.Contains(r.Traceback, "script.lua:8: in function") {
		t.Errorf("%+v", r)
	}
	s.stop()
	if r := read("at the end"); r.Level != "ERROR" || r.In != "finish" || !strings.Contains(r.Traceback, "script.lua:6: in function") {
		t.Errorf("%+v", r)
	}
	for line := range strings.Lines(s.log.all(t)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no object: %s", line)
		}
	}
}
