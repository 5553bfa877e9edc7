package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"moonbridge/handler/worker"
)

// fileServer is a server with the script send_file.lua.
type fileServer struct {
	*instance
	dir       string
	addresses map[string]string // "http" and "raw"
	access    string
}

func startFileServer(t *testing.T, args ...string) *fileServer {
	t.Helper()
	t.Parallel()
	s := &fileServer{dir: t.TempDir(), access: filepath.Join(t.TempDir(), "access")}
	args = append(args, "--access-log", s.access, "--access-format", "json", "testdata/send_file.lua", s.dir)
	s.instance = start(t, args...)
	found := regexp.MustCompile(`msg=listening .*address=[a-z]+://([0-9.:]+)`).FindAllStringSubmatch(s.log.String(), -1)
	if len(found) != 2 {
		t.Fatalf("%d listeners:\n%s", len(found), s.log)
	}
	s.addresses = map[string]string{"http": found[0][1], "raw": found[1][1]}
	return s
}

// file makes a file in the directory of the script.
func (s *fileServer) file(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(s.dir, name), at, at); err != nil {
		s.t.Fatal(err)
	}
}

// does makes one request, which tells the script what to do.
func (s *fileServer) does(kind, method, what string, fields ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, "http://"+s.addresses[kind]+"/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("X-Do", what)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: patience}
	resp, body, err := do(c, req)
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
	return resp, body
}

// lines is the content of test files.
func numbered(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()[:size]
}

// A handler sends a file that is only in memory, whole and in parts, and may close it at once.
func TestSendFileMemory(t *testing.T) {
	if !strings.HasPrefix(worker.Version(), "LuaJIT") {
		t.Skip("the script makes such a file with LuaJIT's ffi")
	}
	s := startFileServer(t)
	const sends = `local ffi = require "ffi"
pcall(ffi.cdef, "int memfd_create(const char *, unsigned); int close(int);")
local fd = ffi.C.memfd_create("page", 1)
assert(fd >= 0)
local f = assert(io.open("/proc/self/fd/" .. fd, "r+"))
f:write(("0123456789abcdef"):rep(20000))
%s
f:close()
ffi.C.close(fd)`
	content := strings.Repeat("0123456789abcdef", 20000)
	for name, call := range map[string]string{
		"handle": `request:send_file(f, { type = "text/plain", etag = "v" })`,
		"path":   `f:flush() request:send_file("/proc/self/fd/" .. fd, { type = "text/plain", etag = "v" })`,
	} {
		do := strings.ReplaceAll(fmt.Sprintf(sends, call), "\n", " ")
		for kind := range s.addresses {
			if resp, body := s.does(kind, "GET", do); resp.StatusCode != 200 || body != content || resp.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("%s, %s: %d, %d bytes: %.200s", kind, name, resp.StatusCode, len(body), body)
			}
			if resp, body := s.does(kind, "GET", do, "Range: bytes=100000-299999"); resp.StatusCode != 206 || body != content[100000:300000] {
				t.Errorf("%s, %s, range: %d, %d bytes: %.200s", kind, name, resp.StatusCode, len(body), body)
			}
			if resp, _ := s.does(kind, "GET", do, `If-None-Match: "v"`); resp.StatusCode != 304 {
				t.Errorf("%s, %s, condition: %d", kind, name, resp.StatusCode)
			}
		}
	}
}

