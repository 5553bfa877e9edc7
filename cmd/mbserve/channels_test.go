package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What the functions return, in Lua.
func TestChannels(t *testing.T) {
	t.Parallel()
	s := start(t, spread("testdata/channels.lua", patient)...)
	c := s.listen("c=room:a&key=me", "")
	for _, c := range []struct{ text, want string }{
		{`return channel.publish("nobody", "x")`, "0"},
		{`return channel.publish("room:a", "x", { event = "e", id = "i", key = "k" })`, "1"},
		{`return channel.publish("room:a", 5)`, "1"},
		{`return channel.count("room:a"), channel.count("none")`, "1 0"},
		{`return channel.presence("room:a").me, next(channel.presence("none")), next(channel.presence("room:a", 1))`, "1 nil me 1"},
		{`local h, all = channel.history("room:a"); return #h, all, h[1].data, h[1].event, h[1].id, h[1].key, h[2].data, h[2].event, h[2].time > 1e9`, "2 true x e i k 5 nil true"},
		{`local h, all = channel.history("room:a", "i"); return #h, all, h[1].data`, "1 true 5"},
		{`local h, all = channel.history("room:a", nil, 1); return #h, all, h[1].data`, "1 false 5"},
		{`for i = 1, 4 do channel.publish("short", i) end; local h, all = channel.history("short"); return #h, all, h[1].data`, "2 true 3"},
		{`local id = channel.last_id(); channel.publish("short", 5); local h, all = channel.history("short", id); return #h, all`, "1 true"},
		{`local id = channel.last_id(); for i = 1, 3 do channel.publish("short", i) end; local h, all = channel.history("short", id); return #h, all`, "2 false"},
		{`local h, all = channel.history("room:none", "x-1"); return #h, all`, "0 false"},
		{`local h, all = channel.history("room:a", ("x"):rep(2^20)); return #h, all`, "2 false"}, // it comes from a client
		{`return channel.publish("", "x")`, "nil the name of a channel has 1 to 255 bytes, without control characters and '*'"},
		{`return channel.publish("a*", "x")`, "nil the name of a channel has 1 to 255 bytes, without control characters and '*'"},
		{`return channel.publish(("x"):rep(256), "x")`, "nil the name of a channel has 1 to 255 bytes, without control characters and '*'"},
		{`return channel.count(("x"):rep(256)), channel.count(("x"):rep(255))`, "nil 0"},
		{`return channel.count(("x"):rep(2^22))`, "nil the name of a channel has 1 to 255 bytes, without control characters and '*'"},
		{`return channel.count("a*")`, "nil the name of a channel has 1 to 255 bytes, without control characters and '*'"},
		{`return channel.presence("")`, "nil the name of a channel has 1 to 255 bytes, without control characters and '*'"},
		{`return channel.presence(("x"):rep(256))`, "nil the name of a channel has 1 to 255 bytes, without control characters and '*'"},
		{`return channel.history("a\0")`, "nil the name of a channel has 1 to 255 bytes, without control characters and '*'"},
		{`return channel.history(("x"):rep(256))`, "nil the name of a channel has 1 to 255 bytes, without control characters and '*'"},
		{`return channel.publish("a", "x", { key = ("x"):rep(256) })`, "nil an event, an id and a key have at most 255 bytes, without control characters"},
		{`return channel.publish("a", "x", { event = ("x"):rep(2^22) })`, "nil an event, an id and a key have at most 255 bytes, without control characters"},
		{`local h, all = channel.history("room:a", nil, math.huge); return #h, all`, "2 true"},
		{`return channel.publish("a", "x", { id = "a\nb" })`, "nil an event, an id and a key have at most 255 bytes, without control characters"},
		{`return channel.publish("room:large", ("x"):rep(256 * 1024))`, "0"},
		{`for i = 1, 5 do channel.publish("room:large", ("x"):rep(256 * 1024)) end; local h, all = channel.history("room:large"); return #h, all`, "3 false"},
	} {
		if got := s.lua(0, c.text); strings.ReplaceAll(got, ".0 ", " ") != c.want && strings.TrimSuffix(got, ".0") != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
	c.want("x", "5")
	long := &follower{t: t, url: s.url("/?c=room:a"), id: strings.Repeat("x", 300_000)}
	if err := long.connect(); err != nil {
		t.Fatalf("with a long Last-Event-ID: %v", err)
	}
	err := error(nil)
	for n := 0; n < 5 && err == nil; n++ {
		_, err = long.event()
	}
	if err == nil || !strings.HasPrefix(err.Error(), "lost messages") {
		t.Errorf("with a long Last-Event-ID: %v", err)
	}
	long.body.Close()
	for _, c := range []struct{ text, want string }{
		{`channel.publish("a")`, "string expected, got no value"},
		{`channel.publish("a", {})`, "string expected, got table"},
		{`channel.publish("a", ("x"):rep(256 * 1024 + 1))`, "has more than 262144 bytes"},
		{`channel.presence("a", 0)`, "presence: bad argument #2 (max must be at least 1)"},
		{`channel.presence("a", 0/0)`, "presence: bad argument #2 (max must be at least 1)"},
		{`channel.presence("a", "many")`, "number expected"},
		{`channel.history("a", nil, 0.9)`, "history: bad argument #3 (max must be at least 1)"},
		{`channel.history("a", nil, -1)`, "history: bad argument #3 (max must be at least 1)"},
		{`channel.publish("a", "x", { ids = "x" })`, "unknown option 'ids'"},
		{`channel.publish("a", "x", { id = 1 })`, "option id: string expected, got number"},
		{`channel.declare("a", {})`, "can only be called while the script is loaded"},
		{`request:subscribe()`, "table expected"},
		{`request:subscribe{}`, "the option 'channels' is missing"},
		{`request:subscribe{ channels = {} }`, "the option 'channels' is missing"},
		{`request:subscribe{ channels = { 1 } }`, "the names of channels are strings, not a number"},
		{`request:subscribe{ channels = "" }`, "the name of a channel has 1 to 255 bytes"},
		{`request:subscribe{ channels = "a\0" }`, "the name of a channel has 1 to 255 bytes"},
		{`request:subscribe{ channels = { "a", "room:*" } }`, "without control characters and '*'"},
		{`request:subscribe{ channels = ("x"):rep(256) }`, "the name of a channel has 1 to 255 bytes"},
		{`request:subscribe{ channels = "a", key = "a\n" }`, "a key has at most 255 bytes"},
		{`request:subscribe{ channels = "a", timeout = 1 }`, "there is no option 'timeout'"},
		{`request:subscribe{ channels = "a", retry = -1 }`, "'retry' must be a number of seconds"},
		{`request:subscribe{ channels = "a", last_id = 5 }`, "'last_id' must be a string, not a number"},
		{`request:subscribe{ channels = "a", first = ("x"):rep(1e6) }`, "head and options have more than 262144 bytes together"},
		{`request:wait{ channels = "a", timeout = 601 }`, "at most 600"},
		{`request:wait{ channels = "a", retry = 1 }`, "there is no option 'retry'"},
	} {
		if got := s.lua(0, c.text); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
	eventually(t, "each worker has published in prepare", func() bool {
		return s.lua(0, `local h = channel.history("room:prepared"); return #h >= 2`) == "true"
	})
	conn := dial(t, strings.TrimPrefix(field(s.wait("serves=raw"), "address"), "tcp://"))
	io.WriteString(conn.Conn, "go\n")
	if line, err := bufio.NewReader(conn.Conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "0") {
		t.Errorf("on a raw connection: %q, %v", line, err)
	}
	s.listen("c=ticks", "").want("tick", "tick")
}

// Mistakes while the script is loaded.
func TestChannelsDeclare(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`declare("a*b", {})`:                                             `pattern "a*b"`,
		`declare("a", { histroy = {} })`:                                 "unknown option 'histroy'",
		`declare("a", { history = {} })`:                                 "a history needs 'messages'",
		`declare("a", { history = { messages = 1, age = 1 } })`:          "unknown field of history 'age'",
		`declare("a", { history = { messages = 1e6 } })`:                 "'messages' must be a number from 1 to 100000",
		`declare("a", { history = { messages = 0 } })`:                   "'messages' must be a number from 1 to 100000",
		`declare("a", { history = { messages = 0.5 } })`:                 "'messages' must be a number from 1 to 100000",
		`declare("a", { history = { messages = 1, bytes = 0/0 } })`:      "'bytes' must be a number from 1 to 67108864",
		`declare("a", { history = { messages = 1, bytes = 0 } })`:        "'bytes' must be a number from 1 to 67108864",
		`declare("a", { history = { messages = 1, seconds = 0.0001 } })`: "'seconds' must be a number from 0.001 to 604800",
		`declare("a", { history = { messages = 1, seconds = 0 } })`:      "'seconds' must be a number from 0.001 to 604800",
		`declare("a", { slow = 0 })`:                                     "'slow' must be a number from 0.001 to 3600",
		`declare("a", { presence = 1 })`:                                 "'presence' must be a boolean",
		`declare("a", { slow = "x" })`:                                   "'slow' must be a number from 0.001 to 3600",
		`publish("a", "b")`:                                              "works in handlers, timers and prepare only",
	} {
		script := filepath.Join(t.TempDir(), "script.lua")
		if err := os.WriteFile(script, []byte(`require "moonbridge_channel".`+text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, stderr := runToEnd(t, 3, script); !strings.Contains(stderr, want) {
			t.Errorf("%s: %q, want %q", text, stderr, want)
		}
	}
}

// patient is the argument of testdata/channels.lua for tests in which a handler may have to wait for a busy machine.
const patient = "60"

// follower is a client of server-sent events that connects again with its last id.
type follower struct {
	t     testing.TB
	url   string
	id    string
	body  io.ReadCloser
	in    *bufio.Reader
	again int // how often it has connected again
}

// listen connects a client, and waits until it has subscribed.
func (s *instance) listen(query, id string) *follower {
	s.t.Helper()
	l := &follower{t: s.t, url: s.url("/?" + query), id: id}
	if err := l.connect(); err != nil {
		s.t.Fatal(err)
	}
	return l
}

func (l *follower) connect() error {
	q, err := http.NewRequest("GET", l.url, nil)
	if err != nil {
		return err
	}
	if l.id != "" {
		q.Header.Set("Last-Event-ID", l.id)
	}
	// Connections of its own: one that is idle might be that of a server that has ended.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(q)
	if err != nil {
		return err
	}
	if resp.StatusCode != 200 {
		resp.Body.Close()
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	l.body, l.in = resp.Body, bufio.NewReader(resp.Body)
	if l.id == "" {
		_, err = l.event() // the id that the stream begins with
	}
	return err
}

// event returns the data of the next event, however often it has to connect again. An event without data is the start of a stream.
func (l *follower) event() (data string, err error) {
	var lines []string
	id := ""
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case name == "event" && value == "lost":
			return "", fmt.Errorf("lost messages after %s", l.id)
		case name == "data":
			lines = append(lines, value)
		case name == "id":
			id = value
		case line == "\n" && (id != "" || lines != nil):
			if id != "" {
				l.id = id
			}
			return strings.Join(lines, "\n"), nil
		}
	}
}

// next returns the data of the next message. When its stream ends, it connects again.
func (l *follower) next() (string, error) {
	for {
		data, err := l.event()
		if err == nil {
			if data != "" {
				return data, nil
			}
			continue
		}
		if strings.HasPrefix(err.Error(), "lost") {
			return "", err
		}
		l.body.Close()
		l.again++
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if err = l.connect(); err == nil {
				break
			}
			if time.Now().After(end) {
				return "", err
			}
		}
	}
}

func (l *follower) want(data ...string) {
	l.t.Helper()
	for _, d := range data {
		if got, err := l.next(); err != nil || got != d {
			l.t.Fatalf("got %q, %v; want %q", got, err, d)
		}
	}
}

// A stream lives longer than idle_timeout and response_timeout, costs no worker, and ends at once when the server stops.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	s := start(t, "--stats", "testdata/channels.lua")
	var all []*follower
	for range 50 { // of 2 workers
		all = append(all, s.listen("c=room:a&keepalive=0.5", ""))
	}
	time.Sleep(3 * time.Second)
	s.lua(0, `for i = 1, 3 do channel.publish("room:a", i) end`)
	for _, l := range all {
		if l.want("1", "2", "3"); l.again > 0 {
			t.Fatal("a stream was cut")
		}
	}
	s.signal(syscall.SIGTERM)
	for _, l := range all {
		if data, err := l.event(); err != io.EOF {
			t.Fatalf("%q, %v; want the end", data, err)
		}
	}
	s.exit(0)
	s.wait("msg=channels", "subscribers=", "messages=")
}

