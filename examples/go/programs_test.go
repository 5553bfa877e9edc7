// Package examples_test builds the programs in the directories below and uses them as a reader would. It also compiles
// the Go code in the documents.
package examples_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of a test. It is long: nothing here depends on speed.
const patience = time.Minute

// program is a running program.
type program struct {
	t      *testing.T
	path   string // of its file
	cmd    *exec.Cmd
	log    *log
	exited chan struct{}
	err    error // valid after exited is closed
}

// run builds a program and starts it. At the end of the test the program is killed if it is still running.
func run(t *testing.T, name string, args ...string) *program {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := here
	if _, err := os.Stat(filepath.Join(name, "main.go")); err != nil {
		dir = filepath.Join(here, "libraries") // a module of its own
	}
	goCommand(t, dir, "build", "-buildvcs=false", "-o", path, "./"+name)
	// SIGINT is ignored until the program asks for signals: see terminate.
	shell := append([]string{"-c", `trap "" INT; exec "$0" "$@"`, path}, args...)
	p := &program{t: t, path: path, cmd: exec.Command("/bin/sh", shell...), log: new(log), exited: make(chan struct{})}
	p.cmd.Stderr = p.log
	p.cmd.WaitDelay = patience // workers that outlive the program keep its standard output open
	p.cmd.Stdout = io.Discard
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		select {
		case <-p.exited:
		default:
			p.cmd.Process.Kill()
			<-p.exited
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.log)
		}
	})
	return p
}

// wait waits until the log has n matches, and returns those of the first group.
func (p *program) wait(pattern string, n int) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if all := re.FindAllStringSubmatch(p.log.String(), -1); len(all) >= n {
			var found []string
			for _, m := range all {
				found = append(found, m[len(m)-1])
			}
			return found
		}
		select {
		case <-p.exited:
			p.t.Fatalf("ended before the log has %q: %v", pattern, p.err)
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the log does not have %q", pattern)
		}
	}
}

// await waits until what becomes true.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// terminate sends SIGTERM as soon as the program asks for signals: it may have said where it serves a moment before.
func (p *program) terminate() {
	p.t.Helper()
	await(p.t, "that the program asks for signals", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if err != nil {
			p.t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(status), "\nSigCgt:")
		var caught uint64
		fmt.Sscanf(text, "%x", &caught)
		return caught&(1<<(syscall.SIGINT-1)) != 0
	})
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end of the program, which must succeed.
func (p *program) exit() {
	p.t.Helper()
	select {
	case <-p.exited:
		if p.err != nil {
			p.t.Errorf("exit: %v", p.err)
		}
	case <-time.After(2 * patience):
		p.t.Fatal("the program does not end")
	}
}

// fails waits for the end of the program, which must be an error that the log explains.
func (p *program) fails(pattern string) {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(2 * patience):
		p.t.Fatalf("goes on, and does not fail with %q", pattern)
	}
	if p.err == nil || !regexp.MustCompile(pattern).MatchString(p.log.String()) {
		p.t.Errorf("exit: %v; the log does not have %q", p.err, pattern)
	}
}

// log collects the output of a program for its test.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var client = &http.Client{Timeout: patience}

// send sends a request and returns the status and the body of the response.
func send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return res.StatusCode, string(text)
}

func check(t *testing.T, method, url, body string, status int, want string) {
	t.Helper()
	if code, text := send(t, method, url, body); code != status || text != want {
		t.Errorf("%s %s: %d %q, want %d %q", method, url, code, text, status, want)
	}
}

// refused checks that an address no longer accepts connections.
func refused(t *testing.T, address string) {
	t.Helper()
	if conn, err := net.DialTimeout("tcp", address, patience); err == nil {
		conn.Close()
		t.Errorf("%s still accepts connections", address)
	}
}

