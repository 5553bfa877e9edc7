package main

import (
	"fmt"
	"strings"
	"testing"
)

// The script's limits on the size and time of client data apply.
func TestLimitsForClients(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/limits.lua")
	const patient, idle, head, stall = 0, 1, 2, 3 // listeners
	tests := []struct {
		name     string
		listener int
		request  string
		status   int // 0: the connection ends without an answer
	}{
		{"body that fits", patient, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000), 200},
		{"body too large", patient, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n" + strings.Repeat("x", 1001), 413},
		{"chunked body that fits", patient, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" +
			strings.Repeat("x", 1000) + "\r\n0\r\n\r\n", 200},
		{"chunked body too large", patient, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
			strings.Repeat("x", 1001) + "\r\n0\r\n\r\n", 413},
		{"head too large", patient, "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 2000) + "\r\n\r\n", 431},
		{"not a request", patient, "nonsense\r\n\r\n", 400},
		{"no host", patient, "GET / HTTP/1.1\r\n\r\n", 400},
		{"two framings", patient, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"unknown coding", patient, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		{"other version", patient, "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
		{"nothing", idle, "", 0},
		{"half a head", head, "GET / HTT", 408},
		{"half a body", stall, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf", 408},
		{"half a chunked body", stall, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf", 408},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := dial(t, s.address(test.listener))
			p.say("%s", test.request)
			if test.status != 0 {
				p.hears(test.status)
			}
			if test.status == 200 {
				p.say("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
				p.hears(200)
			}
			p.hearsEnd()
		})
	}
}

func TestTargetTooLong(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/hello.lua")
	p := dial(t, s.address(0))
	p.say("GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", strings.Repeat("x", 100000))
	p.hears(414)
	p.hearsEnd()
}

// Data that a handler has sent reaches the client while the handler runs: at once after flush, otherwise soon if there
// is enough of it.
func TestEarlyOutput(t *testing.T) {
	for _, path := range []string{"/flush?1", "/flush?2000", "/wait?1024", "/wait?200000"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			fifo, open := newFIFO(t)
			s := start(t, "testdata/early.lua", fifo)
			p := dial(t, s.address(0))
			p.get(path)
			s.wait("msg=waiting")
			head, err := p.r.Peek(len("HTTP/1.1 200 OK"))
			if err != nil || string(head) != "HTTP/1.1 200 OK" {
				t.Fatalf("%q, %v", head, err)
			}
			open()
			var n int
			fmt.Sscanf(path[strings.Index(path, "?"):], "?%d", &n)
			if got := p.hears(200); got != strings.Repeat("x", n)+"end" {
				t.Errorf("body of %d bytes, want %d", len(got), n+3)
			}
		})
	}
}