// A stream handler that is called because of wait, and calls it too, changes nothing of what was asked for.
func TestWaitWithinWait(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	a.write(`@
local channel = require "moonbridge_channel"
channel.declare("*", { history = { messages = 9 } })
listen{ port, prepare = function() channel.publish("right", "right"); channel.publish("other", "other") end, min_fork = 1, max_fork = 1, connect = http.generate_handler(function(request)
	request:stream_post_param("file", function() pcall(request.wait, request, { channels = "other", last_id = "0", timeout = 9 }) end)
	request:wait{ channels = "right", last_id = "0", timeout = 0.01 }
end) }`)
	s := start(t, a.script)
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n"
	req, err := http.NewRequest("POST", s.url("/"), strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	_, body, err := do(newClient(t), req)
	if err != nil || !strings.Contains(body, `"data":"right"`) || strings.Contains(body, "other") {
		t.Errorf("%q, %v", body, err)
	}
}

func TestSubscribeCurl(t *testing.T) {
	t.Parallel()
	curl := needs(t, "curl")
	s := start(t, spread("testdata/channels.lua", patient)...)
	s.lua(0, `channel.publish("room:a", "one\ntwo"); channel.publish("room:a", "three")`)
	out, err := exec.Command(curl, "-sS", "-i", s.url("/wait?c=room:a&id=0")).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(`"data":"one\ntwo"},{"channel":"room:a",`)) || !bytes.Contains(out, []byte("Last-Event-ID: ")) {
		t.Errorf("wait: %s, %v", out, err)
	}
	cmd := exec.Command(curl, "-sSN", "--http1.0", "-H", "Last-Event-ID: 0", s.url("/?c=room:a&first=hello&retry=2"))
	pipe, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(pipe)
	for _, want := range []string{"retry: 2000", "data: hello", "id: ", "", "id: ", "data: one", "data: two", "", "id: ", "data: three", ""} {
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(strings.TrimSuffix(line, "\n"), want) {
			t.Errorf("line %q, %v; want %q", line, err, want)
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	eventually(t, "the subscriber leaves", func() bool { return strings.HasPrefix(s.lua(0, `return channel.count("room:a")`), "0") })
}

// Messages are published while scripts are reloaded, the process is replaced, and connections break. No client misses one within the
// history, gets one twice, or in another order.
func TestChannelsEndure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pidName := filepath.Join(dir, "pid")
	s := start(t, spread("-p", pidName, "testdata/channels.lua", patient)...)
	const clients = 8
	var stop atomic.Bool
	var published atomic.Int64
	ends := make(chan error, clients+1)
	for n := range clients {
		l := s.listen("c=room:a&c=room:b", "")
		go func() { ends <- l.follow(n) }()
	}
	first := s.lua(0, `return channel.last_id()`)
	go func() { ends <- followPolling(s.url("/wait?c=room:a&c=room:b&id="), first) }()
	publisher := make(chan struct{})
	go func() {
		defer close(publisher)
		for i := 1; !stop.Load() && !t.Failed(); i++ {
			name := []string{"room:a", "room:b"}[i%2]
			_, got, err := fetchMeanwhile("POST", s.url("/"), fmt.Sprintf(`return channel.publish(%q, %d)`, name, i))
			if err != nil || strings.HasPrefix(got, "nil") {
				t.Errorf("publish: %s, %v", got, err)
			}
			published.Store(int64(i))
		}
	}()
	enough := func(what string, more int64) {
		t.Helper()
		at := published.Load()
		eventually(t, what, func() bool { return published.Load() > at+more })
	}
	pid := s.pid()
	for n := range 3 {
		enough("messages before a reload", 30)
		if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.wait("msg=reloaded", fmt.Sprint("generation=", n+1))
	}
	for range 2 {
		enough("messages before a replacement", 30)
		pid = replaceProcess(t, pid, pidName)
	}
	enough("messages at the end", 30)
	stop.Store(true)
	<-publisher
	if _, got, err := fetch("POST", s.url("/"), `return channel.publish("room:b", "end")`); err != nil {
		t.Error(got, err)
	}
	for range clients + 1 {
		select {
		case err := <-ends:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("messages are missing")
		}
	}
	s.awaitExit()
	s.endOf(pid)
}

// replaceProcess makes another process take over, and returns its id when the old one has ended.
func replaceProcess(t *testing.T, old int, pidName string) (pid int) {
	t.Helper()
	if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	pid = old
	eventually(t, "another process", func() bool {
		text, _ := os.ReadFile(pidName)
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			pid = n
		}
		return pid != old
	})
	eventually(t, "the old process ends", func() bool { return gone(old) })
	return pid
}

