package main

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"moonbridge/cmd/mbserve/crash"
	"moonbridge/handler/websocket/wstest"
)

// saysTogether sends texts with one write, so that they arrive together.
func (c *socket) saysTogether(texts ...string) {
	var frames []wstest.Frame
	for _, text := range texts {
		frames = append(frames, wstest.Frame{Bits: wstest.Fin, Opcode: wstest.Text, Payload: []byte(text)})
	}
	c.Send(frames...)
}

// Messages that arrive together are one exchange. A script cannot tell: the state, failures and the end are those of one message each.
func TestWebSocketTogether(t *testing.T) {
	t.Parallel()
	s := launch(t, "testdata/websocket.lua")
	s.wait("msg=ready")
	for _, tt := range []struct {
		name, query string
		messages    []string
		answers     string
		code        int // of a close frame after them; 0: the connection stays
	}{
		{"the state", "", []string{"count", "count", "echo x", "count"}, "1 2 x 3", 0},
		{"kinds of objects", "", []string{"keep", "kept", "id x"}, "kept false ID", 0},
		{"an error", "", []string{"count", "fails", "count", "fails", "fails", "count"}, "1 2 3", 0},
		{"an error in the first one", "", []string{"fails", "echo b"}, "b", 0},
		{"an error in the last one", "", []string{"echo a", "fails"}, "a", 0},
		{"a worker that dies", "", []string{"count", "dies", "count", "exits", "count", "dies"}, "1 2 3", 0},
		{"strict and an error", "&on_error=close", []string{"echo a", "fails", "echo b"}, "a", 1011},
		{"strict and a worker that dies", "&on_error=close", []string{"echo a", "dies", "echo b"}, "a", 1011},
		{"a limit of the script", "", []string{"count", "limited 0.05", "count"}, "1 2", 0},
		{"strict and a limit of the script", "&on_error=close", []string{"count", "limited 0.05", "count"}, "1", 1011},
		{"a limit that ends with its message", "", []string{"limit 0.3", "sleeps 0.4", "limit 1", "limit 1"}, "false slept false false", 0},
		{"a worker that wants to end", "", []string{"count", "retires", "count", "retires", "count"}, "1 2 3", 0},
		{"a close", "", []string{"echo a", "close bye", "echo b"}, "a", 4000},
		{"slow ones", "", []string{"echo a", "sleeps 0.01", "echo b", "sleeps 0.01"}, "a slept b slept", 0},
		{"a large one between", "", []string{"echo a", "echo " + strings.Repeat("x", 100_000), "echo b"}, "a " + strings.Repeat("x", 100_000) + " b", 0},
		{"large answers", "", []string{"large 400000", "large 400000", "echo c"}, strings.Repeat("y", 400_000) + " " + strings.Repeat("y", 400_000) + " c", 0},
	} {
		c := s.socket("handler=quiet" + tt.query)
		c.saysTogether(tt.messages...)
		var got []string
		for range strings.Fields(tt.answers) {
			answer := c.hears()
			if strings.Contains(answer, "-") {
				answer = "ID"
			}
			got = append(got, answer)
		}
		if all := strings.Join(got, " "); all != tt.answers {
			t.Errorf("%s: %.200q, want %.200q", tt.name, all, tt.answers)
		}
		if tt.code != 0 {
			c.closes(tt.code)
			continue
		}
		c.asks("echo more", "more")
		c.Conn.Close()
	}
	s.stop()
	s.cleanUp()
}

// What a message has subscribed and sent comes before what the next one publishes and sends by the id.
func TestWebSocketTogetherOrder(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/websocket.lua")
	c := s.socket("handler=quiet")
	c.says("id")
	id := c.hears()
	for n := range 200 {
		c.saysTogether("echo first", "to "+id+" second", "subscribe room", "publish third")
		var got []string
		for range 6 {
			got = append(got, c.hears())
		}
		if i := slices.Index(got, "third"); i < 0 || !slices.Equal(slices.Delete(got, i, i+1), []string{"first", "second", "true", "subscribed", "to 1"}) {
			if n == 0 || !t.Failed() {
				t.Errorf("round %d: %q", n, got)
			}
			return
		}
		c.asks("unsubscribe room", "unsubscribed")
	}
}