// A handler sends a file, or what the conditions and ranges of the request make of it, on both kinds of listeners.
func TestSendFile(t *testing.T) {
	s := startFileServer(t)
	content := numbered(1_000_000)
	s.file("a.txt", content)
	s.file("empty.css", "")
	const sends = `request:send_file(dir .. "/a.txt")`
	const seconds = 1714979289 // 6 May 2024, 07:08:09
	for _, c := range []struct {
		name, method, what string
		field              string // of the request
		status             int
		body               string
		want               string // a field of the response
	}{
		{"whole", "GET", sends, "", 200, content, "Content-Type: text/plain; charset=utf-8"},
		{"length", "GET", sends, "", 200, content, "Content-Length: 1000000"},
		{"modified", "GET", sends, "", 200, content, "Last-Modified: Mon, 06 May 2024 07:08:09 GMT"},
		{"ranges", "GET", sends, "", 200, content, "Accept-Ranges: bytes"},
		{"nosniff", "GET", sends, "", 200, content, "X-Content-Type-Options: nosniff"},
		{"HEAD", "HEAD", sends, "", 200, "", "Content-Length: 1000000"},
		{"POST", "POST", sends, "If-None-Match: *", 200, content, ""},
		{"empty", "GET", `request:send_file(dir .. "/empty.css")`, "", 200, "", "Content-Length: 0"},
		{"range", "GET", sends, "Range: bytes=7-500006", 206, content[7:500007], "Content-Range: bytes 7-500006/1000000"},
		{"suffix", "GET", sends, "Range: bytes=-5", 206, content[999995:], "Content-Length: 5"},
		{"unsatisfiable", "GET", sends, "Range: bytes=1000000-", 416, "Range Not Satisfiable", "Content-Range: bytes */1000000"},
		{"not modified", "GET", sends, "If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT", 304, "", ""},
		{"etag", "GET", `request:send_file(dir .. "/a.txt", { etag = "v1" })`, `If-None-Match: W/"v1"`, 304, "", `Etag: "v1"`},
		{"weak etag", "GET", `request:send_file(dir .. "/a.txt", { etag = 'W/"v1"' })`, "", 200, content, `Etag: W/"v1"`},
		{"condition", "GET", `request:send_file(dir .. "/a.txt", { etag = "v1" })`, `If-Match: "v2"`, 412, "Precondition Failed", ""},
		{"last_modified", "GET", fmt.Sprintf(`request:send_file(dir .. "/a.txt", { last_modified = %d })`, seconds+1), "", 200, content,
			"Last-Modified: Mon, 06 May 2024 07:08:10 GMT"},
		{"max_age", "GET", `request:send_file(dir .. "/a.txt", { max_age = 60 })`, "", 200, content, "Cache-Control: max-age=60"},
		{"type", "GET", `request:send_file(dir .. "/a.txt", { type = "text/x" })`, "", 200, content, "Content-Type: text/x"},
		{"type sent", "GET", `request:send_status("200 OK") request:send_header("content-type", "text/y") ` + sends, "", 200, content, "Content-Type: text/y"},
		{"download", "GET", `request:send_file(dir .. "/a.txt", { download = "Grüße \"1\".txt" })`, "", 200, content,
			`Content-Disposition: attachment; filename="Gr__e _1_.txt"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.txt`},
		{"field", "GET", `request:send_status("200 Fine") request:send_header("X-A", "b") ` + sends, "", 200, content, "X-A: b"},
		{"field of 206", "GET", `request:send_status("200 Fine") request:send_header("X-A", "b") ` + sends, "Range: bytes=0-1", 206, "li", "X-A: b"},
		{"error page", "GET", `request:send_status("404 Not Found") ` + sends, "Range: bytes=0-1", 404, content, "Content-Length: 1000000"},
		{"after early hints", "GET", `request:send_status("103 Early Hints") request:finish_headers() ` + sends, "", 200, content, "Content-Length: 1000000"},
		{"handle", "GET", `local f = io.open(dir .. "/a.txt") f:read(100) request:send_file(f) f:close()`, "", 200, content, "Content-Type: application/octet-stream"},
		{"tmpfile", "GET", `local f = io.tmpfile() f:write("temporary") request:send_file(f, { type = "text/plain" }) f:close()`, "", 200, "temporary", "Content-Type: text/plain"},
		{"name of a download", "GET", `local f = io.tmpfile() f:write("x") request:send_file(f, { download = "a.csv" })`, "", 200, "x", "Content-Type: text/csv; charset=utf-8"},
		{"written just now", "GET", `local f = io.open(dir .. "/new", "w+") f:write("new") request:send_file(f)`, "", 200, "new", ""},
		{"descriptor", "GET", `local f = io.open(dir .. "/a.txt") request:send_file("/dev/fd/" .. 0 + 0, nil)`, "", 500, "send_file: /dev/fd/0: ", ""},
	} {
		for kind := range s.addresses {
			var fields []string
			if c.field != "" {
				fields = append(fields, c.field)
			}
			resp, body := s.does(kind, c.method, c.what, fields...)
			if c.method == "HEAD" {
				body = ""
			}
			same := body == c.body || resp.StatusCode >= 400 && resp.StatusCode != 404 && strings.Contains(body, c.body)
			if resp.StatusCode != c.status || !same {
				t.Errorf("%s, %s: %d, %d bytes, want %d, %d bytes: %.200s", kind, c.name, resp.StatusCode, len(body), c.status, len(c.body), body)
			}
			name, value, _ := strings.Cut(c.want, ": ")
			if name != "" && (resp.Header.Get(name) != value || len(resp.Header.Values(name)) != 1) {
				t.Errorf("%s, %s: %s is %q, want %q", kind, c.name, name, resp.Header.Values(name), value)
			}
		}
	}
}