// follow checks that the messages are numbers in their order, to the end.
func (l *follower) follow(n int) error {
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	for last := 0; ; last++ {
		data, err := l.next()
		if err != nil {
			return fmt.Errorf("client %d after %d: %w", n, last, err)
		}
		if data == "end" {
			return l.body.Close()
		}
		if i, err := strconv.ParseFloat(data, 64); err != nil || int(i) != last+1 {
			return fmt.Errorf("client %d: %s after %d", n, data, last)
		}
		if rnd.IntN(50) == 0 {
			l.body.Close() // it connects again
		}
	}
}

// followPolling is follow for a client that asks for the messages after an id, again and again.
func followPolling(url, id string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.Now().Add(patience)
	for last := 0; ; {
		resp, err := client.Get(url + id)
		if err != nil || resp.StatusCode >= 500 { // a process ends, and another one takes over
			if err == nil {
				resp.Body.Close()
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("polling after %d: %w", last, err)
			}
			time.Sleep(5 * time.Millisecond)
			continue
		}
		var answer struct {
			ID       string
			Lost     bool
			Messages []struct{ Data string }
		}
		err = json.NewDecoder(resp.Body).Decode(&answer)
		resp.Body.Close()
		switch {
		case resp.StatusCode == 204:
			id = resp.Header.Get("Last-Event-ID")
			continue
		case err != nil: // it has broken off
			continue
		case answer.Lost:
			return fmt.Errorf("polling has lost messages after %d", last)
		}
		for _, m := range answer.Messages {
			if m.Data == "end" {
				return nil
			}
			if i, err := strconv.ParseFloat(m.Data, 64); err != nil || int(i) != last+1 {
				return fmt.Errorf("polling: %s after %d", m.Data, last)
			}
			last++
		}
		id = answer.ID
		deadline = time.Now().Add(patience)
	}
}