// A handler that closes the connection by its id gets no further message of it.
func TestWebSocketTogetherClosedByID(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/websocket.lua")
	other := s.socket("handler=quiet")
	other.says("id")
	id := other.hears()
	for range 30 {
		c := s.socket("handler=quiet")
		c.saysTogether("echo a", "ends", "to "+id+" late", "to "+id+" late")
		if got := c.hears(); got != "a" {
			t.Errorf("%q", got)
		}
		c.closes(4000)
		other.asks("echo x", "x")
	}
}

// Many clients send many messages at once: all are answered, in order.
func TestWebSocketTogetherMany(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/websocket.lua")
	var clients []*socket
	const rounds, each = 20, 100
	for range 8 {
		clients = append(clients, s.socket("handler=quiet"))
	}
	for range rounds {
		for _, c := range clients {
			c.saysTogether(slices.Repeat([]string{"count"}, each)...)
		}
	}
	for _, c := range clients {
		for n := range rounds * each {
			if got := c.hears(); got != strconv.Itoa(n+1) {
				t.Fatalf("%q, want %d", got, n+1)
			}
		}
	}
}

// Large answers that a client asks for at once, and does not take yet, are neither lost nor too many: the messages wait.
func TestWebSocketTogetherSlowClient(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/websocket.lua")
	c, other := s.socket("handler=quiet"), s.socket("handler=quiet")
	const size = 900_000
	c.saysTogether(slices.Repeat([]string{"large " + strconv.Itoa(size)}, 31)...)
	c.saysTogether("count")
	for n := range 300 { // workers have time for the others meanwhile
		other.asks("echo "+strconv.Itoa(n), strconv.Itoa(n))
	}
	for n := range 31 {
		if got := c.hears(); len(got) != size {
			t.Fatalf("answer %d: %.80q", n, got)
		}
	}
	if got := c.hears(); got != "1" {
		t.Errorf("%q", got)
	}
}

// request_timeout limits each message, also of those that have arrived together. Each has seconds to spare.
func TestWebSocketTogetherTimeout(t *testing.T) {
	t.Parallel()
	s := launchWith(t, program(t), nil, []string{"WS_LIMIT=8"}, "testdata/websocket.lua")
	s.wait("msg=ready")
	c := s.socket("handler=quiet")
	c.saysTogether("sleeps 2.1", "sleeps 2.1", "sleeps 2.1", "sleeps 2.1", "count")
	for _, want := range []string{"slept", "slept", "slept", "slept", "1"} {
		if got := c.hears(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	c.saysTogether("count", "hangs", "count", "echo end")
	for _, want := range []string{"2", "3", "end"} {
		if got := c.hears(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s.wait("request_timeout: ending the worker")
	c.Conn.Close()
	s.stop()
	s.cleanUp()
}

// The record of a failure has the message that failed, and no other.
func TestWebSocketTogetherRecords(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "records")
	s := launch(t, "--crash-dir", dir, "testdata/websocket.lua")
	s.wait("msg=ready")
	c := s.socket("handler=quiet")
	for _, what := range []string{"fails here", "dies here"} {
		c.saysTogether("echo a", what, "echo b")
		c.hears()
		c.hears()
		eventually(t, "a record of "+what, func() bool {
			names, _ := filepath.Glob(filepath.Join(dir, "*.json"))
			return slices.ContainsFunc(names, func(name string) bool {
				r, err := crash.Read(name)
				return err == nil && string(r.Request.Body) == what
			})
		})
	}
	c.Conn.Close()
	s.stop()
	s.cleanUp()
}
