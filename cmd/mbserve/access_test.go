package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// entry is a line of the JSON access log.
type entry struct {
	Time           time.Time
	Client         string
	Port           int
	Method, Target string
	Protocol       string
	Status         int
	Bytes          int
	Complete       bool
	Referer        string
	UserAgent      string `json:"user_agent"`
	RequestID      string `json:"request_id"`
	Queue, Service *float64
	Total          float64
}

// fileLines waits until a file has n lines, and returns them.
func fileLines(t testing.TB, file string, n int) []string {
	t.Helper()
	var got []string
	eventually(t, fmt.Sprintf("%d lines in %s", n, file), func() bool {
		text, _ := os.ReadFile(file)
		got = strings.SplitAfter(string(text), "\n")
		got = got[:len(got)-1]
		return len(got) >= n
	})
	if len(got) > n {
		t.Fatalf("%d lines in %s, want %d:\n%s", len(got), file, n, got)
	}
	return got
}

func parseEntry(t testing.TB, line string) (e entry) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return e
}

// sayRaw sends bytes to a listener and returns the status line of the answer.
func sayRaw(t testing.TB, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, text)
	line, _ := bufio.NewReader(c).ReadString('\n')
	return line
}

func TestAccessLogJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	s := start(t, "--access-log", file, "--access-format", "json", "testdata/access.lua")
	n := 0
	last := func() entry {
		t.Helper()
		n++
		return parseEntry(t, fileLines(t, file, n)[n-1])
	}
	get := func(path string, fields string) {
		t.Helper()
		sayRaw(t, s.address(0), "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"+fields+"\r\n")
	}
	get("/a?b=c", "Referer: http://r/\r\nUser-Agent: test \"x\"\xc3\xa4\x01\r\nX-Request-Id: abcdef-1\r\n")
	if e := last(); e.Status != 400 {
		t.Errorf("a control character in a field: %+v", e)
	}
	get("/a?b=c", "Referer: http://r/\r\nUser-Agent: test \"x\"\xc3\xa4\xff\r\nX-Request-Id: abcdef-1\r\n")
	e := last()
	if e.Client != "127.0.0.1" || e.Port == 0 || e.Method != "GET" || e.Target != "/a?b=c" || e.Protocol != "HTTP/1.1" ||
		e.Status != 200 || e.Bytes != 5 || !e.Complete || e.Referer != "http://r/" || e.UserAgent != `test "x"ä\xff` || e.RequestID != "abcdef-1" {
		t.Errorf("%+v", e)
	}
	if e.Queue == nil || e.Service == nil || *e.Queue < 0 || *e.Service < 0 || e.Total < *e.Service {
		t.Errorf("times: %+v", e)
	}
	if d := time.Since(e.Time); d < -time.Second || d > time.Hour {
		t.Errorf("time %v", e.Time)
	}

	get("/fail", "")
	if e = last(); e.Status != 500 || e.RequestID == "" {
		t.Errorf("%+v", e)
	}
	s.wait("on purpose", "path=/fail", "request_id="+e.RequestID+" ")
	get("/fail", "X-Request-Id: from-a-proxy\r\n")
	last()
	s.wait("on purpose", "path=/fail", "request_id=from-a-proxy ")

	get("/broken", "")
	if e = last(); e.Status != 200 || e.Complete || e.Bytes != len("only this") {
		t.Errorf("%+v", e)
	}
	if line := sayRaw(t, s.address(0), "nonsense\r\n\r\n"); !strings.Contains(line, " 400 ") {
		t.Errorf("answer %q", line)
	}
	if e = last(); e.Status != 400 || e.Method != "" || e.Protocol != "" || e.Queue != nil || e.Service != nil {
		t.Errorf("%+v", e)
	}
}

// The only worker is busy with one request while the other waits.
func TestAccessLogTimes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	s := start(t, "--loops", "1", "--access-log", file, "--access-format", "json", "testdata/access.lua")
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			resp, err := http.Get(s.url("/slow"))
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	both.Wait()
	var queued float64
	for _, line := range fileLines(t, file, 2) {
		e := parseEntry(t, line)
		if e.Status != 202 || e.Queue == nil || e.Service == nil {
			t.Fatalf("%+v", e)
		}
		if *e.Service < 0.29 || e.Total < *e.Queue+*e.Service-0.01 {
			t.Errorf("queue %v, service %v, total %v", *e.Queue, *e.Service, e.Total)
		}
		queued = max(queued, *e.Queue)
	}
	if queued < 0.1 {
		t.Errorf("no request has waited: %v", queued)
	}
}

