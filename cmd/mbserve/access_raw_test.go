package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Requests on raw connections have the same lines as those that the server serves: only ids, ports and times differ.
func TestAccessLogRaw(t *testing.T) {
	for _, format := range []string{"combined", "json"} {
		file := filepath.Join(t.TempDir(), "access.log")
		s := start(t, "--access-log", file, "--access-format", format, "testdata/access_raw.lua")
		n := 0
		line := func(address, request string) string {
			t.Helper()
			sayRaw(t, address, request)
			n++
			return fileLines(t, file, n)[n-1]
		}
		for _, request := range []string{
			"GET /a?b=c HTTP/1.1\r\nHost: h\r\nReferer: http://r/\r\nUser-Agent: \"x\"\xe4\r\nX-Request-Id: abcdef-1\r\nConnection: close\r\n\r\n",
			"GET /absent HTTP/1.0\r\n\r\n",
			"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			"POST /" + strings.Repeat("y", 3000) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
			"GET /fail HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			"GET /cut HTTP/1.1\r\nHost: h\r\n\r\n",
			"nonsense\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n",
		} {
			if server, raw := line(s.tcp(0), request), line(s.tcp(1), request); variable(server) != variable(raw) {
				t.Errorf("%.60q: the lines differ:\n%s%s", request, server, raw)
			}
		}
		own := line(s.tcp(1), "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if !regexp.MustCompile(`\b[0-9a-f]{10}-0-[0-9]+\.1\b`).MatchString(own) {
			t.Errorf("no id of a worker: %s", own)
		}
	}
}

// variable is a line of the access log without what differs from one request to the next.
func variable(line string) string {
	for _, c := range [][2]string{
		{`\b\d+\.\d{6}\b`, "0.0"}, {`\[[^]]*\]`, "[time]"}, {`"time":"[^"]*"`, `"time":""`}, {`"port":\d+`, `"port":0`},
		{`\b[0-9a-f]{10}-\d+-\d+(\.\d+)?\b`, "own"},
	} {
		line = regexp.MustCompile(c[0]).ReplaceAllString(line, c[1])
	}
	return line
}

// Every request of a raw connection has a line, in the order of the requests, with times that fit together. One that breaks
// off has a line too, and so has one whose connection the handler closes.
func TestAccessLogRawConnection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	s := start(t, "--access-log", file, "--access-format", "json", "testdata/access_raw.lua")
	p := dial(t, s.tcp(1))
	for i := range 5 {
		p.say("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
		p.hears(200)
	}
	p.say("POST /5 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
	p.Close()
	for i, line := range fileLines(t, file, 6) {
		e := parseEntry(t, line)
		if e.Target != fmt.Sprintf("/%d", i) || e.Client != "127.0.0.1" || e.Port == 0 || (e.Status == 400) != (i == 5) ||
			i < 5 && (e.Status != 200 || !e.Complete || e.Service == nil || *e.Queue != 0 || e.Total < *e.Service || time.Since(e.Time) > time.Hour) {
			t.Errorf("line %d: %s", i, line)
		}
	}
	p = dial(t, s.tcp(1))
	p.say("GET /by%%20hand HTTP/1.1\r\nHost: h\r\n\r\n")
	p.Close()
	if e := parseEntry(t, fileLines(t, file, 7)[6]); e.Target != "/by%20hand" {
		t.Errorf("%+v", e)
	}
}
