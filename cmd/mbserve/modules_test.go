package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"moonbridge/reactor/reactortest"
)

// wantModules skips the test if one of the modules cannot be loaded. scripts/deps installs them all.
func wantModules(t *testing.T, names ...string) {
	t.Helper()
	stdout, _ := runToEnd(t, 0, append([]string{"--check", "--", "testdata/installed.lua"}, names...)...)
	for line := range strings.Lines(stdout) {
		if strings.HasPrefix(line, "missing: ") {
			t.Skip(strings.TrimSpace(line))
		}
	}
}

// requiredModules returns the modules that a script requires.
func requiredModules(script string) (names []string) {
	for _, m := range regexp.MustCompile(`require\s*\(?\s*"([^"]+)"`).FindAllStringSubmatch(script, -1) {
		names = append(names, m[1])
	}
	return names
}

// Modules from Debian packages, written in C or using C modules, work in a worker as elsewhere.
func TestModules(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Test", "yes")
		io.WriteString(w, "from elsewhere")
	}))
	defer elsewhere.Close()
	_, port, _ := net.SplitHostPort(elsewhere.Listener.Addr().String())
	s := start(t, "testdata/c_modules.lua", t.TempDir())
	tests := []struct {
		module, name string
		arguments    url.Values
		want         string
	}{
		{"cjson", "cjson", url.Values{"json": {`{"list":[1,"two",{"three":3}],"name":"\u00fc"}`}}, `[1,"two",{"three":3},null]"ü"{"pi":3.25}`},
		{"cjson", "cjson_error", url.Values{"json": {`{"list":`}}, "false Expected value but found T_END at character 9"},
		{"lpeg", "lpeg", url.Values{"sum": {"1+22+333"}}, "356"},
		{"re", "lpeg_re", url.Values{"text": {"new moon, old moon"}}, "new,moon,old,moon"},
		{"lfs", "lfs", url.Values{"name": {"new"}}, ". .. file file 1234"},
		{"posix", "posix", nil, "true exited 7"},
		{"posix", "posix_stat", nil, "true"},
		{"luasql.sqlite3", "sqlite", url.Values{"word": {"it's"}}, `1 it's nil LuaSQL: near "SELEKT": syntax error`},
		{"luasql.sqlite3", "sqlite", url.Values{"word": {"more"}}, `2 more nil LuaSQL: near "SELEKT": syntax error`},
		{"socket", "socket", url.Values{"port": {port}}, "HTTP/1.0 200 OK"},
		{"socket.http", "socket_http", url.Values{"port": {port}}, "200 yes from elsewhere"},
		{"mime", "socket_mime", url.Values{"text": {"moon"}}, "bW9vbg=="},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantModules(t, test.module)
			if got := get(t, s.url("/"+test.name+"?"+test.arguments.Encode())); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if strings.Contains(s.log.String(), "worker ended") {
		t.Error("a worker has ended")
	}
}

// A handler that waits in a module call blocks only its own worker.
func TestBlockingModule(t *testing.T) {
	t.Parallel()
	wantModules(t, "socket")
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, port, _ := net.SplitHostPort(silent.Addr().String())
	s := start(t, "testdata/c_modules.lua", t.TempDir())
	blocked := dial(t, s.address(0))
	blocked.get("/socket_wait?port=" + port)
	upstream, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	s.wait("msg=connected")
	// All of these are answered while that handler waits: it cannot continue before its upstream is closed, below.
	for range 20 {
		if got := get(t, s.url("/hello")); got != "hello" {
			t.Errorf("got %q", got)
		}
	}
	if got := get(t, s.url("/socket_timeout?port="+port)); got != "timeout" {
		t.Errorf("got %q, want a timeout from the module", got)
	}
	upstream.Close()
	if got := blocked.hears(200); got != "closed" {
		t.Errorf("the waiting handler got %q, want that its upstream has closed", got)
	}
}

func TestModuleRedis(t *testing.T) {
	t.Parallel()
	wantModules(t, "redis")
	program := needs(t, "redis-check-rdb") // see redisServer
	s := start(t, "testdata/c_modules.lua", t.TempDir())
	const want = "true full\r\nor not nil 2 2 a+b false not an integer"
	if got := get(t, s.url("/redis?port="+redisServer(t, program))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// redisServer starts a Redis server that keeps everything in memory, and returns its port. Redis is a single program,
// which acts as the server or as a tool depending on the name by which it is called. Debian's package redis-tools
// contains it, but unlike redis-server it installs no service.
func redisServer(t *testing.T, program string) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(reactortest.FreePort(t))
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
		"--dir", t.TempDir(), "--daemonize", "no")
	cmd.Args[0] = "redis-server"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	if !holds(patience, func() bool { return isRedis(port) || isClosed(ended) }) || isClosed(ended) {
		t.Fatal("redis-server does not start")
	}
	return port
}

func isRedis(port string) bool {
	c, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, patience)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(c, "PING\r\n")
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && line == "+PONG\r\n"
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