func TestAccessLogCombined(t *testing.T) {
	s := start(t, "--access-log", "-", "testdata/access.lua")
	sayRaw(t, s.address(0), "GET /a\"b HTTP/1.0\r\nUser-Agent: \"\\x\r\n\r\n")
	line := s.out.wait(t, 0, "HTTP/1.0")
	want := `^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a\\x22b HTTP/1\.0" 200 5 "-" "\\x22\\x5cx" ` +
		`[0-9a-f]{10}-\d+-\d+ \d+\.\d{6} \d+\.\d{6} \d+\.\d{6}\n$`
	if !regexp.MustCompile(want).MatchString(line) {
		t.Errorf("%q does not match\n%s", line, want)
	}
	sayRaw(t, s.address(0), "\x01\x02\r\n\r\n")
	s.out.wait(t, 0, `"-" 400 12 "-" "-"`)
}

// USR1 reopens the file. All lines are in it when the server has ended.
func TestAccessLogReopen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	s := start(t, "--access-log", file, "testdata/access.lua")
	get := func(path string) {
		t.Helper()
		sayRaw(t, s.address(0), "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	}
	get("/before")
	fileLines(t, file, 1)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGUSR1)
	eventually(t, "file reopened", func() bool { _, err := os.Stat(file); return err == nil })
	for i := range 20 {
		get(fmt.Sprintf("/after/%d", i))
	}
	s.stop()
	if all := fileLines(t, file, 20); !strings.Contains(all[19], "/after/") {
		t.Errorf("last line %q", all[19])
	}
	if all := fileLines(t, file+".1", 1); !strings.Contains(all[0], "/before") {
		t.Errorf("before: %q", all)
	}
}

// A full disk is reported at most once a second, and has no other effect.
func TestAccessLogDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	s := start(t, "--access-log", "/dev/full", "testdata/access.lua")
	for range 30 {
		if line := sayRaw(t, s.address(0), "GET / HTTP/1.0\r\n\r\n"); !strings.Contains(line, " 200 ") {
			t.Fatalf("answer %q", line)
		}
	}
	s.wait("access log: lines lost", "no space left")
	if n := strings.Count(s.log.String(), "access log"); n > 10 {
		t.Errorf("reported %d times", n)
	}
}

// If nothing reads standard output, the server still serves, lines are lost, and the server can stop.
func TestAccessLogNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	file := fmt.Sprintf("/proc/self/fd/%d", 3)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := launchWith(t, program, []*os.File{w}, nil, "--loops", "1", "--access-log", file, "testdata/access.lua")
	w.Close()
	s.wait("msg=ready")
	c, err := net.Dial("tcp", s.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	target := "/" + strings.Repeat("x", 2000)
	agent := strings.Repeat("\"", 500)
	request := "GET " + target + " HTTP/1.1\r\nHost: h\r\nUser-Agent: " + agent + "\r\nReferer: " + agent + agent + "\r\n\r\n"
	answers := bufio.NewReader(c)
	for range accessBufferMax/4000 + 100 {
		fmt.Fprint(c, request)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	s.wait("access log: lines lost", "cannot be written fast enough")
	s.stop()
	s.wait("access log: the last lines could not be written in time")
}

func TestAccessLogOptions(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--access-format", "xml", "x.lua"}, exitUsage, "combined or json"},
		{[]string{"-b", "--access-log", "-", "x.lua"}, exitUsage, "no standard output in the background"},
		{[]string{"--access-log", "/nowhere/access.log", "testdata/access.lua"}, exitStart, "access log /nowhere/access.log: no such file"},
	} {
		if _, stderr := runToEnd(t, c.code, c.args...); !strings.Contains(stderr, c.want) {
			t.Errorf("%v: %s", c.args, stderr)
		}
	}
}
