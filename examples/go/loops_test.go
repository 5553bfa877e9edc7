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
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A response in progress survives the restart, requests are answered by one process or the other, and then only by the new one.
func TestRestart(t *testing.T) {
	p := run(t, "restart", "-address", "127.0.0.1:0")
	url := "http://" + p.wait(`http://(\S+)/`, 1)[0] + "/"
	first := fmt.Sprintf("process %d\n", p.cmd.Process.Pid)
	check(t, "GET", url, "", 200, first)

	answered := make(chan string)
	go func() {
		res, err := http.Get(url + "slow")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		answered <- fmt.Sprintf("%s%v", text, err)
	}()
	p.wait("slow request", 1)
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	pids := p.wait(`process (\d+): http`, 2)
	pid, err := strconv.Atoi(pids[1])
	if err != nil || pid == p.cmd.Process.Pid {
		t.Fatalf("processes %v", pids)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGTERM) })
	for i := 0; ; i++ {
		code, text := send(t, "GET", url, "")
		if code != 200 || text != first && text != fmt.Sprintf("process %d\n", pid) {
			t.Fatalf("request %d: %d %q", i, code, text)
		}
		if text != first {
			break
		}
		client.CloseIdleConnections()
	}
	if got := <-answered; got != first+"<nil>" {
		t.Errorf("the response in progress: %q", got)
	}
	await(t, "the end of the old process", func() bool { return ended(p.cmd.Process.Pid) })
	check(t, "GET", url, "", 200, fmt.Sprintf("process %d\n", pid))
	client.CloseIdleConnections()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the new process", func() bool {
		conn, err := net.DialTimeout("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"), patience)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	p.exit()
}