// An answer for which Lua has no memory leaves nothing behind that the next question would take for its answer.
func TestChannelsNoMemory(t *testing.T) {
	t.Parallel()
	s := start(t, writeScript(t, `
		local http, channel = require "moonbridge_http", require "moonbridge_channel"
		channel.declare("h", { history = { messages = 100 } })
		listen{ { proto = "tcp4", port = 0, localhost = true }, memory_limit = 4e6, min_fork = 1, max_fork = 1,
			connect = http.generate_handler(function(request)
				local used, n = {}, tonumber(request.get_params.n)
				if n == 0 then
					for i = 1, 4 do channel.publish("h", ("x"):rep(200000)) end
				end
				for i = 1, n do used[i] = ("%5d"):format(i):rep(10000) end
				local function history() -- LuaJIT may raise the error at a later instruction
					local ok = pcall(channel.history, "h", nil, 4)
					return ok
				end
				local called, ok = pcall(history)
				ok = called and ok
				local asked, count
				for i = 1, 5 do
					asked, count = pcall(channel.count, "h")
					if asked then break end
				end
				request:send_status("200 OK")
				request:send_data((ok and "succeeds " or "fails ") .. tostring(count))
			end) }`))
	failed := false
	for n := 0; ; n += 2 {
		resp, got, err := fetch("GET", s.url(fmt.Sprintf("/?n=%d", n)), "")
		if err != nil || resp.StatusCode == 200 && got != "succeeds 0" && got != "fails 0" {
			t.Fatalf("%d: %q, %v", n, got, err)
		}
		if failed = failed || got == "fails 0"; failed && resp.StatusCode == 500 {
			return // not even a short answer
		}
	}
}