// Several ranges are a multipart body, the same on both kinds of listeners.
func TestSendFileRanges(t *testing.T) {
	s := startFileServer(t)
	content := numbered(300_000)
	s.file("a.txt", content)
	for kind := range s.addresses {
		resp, body := s.does(kind, "GET", `request:send_file(dir .. "/a.txt")`, "Range: bytes=0-9,100000-199999,-10")
		_, boundary, _ := strings.Cut(resp.Header.Get("Content-Type"), "boundary=")
		part := func(from, to int) string {
			return fmt.Sprintf("--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes %d-%d/300000\r\n\r\n%s\r\n",
				boundary, from, to-1, content[from:to])
		}
		if want := part(0, 10) + part(100_000, 200_000) + part(299_990, 300_000) + "--" + boundary + "--\r\n"; resp.StatusCode != 206 || body != want {
			t.Errorf("%s: %d, %d bytes, want %d", kind, resp.StatusCode, len(body), len(want))
		}
	}
}

// What cannot be sent is an error in the handler, which can answer otherwise then.
func TestSendFileErrors(t *testing.T) {
	s := startFileServer(t)
	s.file("a.txt", "hello")
	for name, err := range map[string]error{
		"fifo": syscall.Mkfifo(filepath.Join(s.dir, "fifo"), 0o600),
		"loop": os.Symlink("loop", filepath.Join(s.dir, "loop")),
	} {
		if err != nil {
			t.Fatal(name, err)
		}
	}
	for _, c := range []struct{ what, want string }{
		{`request:send_file(dir .. "/none")`, "/none: No such file or directory"},
		{`request:send_file(dir)`, "it is a directory"},
		{`request:send_file(dir .. "/fifo")`, "/fifo: it is not a regular file"},
		{`request:send_file(dir .. "/loop")`, "/loop: Too many levels of symbolic links"},
		{`request:send_file("/dev/null")`, "/dev/null: it is not a regular file"},
		{`request:send_file(dir .. "/a.txt\0x")`, "send_file: the path contains a NUL"},
		{`request:send_file()`, "send_file: expected a path or a file, got nothing"},
		{`request:send_file({})`, "send_file: expected a path or a file, got table"},
		{`request:send_file(request)`, "FILE* expected"},
		{`local f = io.open(dir .. "/a.txt") f:close() request:send_file(f)`, "send_file: the file is closed"},
		{`request:send_file(io.open(dir .. "/a.txt", "a"))`, "send_file: the file is open for writing only"},
		{`request:send_file(io.open(dir .. "/a.txt"), { delete = true })`, "send_file: the option 'delete' needs a path"},
		{`request:send_file(dir .. "/a.txt", 5)`, "send_file: its options are a table, not a number"},
		{`request:send_file(dir .. "/a.txt", { typ = "x" })`, "send_file: there is no option 'typ'"},
		{`request:send_file(dir .. "/a.txt", { "x" })`, "send_file: the names of options are strings"},
		{`request:send_file(dir .. "/a.txt", { type = 5 })`, "send_file: the option 'type' must be a string, not a number"},
		{`request:send_file(dir .. "/a.txt", { type = "a\nb" })`, "send_file: " + s.dir + "/a.txt: the option 'type' contains control characters"},
		{`request:send_file(dir .. "/a.txt", { etag = 'a"b' })`, "the option 'etag' must be an entity tag"},
		{`request:send_file(dir .. "/a.txt", { max_age = -1 })`, "send_file: the option 'max_age' must be a number of seconds"},
		{`request:send_file(dir .. "/a.txt", { last_modified = 0/0 })`, "send_file: the option 'last_modified' must be a number of seconds"},
		{`request:send_file(dir .. "/a.txt", { delete = 1 })`, "send_file: the option 'delete' must be a boolean, not a number"},
		{`request.send_file()`, "request expected: call it as a method, with a colon"},
		{`request:not_modified()`, "not_modified: it needs 'etag' or 'last_modified'"},
		{`request:not_modified("x")`, "not_modified: its options are a table, not a string"},
		{`request:not_modified{ type = "x" }`, "not_modified: there is no option 'type'"},
		{`request:not_modified{ etag = "a b" }`, "not_modified: the option 'etag' must be an entity tag"},
	} {
		for kind := range s.addresses {
			if resp, body := s.does(kind, "GET", c.what); resp.StatusCode != 500 || !strings.Contains(body, c.want) {
				t.Errorf("%s: %s: %d %q, want %q", kind, c.what, resp.StatusCode, body, c.want)
			}
		}
	}
	for _, c := range []struct{ before, want string }{
		{`request:send_status("200 OK") request:send_header("Content-Length", "5")`, "send_file sends the Content-Length itself"},
		{`request:send_status("204 No Content")`, "send_file: a response with status 204 has no body"},
		{`request:send_status("200 OK") request:finish_headers()`, "send_file: the header section is already finished"},
		{`request:send_status("200 OK") request:send_data("x")`, "send_file: the header section is already finished"},
		{`request:send_status("200 OK") request:finish()`, "send_file: the response is already finished"},
		{`request:send_file(dir .. "/a.txt")`, "send_file: the response is already finished"},
		{`request:send_status("103 Early Hints")`, "send_file: status 103 is interim"},
	} {
		what := c.before + ` local ok, e = pcall(request.send_file, request, dir .. "/a.txt") io.stderr:write(e, "\n")`
		if strings.Contains(c.before, "103") {
			what += ` request:finish_headers() request:send_status("200 OK")`
		}
		if strings.Contains(c.before, "Content-Length") {
			what += ` request:send_data("hello")`
		}
		for kind := range s.addresses {
			s.does(kind, "GET", what)
			s.wait(c.want)
		}
	}
}

