package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"moonbridge/handler/websocket/wstest"
)

const blockingScript = "testdata/websocket_blocking.lua"

// notes is a file in which the script writes.
func notes(t *testing.T) (has func(text string)) {
	file := filepath.Join(t.TempDir(), "notes")
	t.Setenv("WS_NOTES", file)
	return func(text string) {
		t.Helper()
		eventually(t, "notes of the script: "+text, func() bool {
			b, _ := os.ReadFile(file)
			return string(b) == text
		})
		os.Remove(file)
	}
}

// What a script can do with a WebSocket that its worker has to itself.
func TestWebSocketBlocking(t *testing.T) {
	overBoth(t, func(t *testing.T, open func(*instance, string) *socket) {
		has := notes(t)
		s := start(t, blockingScript)
		c := open(s, "")
		for _, tt := range [][2]string{
			{"echo hello", "hello"}, {"echo ", ""}, {"timeout", "nil timeout"}, {"echo x", "x"}, {"misuse", "false"}, {"keep", "kept"},
		} {
			c.asks(tt[0], tt[1])
		}
		for n := range 200 {
			c.says(fmt.Sprintf("echo %d", n))
		}
		for n := range 200 {
			if got := c.hears(); got != strconv.Itoa(n) {
				t.Fatalf("%q, want %d", got, n)
			}
		}
		c.asks("echo "+strings.Repeat("é", 400_000), strings.Repeat("é", 400_000)) // more than the windows have
		c.says("large 1000000")
		if got := c.hears(); len(got) != 1_000_000 {
			t.Errorf("%d bytes", len(got))
		}
		c.says("many 3000") // more than is held for a client
		for n := range 3000 {
			if got := c.hears(); got != fmt.Sprintf("%d:%s", n+1, strings.Repeat("x", 1000)) {
				t.Fatalf("%d: %.20q", n, got)
			}
		}
		has("sent all\n")
		c.says("close bye")
		c.leaves(4000)
		has("send nil closed\nreceive nil closed 4000 bye\nreceive nil closed 4000 bye\nsend nil closed 4000 bye\n")

		c = open(s, "compress=takeover")
		c.asks("echo "+strings.Repeat("a", 1000), strings.Repeat("a", 1000))
		c.says("return")
		c.leaves(1000)
		response, err := http.Get(s.url("/"))
		http.DefaultClient.CloseIdleConnections()
		if err != nil || response.StatusCode != 426 {
			t.Errorf("a request that asks for no WebSocket: %v, %v", response, err)
		}
		small := open(s, "max=10")
		small.says("echo 123456")
		small.leaves(1009)
	})
}

// Whatever ends the client, receive says it; whatever ends the handler, the client is told.
func TestWebSocketBlockingEnds(t *testing.T) {
	has := notes(t)
	s := launch(t, blockingScript)
	s.wait("msg=ready")
	c := s.socket("")
	c.says("leaves")
	c.Send(wstest.Frame{Bits: wstest.Fin, Opcode: wstest.CloseFrame, Payload: wstest.ClosePayload(4321, "good\x00bye")})
	c.leaves(4321)
	has("nil closed 4321 good\x00bye\n")
	c = s.socket("")
	c.says("leaves")
	c.Conn.Close()
	has("nil closed 1006 \n")
	c = s.socket("")
	c.says("many 100000") // it takes nothing, and goes
	c.hears()
	c.Conn.Close()
	has("stopped\n")
	c = s.socket("push=1")
	for range 3 {
		if got := c.hears(); got != "tick" {
			t.Errorf("%q", got)
		}
	}
	c.Conn.Close()
	has("push ended\n")
	for _, what := range []string{"fails", "exits"} {
		c := s.socket("")
		c.says(what)
		c.leaves(1011)
	}
	s.wait("failed on purpose")
	s.stop()
	s.cleanUp()
}

// request_timeout limits what the handler does with a message, or when the connection has ended, not how long it waits for that.
func TestWebSocketBlockingTimeout(t *testing.T) {
	t.Parallel()
	// On a busy machine, what takes no time may take a second.
	s := launchWith(t, program(t), nil, []string{"WS_LIMIT=3", "WS_GO_ON=" + filepath.Join(t.TempDir(), "never")}, blockingScript)
	s.wait("msg=ready")
	idle, c := s.socket(""), s.socket("")
	for range 2 {
		c.says("waits")
		if got := c.hears(); got != "begins" {
			t.Errorf("%q", got)
		}
		c.leaves(1011)
		c = s.socket("")
	}
	idle.asks("echo still here", "still here") // it has waited for longer than the limit
	s.wait("request_timeout")
	c.says("lingers")
	c.Conn.Close()
	eventually(t, "a handler whose client has gone is ended", func() bool {
		return strings.Count(s.log.String(), "request_timeout: ending the worker") == 3
	})
	idle.Conn.Close()
}

// A handler that waits for a message is told of a reload and of a stop; one that is at a message may answer first.
func TestWebSocketBlockingReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go-on")
	t.Setenv("WS_GO_ON", file)
	s := start(t, blockingScript)
	waiting, busy := s.socket(""), s.socket("")
	waiting.asks("echo 1", "1")
	busy.says("waits")
	if got := busy.hears(); got != "begins" {
		t.Errorf("%q", got)
	}
	s.mustReload()
	waiting.leaves(1012)
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := busy.hears(); got != "ends" {
		t.Errorf("%q", got)
	}
	busy.leaves(1012)
	s.wait("the replaced script has ended")
	again := s.socket("")
	again.asks("echo 1", "1")
	s.signal(syscall.SIGTERM)
	again.leaves(1001)
	s.exit(0)
}

// The cases of Autobahn's suite, through a loop in Lua.
func TestWebSocketBlockingCases(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@ listen{ port, connect = http.generate_handler(function(request)
	local ws = request:websocket{ compress = true }
	for data, kind in ws:messages() do ws:send(data, kind) end
end) }`)
	s := start(t, a.script)
	for _, k := range wstest.Cases(1, 1<<18) {
		if chapter, _, _ := strings.Cut(k.ID, "."); chapter == "12" || chapter == "13" {
			continue
		}
		if err := k.Run(func() (net.Conn, error) { return net.Dial("tcp", s.address(0)) }, "/"); err != nil {
			t.Errorf("%s: %v", k.ID, err)
		}
	}
}