func TestHello(t *testing.T) {
	p := run(t, "hello", "-fast", "127.0.0.1:0", "-blocking", "127.0.0.1:0")
	at := p.wait(`http://(\S+)/`, 2)
	check(t, "GET", "http://"+at[0]+"/", "", 200, "Hello, world!\n")
	check(t, "GET", "http://"+at[1]+"/a", "", 200, "0: GET /a\n1: GET /a\n2: GET /a\n")

	t.Run("curl", func(t *testing.T) {
		need(t, "curl")
		const connects = "%{num_connects}\\n"
		got := tool(t, "curl", "-si", "-w", connects, "http://"+at[0]+"/", "http://"+at[0]+"/", "--next", "-si", "-w", connects, "-X", "PUT", "-d", "x", "http://"+at[1]+"/c")
		if want := regexp.MustCompile(`(?s)^HTTP/1\.1 200 OK\r\n.*\r\n\r\nHello, world!\n1\nHTTP/1\.1 200 OK\r\n.*world!\n0\nHTTP/1\.1 200 OK\r\n.*2: PUT /c\n1\n$`); !want.MatchString(got) {
			t.Errorf("%s", got)
		}
	})

	// A client that has closed its sending side gets the whole response.
	conn, err := net.Dial("tcp", at[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /h HTTP/1.0\r\n\r\n")
	conn.(*net.TCPConn).CloseWrite()
	if text, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(text), "\r\n\r\n0: GET /h\n1: GET /h\n2: GET /h\n") {
		t.Errorf("a client that sends no more: %q, %v", text, err)
	}

	// A response that is being sent when the program is told to stop arrives in full.
	res, err := client.Get("http://" + at[1] + "/b")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p.terminate()
	if text, err := io.ReadAll(res.Body); err != nil || string(text) != "0: GET /b\n1: GET /b\n2: GET /b\n" {
		t.Errorf("during the end: %q, %v", text, err)
	}
	p.exit()
	refused(t, at[0])
	refused(t, at[1])
}

func TestLuapool(t *testing.T) {
	p := run(t, "luapool", "-go", "127.0.0.1:0", "-grace", patience.String(), "testdata/pools.lua", "Hi")
	p.wait("ready", 1)
	lua := p.wait(`lua: (\S+)`, 1)[0]
	status := p.wait(`go: http://(\S+)/`, 1)[0]
	check(t, "GET", "http://"+lua+"/a", "", 200, "Hi a 0\n")
	check(t, "POST", "http://"+lua+"/b", strings.Repeat("x", 100), 200, "Hi b 100\n")
	// The script's limit is in effect in the engine.
	check(t, "POST", "http://"+lua+"/b", strings.Repeat("x", 101), 413, "Content Too Large\n")
	p.wait("timer tick", 2)
	if code, text := send(t, "GET", "http://"+status+"/", ""); code != 200 ||
		!regexp.MustCompile(`(?s)^pool 0: .* 2 exchanges\npool 1: .*\n$`).MatchString(text) {
		t.Errorf("the Go handler: %d %q", code, text)
	}

	// A request that is in progress when the program is told to stop is answered.
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		res, err := client.Get("http://" + lua + "/slow")
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if text, err := io.ReadAll(res.Body); err != nil || string(text) != "Hi slow 0\n" {
			t.Errorf("during the end: %q, %v", text, err)
		}
	}()
	p.wait("slow has begun", 1)
	p.terminate()
	<-answered
	p.exit()
	if text := p.log.String(); !strings.Contains(text, "finish of the server's pool") || !strings.Contains(text, "stopped\n") {
		t.Error("the end was not graceful")
	}
	refused(t, lua)
	refused(t, status)
}

func TestLuapoolBadScript(t *testing.T) {
	run(t, "luapool", "-go", "127.0.0.1:0", "testdata/missing.lua").fails("testdata/missing.lua")
}

// The program ends when a main handler does, and fails if that has.
func TestLuapoolMain(t *testing.T) {
	for _, failing := range []bool{false, true} {
		end := ""
		if failing {
			end = `error("on purpose")`
		}
		script := write(t, "main.lua", `
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	{ proto = "main", name = "m", handler = function()
		io.stderr:write("main runs\n")
		`+end+`
	end },
	connect = require "moonbridge_http".generate_handler(function(request)
		request:send_status("200 OK")
		request:finish()
	end),
}
`)
		p := run(t, "luapool", "-go", "127.0.0.1:0", script)
		if failing {
			p.fails(`(?s)on purpose.*stopped.*the main handler "m" has failed`)
			continue
		}
		p.exit()
		if text := p.log.String(); !strings.Contains(text, "main runs") || !strings.Contains(text, "stopped\n") {
			t.Error("the end was not graceful")
		}
	}
}