// The option delete removes the name of the file, whatever the answer is.
func TestSendFileDelete(t *testing.T) {
	s := startFileServer(t)
	content := numbered(3_000_000)
	for kind := range s.addresses {
		for i, field := range []string{"Range: bytes=0-2999999", "If-None-Match: *"} {
			name := kind + strconv.Itoa(i)
			s.file(name, content)
			resp, body := s.does(kind, "GET", fmt.Sprintf(`request:send_file(dir .. "/%s", { delete = true })`, name), field)
			if _, err := os.Stat(filepath.Join(s.dir, name)); !os.IsNotExist(err) {
				t.Errorf("%s: the file is still there: %v", name, err)
			}
			if i == 0 && body != content || resp.StatusCode != []int{206, 304}[i] {
				t.Errorf("%s: %d, %d bytes", name, resp.StatusCode, len(body))
			}
		}
		resp, body := s.does(kind, "GET", `local n = os.tmpname() local f = io.open(n, "w") f:write(n) f:close() request:send_file(n, { delete = true })`)
		if _, err := os.Stat(body); resp.StatusCode != 200 || !os.IsNotExist(err) {
			t.Errorf("%d %q: %v", resp.StatusCode, body, err)
		}
	}
}

// Conditional requests are answered before the handler has made the response.
func TestNotModified(t *testing.T) {
	s := startFileServer(t)
	for _, c := range []struct {
		method, options, field string
		status                 int
		want                   string
	}{
		{"GET", `etag = "a"`, "", 200, ""},
		{"GET", `etag = "a"`, `If-None-Match: "b"`, 200, ""},
		{"GET", `etag = "a"`, `If-None-Match: "b", W/"a"`, 304, `Etag: "a"`},
		{"HEAD", `etag = 'W/"a"'`, `If-None-Match: "a"`, 304, `Etag: W/"a"`},
		{"GET", `etag = "a"`, "If-None-Match: *", 304, ""},
		{"POST", `etag = "a"`, `If-None-Match: "a"`, 412, "Content-Type: text/plain"},
		{"PUT", `etag = "a"`, `If-Match: "a"`, 200, ""},
		{"PUT", `etag = "a"`, `If-Match: "b"`, 412, ""},
		{"PUT", `etag = 'W/"a"'`, `If-Match: W/"a"`, 412, ""},
		{"OPTIONS", `etag = "a"`, `If-Match: "b"`, 200, ""},
		{"GET", `last_modified = 1714979289`, "If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT", 304, "Last-Modified: Mon, 06 May 2024 07:08:09 GMT"},
		{"GET", `last_modified = 1714979290`, "If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT", 200, ""},
		{"DELETE", `last_modified = 1714979290`, "If-Unmodified-Since: Mon, 06 May 2024 07:08:09 GMT", 412, ""},
		{"POST", `last_modified = 1714979289`, "If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT", 200, ""},
	} {
		for kind := range s.addresses {
			for _, before := range []string{"", `request:send_status("200 OK") request:send_header("Vary", "X") `} {
				what := before + fmt.Sprintf(`if request:not_modified{ %s } then io.stderr:write("answered\n") return end `, c.options)
				if before == "" {
					what += `request:send_status("200 OK") `
				}
				fields := []string{}
				if c.field != "" {
					fields = append(fields, c.field)
				}
				resp, body := s.does(kind, c.method, what+`request:send_data("fresh")`, fields...)
				if resp.StatusCode != c.status || c.method != "HEAD" && (c.status == 200) != (body == "fresh") || before != "" && resp.Header.Get("Vary") != "X" {
					t.Errorf("%s: %s %s with %q: %d %q, want %d", kind, c.method, c.options, c.field, resp.StatusCode, body, c.status)
				}
				if name, value, is := strings.Cut(c.want, ": "); is && resp.Header.Get(name) != value {
					t.Errorf("%s: %s %s: %s is %q", kind, c.method, c.options, name, resp.Header.Get(name))
				}
			}
		}
	}
}