// Workers are killed while they publish. What was confirmed has come, in order, and the others go on.
func TestChannelsKill(t *testing.T) {
	t.Parallel()
	s := start(t, spread("testdata/channels.lua", patient)...)
	l := s.listen("c=room:a", "")
	var stop atomic.Bool
	var published atomic.Int64
	var killer sync.WaitGroup
	killer.Go(func() {
		for n := int64(5); !stop.Load(); time.Sleep(time.Millisecond) {
			if published.Load() < n {
				continue // some messages have to come through
			}
			n = published.Load() + 5
			for _, pid := range s.workers() {
				syscall.Kill(pid, syscall.SIGKILL)
				time.Sleep(2 * time.Millisecond)
			}
		}
	})
	confirmed := make(map[string]bool)
	last := ""
	begin := time.Now()
	for i := 0; i < 100 || published.Load() < 15 && time.Since(begin) < patience; i++ { // while a pool waits after deaths, the answer is 503
		data := fmt.Sprint("m", i)
		resp, got, err := fetch("POST", s.url("/"), fmt.Sprintf(`return channel.publish("room:a", %q)`, data))
		if err == nil && resp.StatusCode == 200 && strings.HasPrefix(got, "1") {
			confirmed[data], last = true, data
			published.Add(1)
		}
	}
	stop.Store(true)
	killer.Wait()
	eventually(t, "it publishes", func() bool {
		_, got, err := fetch("POST", s.url("/"), `return channel.publish("room:a", "end")`)
		return err == nil && strings.HasPrefix(got, "1")
	})
	if last == "" {
		t.Fatal("no message was confirmed")
	}
	for before := -1; ; {
		data, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		if data == "end" {
			break
		}
		i, err := strconv.Atoi(data[1:])
		if err != nil || i <= before {
			t.Fatalf("%q after %d", data, before)
		}
		before = i
		delete(confirmed, data)
	}
	if len(confirmed) > 0 {
		t.Errorf("confirmed and not there: %v", confirmed)
	}
}

