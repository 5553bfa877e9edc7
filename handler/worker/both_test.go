package worker

import (
	"slices"
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

// A script that keeps to what both versions of Lua have does the same with both: nothing here asks which one it is.
func TestBoth(t *testing.T) {
	f := mustLoad(t, "both.lua")
	for _, e := range []entry{
		{1, shm.TypeNumber, "port", "8080"}, {0, shm.TypeNumber, "pre_fork", "1"},
		{0, shm.TypeNumber, "exit_delay", "60"}, {0, shm.TypeNumber, "fork_delay", "1.5"},
	} {
		if !slices.Contains(f.listens[0], e) {
			t.Errorf("LISTEN has no %v: %v", e, f.listens[0])
		}
	}
	w := f.fork(0, small)
	form := "\nContent-Type: application/x-www-form-urlencoded\nX: header"
	for _, c := range []struct{ head, body, want string }{
		{"GET /wrap", "", "HTTP/1.1 200 OK\nX-From: GET\nDate: X\nTransfer-Encoding: chunked\n\n4\r\none;\r\n4\r\ntwo;\r\n3\r\nxx;\r\n0\r\n\r\n"},
		{"POST /body", "abcde", "HTTP/1.1 200 OK\nDate: X\nContent-Length: 12\n\nab|cd|e|dead"},
		{"POST /form?b=get HTTP/1.1\nHost: x" + form, "a=1&a=2", "HTTP/1.1 200 OK\nDate: X\nContent-Length: 8\n\n12header"},
		{"POST /stream", "abc", "HTTP/1.1 200 OK\nDate: X\nContent-Length: 24\n\n3 false attempt to yield"},
		{"GET /errors", "", "HTTP/1.1 200 OK\nDate: X\nContent-Length: 140\n\ntrue send_status: a status has already been sent " +
			"bad argument #1 to 'send_data' (request expected: call it as a method, with a colon) object"},
		{"GET /library", "", "HTTP/1.1 200 \nX-Number: 5\nDate: X\nContent-Length: 17\n\n3+4 13 7 7 3 true"},
		{"GET /whole", "", "HTTP/1.1 200 \nContent-Length: 10\nX-Number: 7\nX-Part: 1.5\nDate: X\n\n0123456789"},
		{"GET /file", "", "HTTP/1.1 200 OK\nDate: X\nContent-Length: 21\n\n[a1][file]closed file"},
	} {
		w.check(w.do(request{head: c.head, body: c.body}), c.want, 0)
	}
	w.check(w.get("/uncaught"), "", 500<<shm.ResultStatusShift)
	w.stderr.wait(t, "bad argument #1 to 'send_status' (string expected, got no value)\nstack traceback:")
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
	if s := w.stderr.all(t); strings.Count(s, "traceback") != 1 {
		t.Errorf("standard error: %s", s)
	}
}