// Two restarts under load: no request fails.
func TestRestartUnderLoad(t *testing.T) {
	need(t, "wrk")
	p := run(t, "restart", "-address", "127.0.0.1:0")
	address := p.wait(`http://(\S+)/`, 1)[0]
	load := exec.Command("wrk", "-t1", "-c16", "-d4s", "http://"+address+"/")
	out := new(log)
	load.Stdout, load.Stderr = out, out
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	pid := p.cmd.Process.Pid
	for n := 2; n <= 3; n++ {
		check(t, "GET", "http://"+address+"/", "", 200, fmt.Sprintf("process %d\n", pid))
		client.CloseIdleConnections()
		old, pids := pid, restart(t, p, pid, n)
		pid, _ = strconv.Atoi(pids[n-1])
		t.Cleanup(func() { syscall.Kill(pid, syscall.SIGTERM) })
		await(t, "the end of the old process", func() bool { return ended(old) })
	}
	if err := load.Wait(); err != nil {
		t.Fatal(err)
	}
	// A timeout is a request that has waited for 2 s, which is a matter of speed. So are errors if wrk itself is late: a connection that is to
	// end waits for its last request for a second.
	text := out.String()
	failures := `Non-2xx|(connect|read|write) [1-9]`
	if regexp.MustCompile(`Latency +\S+ +\S+ +[\d.]+s`).MatchString(text) {
		failures = `Non-2xx`
	}
	failed := regexp.MustCompile(failures).FindString(text)
	if m := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(text); m == nil || m[1] == "0" || failed != "" {
		t.Errorf("wrk:\n%s", text)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.exit()
}

// restart has the process with this pid replaced, by the n-th one of p, and returns the numbers of all. A restart is refused until it is
// known that the one before is over.
func restart(t *testing.T, p *program, pid, n int) []string {
	t.Helper()
	for {
		refused := strings.Count(p.log.String(), "parent hasn't exited")
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		again := false
		await(t, "a restart", func() bool {
			text := p.log.String()
			again = strings.Count(text, "parent hasn't exited") > refused
			return again || strings.Count(text, ": http") >= n
		})
		if !again {
			return p.wait(`process (\d+): http`, n)
		}
	}
}

// A process that waits for a new one, which never serves, ends when it is told to, and the new one with it.
func TestRestartIsGivenUp(t *testing.T) {
	p := run(t, "restart", "-address", "127.0.0.1:0")
	address := p.wait(`http://(\S+)/`, 1)[0]
	if err := os.Remove(p.path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.path, []byte("#!/bin/sh\necho process $$ hangs >&2\nexec sleep 600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(p.wait(`process (\d+) hangs`, 1)[0])
	p.terminate()
	select {
	case <-p.exited:
	case <-time.After(patience * 2 / 3): // it would wait for a minute
		t.Error("waits for the new process")
	}
	p.exit()
	if !ended(pid) {
		t.Error("the new process has not ended")
	}
	refused(t, address)
}

// ended reports whether a process has ended. It may be a child of this one's child, which nobody waits for.
func ended(pid int) bool {
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(state, []byte(") Z "))
}

func TestBoth(t *testing.T) {
	script := write(t, "both.lua", `
local http = require "moonbridge_http"
listen{
	{ proto = "tcp4", port = 0, localhost = true },
	connect = http.generate_handler(function(request)
		if request.path == "error" then error("on purpose") end
		request:send_status("200 OK")
		request:send_data("Lua: ", request.path, "\n")
		request:finish()
	end),
}
`)
	p := run(t, "both", script)
	url := "http://" + p.wait(`http://(\S+)/`, 1)[0] + "/"
	check(t, "GET", url+"a/b", "", 200, "Lua: a/b\n")
	check(t, "GET", url+"gone", "", 200, "Lua: gone\n")
	check(t, "GET", url+"go/none", "", 200, "Lua: go/none\n")
	check(t, "GET", url+"error", "", 500, "Internal Server Error\n")
	p.wait("on purpose", 1)
	if code, text := send(t, "GET", url+"go/time", ""); code != 200 || len(text) != len("2026-01-01T00:00:00Z\n") {
		t.Errorf("%d %q", code, text)
	}
	// One connection has both.
	need(t, "curl")
	if got := tool(t, "curl", "-sv", "--stderr", "-", url+"x", url+"go/time", url+"y"); strings.Count(got, "* Connected to") != 1 ||
		!strings.Contains(got, "Lua: x") || !regexp.MustCompile(`(?m)^\d+-\d\d-\d\dT`).MatchString(got) || !strings.Contains(got, "Lua: y") {
		t.Errorf("curl:\n%s", got)
	}
	p.terminate()
	p.exit()
}

func TestMemcached(t *testing.T) {
	p := run(t, "memcached", "-address", "127.0.0.1:0")
	address := p.wait(`memcached: (\S+)`, 1)[0]
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	large := strings.Repeat("x", 1<<16-1)
	largeAnswer := "VALUE l 0 65535\r\n" + large + "\r\n"
	for _, tt := range []struct{ in, want string }{
		{"get a\r\n", "END\r\n"},
		{"set a 7 0 2\r\nhi\r\nset b 0 0 0\r\n\r\nget a\r\nget b\r\n", "STORED\r\nSTORED\r\nVALUE a 7 2\r\nhi\r\nEND\r\nVALUE b 0 0\r\n\r\nEND\r\n"},
		{"set a 0 0 3\r\nnew\r\nget a\r\n", "STORED\r\nVALUE a 0 3\r\nnew\r\nEND\r\n"},
		{"delete a\r\ndelete  a \r\nversion\r\n", "DELETED\r\nNOT_FOUND\r\nVERSION 1.0.0\r\n"},
		{"set l 0 0 65535\r\n" + large + "\r\nget l\r\n", "STORED\r\n" + largeAnswer + "END\r\n"},
	} {
		talk(t, conn, tt.in, tt.want)
	}
	// Values that nobody reads are not made: what waits is bounded, and comes as soon as the client reads.
	const gets = 4000
	io.WriteString(conn, strings.Repeat("get l\r\n", gets))
	talk(t, conn, "version\r\n", strings.Repeat(largeAnswer+"END\r\n", gets)+"VERSION 1.0.0\r\n")
	if got, most := peakMemory(t, p.cmd.Process.Pid), gets*len(large)/2; got > most {
		t.Errorf("%d bytes of memory, of values that the client had not read; want at most %d", got, most)
	}
	io.WriteString(conn, "set a 0 0 65536\r\n")
	if text, err := io.ReadAll(conn); err != nil || string(text) != "ERROR\r\n" {
		t.Errorf("a value that is too large: %q, %v", text, err)
	}
	// At the end, a command that has begun is answered.
	conn, err = net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	talk(t, conn, "version\r\nset a 0 0 2\r\nh", "VERSION 1.0.0\r\n")
	p.terminate()
	await(t, "that the program ends", func() bool {
		other, err := net.Dial("tcp", address)
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	io.WriteString(conn, "i\r\n")
	if text, err := io.ReadAll(conn); err != nil || string(text) != "STORED\r\n" {
		t.Errorf("at the end: %q, %v", text, err)
	}
	p.exit()
}

// peakMemory is how many bytes of memory a process has had at most.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("%s", status)
	}
	kilobytes, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// A command that ends with the connection is answered; half of one, and what is no command, is not.
func TestMemcachedEnds(t *testing.T) {
	p := run(t, "memcached", "-address", "127.0.0.1:0")
	address := p.wait(`memcached: (\S+)`, 1)[0]
	for in, want := range map[string]string{
		"version\r\nget a":            "VERSION 1.0.0\r\n",
		"version\r\nset a 0 0 2\r\nx": "VERSION 1.0.0\r\n",
		// What follows a value that is longer than it should be is not taken for commands.
		"set a 0 0 2\r\nxyz\r\nversion\r\n": "ERROR\r\n",
		"set a 0 0 2\r\nxyversion\r\n":      "ERROR\r\n",
		"set a 0 0 x\r\nhi\r\n":             "ERROR\r\n",
		"set a 0 0 -1\r\nhi\r\n":            "ERROR\r\n",
		// A value that follows what is not understood is not taken for commands.
		"add a 0 0 9\r\nversion\r\n\r\nversion\r\n":         "ERROR\r\n",
		"set a 0 0 9 noreply\r\nversion\r\n\r\nversion\r\n": "ERROR\r\n",
		"get a b\r\nversion\r\n":                            "ERROR\r\n",
		"\r\nversion\r\n":                                   "ERROR\r\n",
		"set a\r\nversion\r\n":                              "ERROR\r\n",
		// No command is longer than the input may be.
		strings.Repeat("x", 68<<10-2) + "\r\n": "ERROR\r\n",
		strings.Repeat("x", 68<<10):            "",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, in)
		conn.(*net.TCPConn).CloseWrite()
		if text, err := io.ReadAll(conn); err != nil || string(text) != want {
			t.Errorf("%.40q: %q, %v; want %q", in, text, err, want)
		}
	}
	p.terminate()
	p.exit()
}

// talk sends bytes on a connection and checks those that come back.
func talk(t *testing.T, conn net.Conn, in, want string) {
	t.Helper()
	go io.WriteString(conn, in)
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("%.60q: %.300q, %v; want %.300q", in, got[:n], err, want)
	}
}

// The clients of others understand the server.
func TestMemcachedClients(t *testing.T) {
	p := run(t, "memcached", "-address", "127.0.0.1:0")
	address := p.wait(`memcached: (\S+)`, 1)[0]
	t.Run("libmemcached", func(t *testing.T) {
		need(t, "memccat")
		file := write(t, "moon", "light\n")
		servers := "--servers=" + address
		tool(t, "memcping", servers)
		tool(t, "memccp", servers, file)
		if got := tool(t, "memccat", servers, filepath.Base(file)); got != "light\n\n" && got != "light\n" {
			t.Errorf("got %q", got)
		}
		tool(t, "memcrm", servers, filepath.Base(file))
		if out, err := exec.Command("memccat", servers, filepath.Base(file)).CombinedOutput(); bytes.Contains(out, []byte("light")) {
			t.Errorf("after memcrm: %q, %v", out, err)
		}
	})
	t.Run("pymemcache", func(t *testing.T) {
		host, port, _ := net.SplitHostPort(address)
		got := tool(t, python(t, "pymemcache"), "-c", `
import sys
from pymemcache.client.base import Client
c = Client((sys.argv[1], int(sys.argv[2])), timeout=20, no_delay=True, default_noreply=False)
c.set_many({"a": b"1", "b": b"x" * 60000})
print(c.set("c", b"3"), c.get("c"), len(c.get("b")), c.get("d"))
print(c.delete("a"), c.delete("a"), c.version())
`, host, port)
		if want := "True b'3' 60000 None\nTrue False b'1.0.0'\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	p.terminate()
	p.exit()
}