// large makes a file that no socket buffer holds.
func (s *fileServer) large() (size int64) {
	s.t.Helper()
	size = 100 << 20
	f, err := os.Create(filepath.Join(s.dir, "large"))
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	f.Close()
	return size
}

// asks sends a request on a connection.
func (p *peer) asks(what string) {
	p.t.Helper()
	p.say("GET / HTTP/1.1\r\nHost: h\r\nX-Do: %s\r\n\r\n", what)
}

// openFiles is how many descriptors of a file the server itself has.
func (s *fileServer) openFiles(name string) int {
	s.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", s.pid())
	list, err := os.ReadDir(dir)
	if err != nil {
		s.t.Skip("the descriptors of a process cannot be listed: ", err)
	}
	n := 0
	for _, e := range list {
		if target, _ := os.Readlink(filepath.Join(dir, e.Name())); strings.HasPrefix(target, filepath.Join(s.dir, name)) {
			n++
		}
	}
	return n
}

func (s *fileServer) awaitOpenFiles(name string, n int) {
	s.t.Helper()
	if !holds(patience, func() bool { return s.openFiles(name) == n }) {
		s.t.Errorf("%d descriptors of the file are open, want %d", s.openFiles(name), n)
	}
}

// Slow readers hold no worker. Those that vanish leave nothing behind.
func TestSendFileSlowReaders(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	s := startFileServer(t)
	size := s.large()
	const readers = 20
	var all []*peer
	for range readers {
		p := dial(t, s.addresses["http"])
		p.asks(`request:send_file(dir .. "/large")`)
		if _, err := io.ReadFull(p.r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if _, body := s.does("http", "GET", `request:send_status("200 OK") request:send_data("free")`); body != "free" {
		t.Errorf("got %q beside slow readers", body)
	}
	s.awaitOpenFiles("large", readers)
	for _, p := range all[1:] {
		p.Close()
	}
	s.awaitOpenFiles("large", 1)
	if n, err := io.Copy(io.Discard, io.LimitReader(all[0].r, size)); n != size || err != nil {
		t.Errorf("%d bytes arrived, %v", n, err)
	}
	all[0].Close()
	s.awaitOpenFiles("large", 0)
}

// A worker that has handed a file over may be killed.
func TestSendFileWorkerKilled(t *testing.T) {
	s := startFileServer(t)
	size := s.large()
	p := dial(t, s.addresses["http"])
	p.asks(`request:send_file(dir .. "/large") os.execute("kill -KILL $PPID")`)
	s.wait("signal SIGKILL")
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil || resp.StatusCode != 200 {
		t.Errorf("%d: %d bytes arrived, %v", resp.StatusCode, n, err)
	}
	// Before that, the request gets another worker.
	p.asks(`local f = io.open(dir .. "/mark") if not f then io.open(dir .. "/mark", "w"):close() os.execute("kill -KILL $PPID") end ` +
		`request:send_file(dir .. "/mark")`)
	if body := p.hears(200); body != "" {
		t.Errorf("body %q", body)
	}
}

// A file that becomes shorter while it is sent ends in a reset. One that is removed or replaced is sent as it was.
func TestSendFileChanges(t *testing.T) {
	s := startFileServer(t)
	size := s.large()
	name := filepath.Join(s.dir, "large")
	for kind := range s.addresses {
		p := dial(t, s.addresses[kind])
		p.asks(`request:send_file(dir .. "/large")`)
		if _, err := io.ReadFull(p.r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		s.file("large", "another one")
		if n, err := io.Copy(io.Discard, io.LimitReader(p.r, size)); n != size || err != nil {
			t.Errorf("%s: %d bytes arrived, %v", kind, n, err)
		}
		s.large()
	}
	for kind := range s.addresses {
		p := dial(t, s.addresses[kind])
		p.asks(`request:send_file(dir .. "/large")`)
		if _, err := io.ReadFull(p.r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, 1000); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, p.r); err == nil || n >= size {
			t.Errorf("%s: %d bytes arrived, and the connection ended as if that were all", kind, n)
		}
		s.large()
	}
	s.wait("responses broken off: file not readable to its end")
}

// The access log has the bytes that were sent, of the body alone.
func TestSendFileAccess(t *testing.T) {
	s := startFileServer(t)
	s.file("a.txt", numbered(200_000))
	for kind := range s.addresses {
		p := dial(t, s.addresses[kind])
		p.asks(`request:send_file(dir .. "/a.txt")`)
		p.hears(200)
		p.say("HEAD / HTTP/1.1\r\nHost: h\r\nX-Do: request:send_file(dir .. \"/a.txt\")\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nRange: bytes=0-49999\r\nX-Do: request:send_file(dir .. \"/a.txt\")\r\n\r\n")
		resp, err := http.ReadResponse(p.r, &http.Request{Method: "HEAD"})
		if err != nil || resp.ContentLength != 200_000 {
			t.Fatal(resp, err)
		}
		p.hears(206)
		p.Close()
	}
	got := map[string]int{}
	for _, line := range fileLines(t, s.access, 6) {
		e := parseEntry(t, line)
		got[fmt.Sprint(e.Status, " ", e.Bytes, " ", e.Complete)]++
	}
	for _, want := range []string{"200 200000 true", "200 0 true", "206 50000 true"} {
		if got[want] != 2 {
			t.Errorf("entries %v, want %s twice", got, want)
		}
	}
}

// A head that has no room for what send_file adds stays as it is, and so does the file: the handler can answer otherwise.
func TestSendFileWithoutRoom(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	name := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.write(`@ listen{ port, connect = http.generate_handler(function(request)
		request:send_status("200 OK")
		for _, n in ipairs{ 10000, 10 } do
			while pcall(request.send_header, request, "X", ("x"):rep(n)) do end
		end
		local ok, message = pcall(request.send_file, request, %q, { delete = true })
		request:send_data(tostring(ok), " ", message)
	end) }`, name)
	s := start(t, a.script)
	resp, body, err := fetch("GET", s.url("/"), "")
	if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(body, "false ") || !strings.Contains(body, "the head of the response is too long") {
		t.Errorf("%v, %q, %v", resp != nil && resp.StatusCode == 200, body, err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
}
