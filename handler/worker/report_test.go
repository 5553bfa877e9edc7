package worker

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

// The message of each error arrives whole, whatever the error object is, with a traceback without nameless functions.
func TestReportOfErrors(t *testing.T) {
	w := mustLoad(t, "report.lua").fork(0, small)
	n := 0
	for _, c := range []struct{ path, want string }{
		{"plain", `testdata/report\.lua:7: plain`},
		{"nul", `testdata/report\.lua:8: bad packet \x00\x01\x02 from device 5`},
		{"number", `(testdata/report\.lua:9: )?42`},
		{"none", `error object of type nil|nil`}, // Lua 5.4 makes it a string
		{"boolean", `error object of type boolean`},
		{"object", `an \x00 object`},
		{"tostring_fails", `error object of type table: code = 7; its __tostring failed: testdata/report\.lua:14: attempt to concatenate .*`},
		{"tostring_fails_badly", `error object of type table; its __tostring failed with a table`},
		{"tostring_returns", `error object of type table; its __tostring (returned a table|failed: '__tostring' must return a string)`},
		{"nested", `(?s)testdata/report\.lua:17: outer: inner\nstack traceback:\n.*`},
	} {
		n++
		w.check(w.get("/"+c.path), "", 500<<shm.ResultStatusShift)
		r := w.last(n)
		if !regexp.MustCompile(`^(`+c.want+`)$`).MatchString(r.message) || r.MessageCut != 0 || r.TracebackCut != 0 {
			t.Errorf("%s: message %q", c.path, r.message)
		}
		// Where the function that failed is a tail call, that of the handler is the first one with a name.
		if !regexp.MustCompile(`^stack traceback:\n.*report\.lua:\d+: in function`).MatchString(strings.ReplaceAll(r.traceback, "\n\t", " ")) &&
			!strings.Contains(r.traceback, "report.lua:") || strings.Contains(r.traceback, "[C]: at") || strings.Contains(r.traceback, "[C]: in ?") {
			t.Errorf("%s: traceback %q", c.path, r.traceback)
		}
		if r.Level != shm.LevelError || r.Status != 0 || r.in != "request" || r.method != "GET" || r.path != "/"+c.path || r.interval != "" {
			t.Errorf("%s: %+v", c.path, r)
		}
	}
	w.get("/fields")
	r := w.last(n + 1)
	if !strings.HasPrefix(r.message, "error object of type table: ") || !strings.Contains(r.message, "code = 7") ||
		!strings.Contains(r.message, "text = a\x00b") || strings.Contains(r.message, "inner") {
		t.Errorf("fields: message %q", r.message)
	}
}

// Long texts are cut, and the report says how much is missing. Of the traceback a part is always left.
func TestReportIsBounded(t *testing.T) {
	w := mustLoad(t, "report.lua").fork(0, small)
	for i, c := range []struct {
		path    string
		message int
	}{{"long", 200000}, {"deep", 70000}} {
		w.get("/" + c.path)
		r := w.last(i + 1)
		place := strings.Index(r.message, "mmm")
		if got := len(r.message) - place + int(r.MessageCut); got != c.message || r.MessageCut == 0 {
			t.Errorf("%s: message of %d bytes, %d missing", c.path, len(r.message)-place, r.MessageCut)
		}
		if n := len(r.message) + len(r.traceback); n > shm.ReportTextMax || !strings.HasPrefix(r.traceback, "stack traceback:\n") {
			t.Errorf("%s: %d bytes, traceback %.100q", c.path, n, r.traceback)
		}
	}
}

// Timers, raw connections, HTTP on them, prepare and finish report their errors in the same way.
func TestReportOfEveryKind(t *testing.T) {
	f := mustLoad(t, "report.lua")
	w := f.fork(0, small)
	w.do(request{listener: 1, interval: "tick"})
	if r := w.last(1); r.in != "interval" || r.interval != "tick" || !strings.HasSuffix(r.message, "report.lua:32: ticked") {
		t.Errorf("%+v", r)
	}
	c := w.browse(2)
	c.send("http\n")
	c.wants("plain", 500, "Internal Server Error\n")
	if r := w.last(2); r.in != "request" || r.path != "/plain" || !strings.HasSuffix(r.message, ": plain") {
		t.Errorf("%+v", r)
	}
	c.leaves()
	w.quit()
	if r := w.last(3); r.in != "finish" || !strings.HasSuffix(r.message, ": unfinished") || !strings.HasPrefix(r.traceback, "stack traceback:") {
		t.Errorf("%+v", r)
	}

	w = f.fork(0, small)
	c = w.browse(2)
	c.send("raw\n")
	c.expectReset()
	w.wait()
	if r := w.last(1); r.in != "connection" || !strings.HasSuffix(r.message, ": raw") || r.method != "" || r.id != "" {
		t.Errorf("%+v", r)
	}

	w = mustLoad(t, "report.lua", "prepare").fork(0, small)
	if r := w.last(1); r.in != "prepare" || !strings.HasSuffix(r.message, ": unprepared") || !strings.HasPrefix(r.traceback, "stack traceback:") {
		t.Errorf("%+v", r)
	}
	if status := w.wait(); status.ExitStatus() != 1 {
		t.Errorf("worker ended with %#x", status)
	}
}

// A malformed body is not an error of the application. The report says what is wrong with it, and that it is answered 400.
func TestReportOfPeersFault(t *testing.T) {
	w := mustLoad(t, "report.lua").fork(0, small)
	w.check(w.do(request{head: "POST /form HTTP/1.1\nContent-Type: multipart/form-data; boundary=b\nContent-Length: 7", body: "no form"}), "",
		400<<shm.ResultStatusShift)
	if r := w.last(1); r.Level != shm.LevelInfo || r.Status != 400 || r.path != "/form" || !strings.Contains(r.message, "request body: ") {
		t.Errorf("%+v", r)
	}
	if s := w.stderr.String(); s != "" {
		t.Errorf("standard error has %q", s)
	}
}

// Every request has an id: that of the server, which needs it for the access log, the client's, or one made by the worker.
func TestRequestID(t *testing.T) {
	w := mustLoad(t, "report.lua").fork(0, small)
	id := func(fields string) string {
		t.Helper()
		return w.do(request{head: "GET /id HTTP/1.1" + fields}).body()
	}
	own := fmt.Sprintf("%010x-0-", w.mem.Header().IDPrefix)
	for _, c := range []struct{ fields, want string }{
		{"", own},
		{"\nX-Request-Id: abc-DEF_1.2", "abc-DEF_1.2"},
		{"\nX-Request-Identity: abcdefgh\nX-REQUEST-ID: abcdefgh\nx-request-id: second-one", "abcdefgh"},
		{"\nX-Request-Id: short", own},
		{"\nX-Request-Id: " + strings.Repeat("x", 64), strings.Repeat("x", 64)},
		{"\nX-Request-Id: " + strings.Repeat("x", 65), own},
		{"\nX-Request-Id: forged id=1", own},
	} {
		if got := id(c.fields); got != c.want && !(c.want == own && regexp.MustCompile(`^`+own+`\d+$`).MatchString(got)) {
			t.Errorf("%q: %q, want %q", c.fields, got, c.want)
		}
	}
	c := w.browse(2)
	c.send("http\n")
	_, first := c.ask("GET /id HTTP/1.1", "")
	_, second := c.ask("GET /id HTTP/1.1", "")
	if !strings.HasPrefix(first, own) || !strings.HasSuffix(first, ".1") || second != strings.TrimSuffix(first, "1")+"2" {
		t.Errorf("on a raw connection: %q, %q", first, second)
	}
	c.leaves()
}