// Clients that vanish, and that do not read, cost nothing in the end.
func TestSubscribersVanish(t *testing.T) {
	t.Parallel()
	s := start(t, spread("testdata/channels.lua", patient)...)
	var conns []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", s.address(0))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET /?c=room:a HTTP/1.1\r\nHost: x\r\n\r\n")
		conns = append(conns, c)
	}
	eventually(t, "all have subscribed", func() bool { return strings.HasPrefix(s.lua(0, `return channel.count("room:a")`), "200") })
	for i, c := range conns {
		if i%2 == 0 {
			c.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
		if i%10 == 0 {
			s.lua(0, `channel.publish("room:a", "x")`)
		}
	}
	eventually(t, "all have left", func() bool { return strings.HasPrefix(s.lua(0, `return channel.count("room:a")`), "0") })
	eventually(t, "their sockets are closed", func() bool { return sockets(t, s.pid()) < 100 })
}

// Channels in the figures.
func TestChannelsFigures(t *testing.T) {
	t.Parallel()
	s := start(t, "--admin", loopbackPort, "testdata/channels.lua", patient)
	l := s.listen("c=room:a", "")
	s.lua(0, `for i = 1, 5 do channel.publish("room:a", i) end`)
	l.want("1", "2", "3", "4", "5")
	// A timer of the script publishes on another channel.
	eventually(t, "all figures", func() bool {
		figures := s.figures()
		return figures["moonbridge_channel_subscribers"] == 1 && figures["moonbridge_channel_deliveries_total"] >= 5 &&
			figures["moonbridge_channel_messages_total"] >= 7 && figures["moonbridge_channel_history_bytes"] > 0 && figures["moonbridge_channels"] >= 2
	})
}