// The engine enforces what the script asks for, and by default refuses bodies with a content coding, as with mbserve.
func TestLuapoolLimits(t *testing.T) {
	script := write(t, "limits.lua", `
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = require "moonbridge_http".generate_handler({ request_body_size_limit = 1, static_headers = "A: b" }, function(request)
		request:send_status("200 OK")
		request:finish()
	end),
}
`)
	p := run(t, "luapool", "-go", "127.0.0.1:0", script)
	checkLimits(t, "http://"+p.wait(`lua: (\S+)`, 1)[0]+"/", "b")
	p.terminate()
	p.exit()
}

// So does both.
func TestBothLimits(t *testing.T) {
	script := write(t, "limits.lua", `
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = require "moonbridge_http".generate_handler({ request_body_size_limit = 1, static_headers = "A: b" }, function(request)
		request:send_status("200 OK")
		request:finish()
	end),
}
`)
	p := run(t, "both", script)
	checkLimits(t, "http://"+p.wait(`http://(\S+)/`, 1)[0]+"/", "b")
	p.terminate()
	p.exit()
}

// checkLimits checks that bodies of more than one byte, or with a coding, are refused, and that all responses have this value in the field A.
func checkLimits(t *testing.T, url, a string) {
	t.Helper()
	for _, tt := range []struct {
		body, coding string
		status       int
	}{{"", "", 200}, {"xx", "", 413}, {"x", "gzip", 415}} {
		req, err := http.NewRequest("POST", url, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		if tt.coding != "" {
			req.Header.Set("Content-Encoding", tt.coding)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tt.status || res.Header.Get("A") != a {
			t.Errorf("body %q, coding %q: %d %v, want %d and A: %s", tt.body, tt.coding, res.StatusCode, res.Header, tt.status, a)
		}
	}
}

// With proxy_protocol, both takes the client's address from the header, and nobody else's word.
func TestBothBehindProxy(t *testing.T) {
	script := write(t, "proxied.lua", `
listen{
	{ proto = "tcp4", port = 0, localhost = true, proxy_protocol = true },
	connect = require "moonbridge_http".generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data(request.client_ip)
		request:finish()
	end),
}
`)
	p := run(t, "both", script)
	address := p.wait(`http://(\S+)/`, 1)[0]
	for header, want := range map[string]string{"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n": "192.0.2.7", "": ""} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, header+"GET / HTTP/1.0\r\n\r\n")
		text, _ := io.ReadAll(conn) // without a header the connection is reset
		if _, body, _ := strings.Cut(string(text), "\r\n\r\n"); body != want {
			t.Errorf("%q: %q, want %q", header, text, want)
		}
	}
	p.terminate()
	p.exit()
}

// A script with other listeners than one for HTTP is not served by both, and one whose second call fails and is caught is.
func TestBothListeners(t *testing.T) {
	handler := `connect = require "moonbridge_http".generate_handler(function(request)
		request:send_status("200 OK")
		request:send_data("one")
		request:finish()
	end)`
	one := `{ proto = "tcp4", port = 0, localhost = true }`
	call := "listen{ " + one + ", " + handler + " }\n"
	for name, text := range map[string]string{
		"two calls":     call + call,
		"two listeners": "listen{ " + one + ", " + one + ", " + handler + " }",
		"raw":           "listen{ " + one + ", connect = function(socket) end }",
		"a timer":       `listen{ { proto = "interval", delay = 1, name = "t" }, connect = function() end }`,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, "both", write(t, "script.lua", text)).fails("must have exactly one listener, for HTTP")
		})
	}
	p := run(t, "both", write(t, "caught.lua", call+"assert(not pcall(function() "+call+" end))"))
	check(t, "GET", "http://"+p.wait(`http://(\S+)/`, 1)[0]+"/", "", 200, "one")
	p.terminate()
	p.exit()
}

// A script with TLS is not served without it.
func TestOptionsForServer(t *testing.T) {
	script := write(t, "tls.lua", `
listen{
	{ proto = "tcp4", port = 0, localhost = true, tls = { cert = "cert.pem", key = "key.pem" } },
	connect = require "moonbridge_http".generate_handler(function() end),
}
`)
	for _, name := range []string{"both", "luapool"} {
		run(t, name, script).fails("does not support .*tls")
	}
}
