package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"moonbridge/handler/worker"
)

// example returns the path of an example.
func example(name string) string { return filepath.Join("../../examples", name) }

// All examples load and show where they would listen.
func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob(example("*.lua"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "listen{") {
			continue // a module
		}
		if filepath.Base(script) == "lua54.lua" && !strings.HasPrefix(worker.Version(), "Lua 5.4") {
			continue // its syntax is not that of LuaJIT
		}
		t.Run(filepath.Base(script), func(t *testing.T) {
			t.Parallel()
			wantModules(t, slices.DeleteFunc(requiredModules(string(text)), isPartOfExample)...)
			args := []string{"--check", "--", script, "0"}
			if filepath.Base(script) == "sqlite.lua" {
				args = append(args, filepath.Join(t.TempDir(), "book")) // it creates the table before it listens
			}
			stdout, _ := runToEnd(t, 0, args...)
			if !strings.Contains(stdout, script+": OK") {
				t.Errorf("--check says %q", stdout)
			}
		})
	}
}

// isPartOfExample reports whether a module is a file of the examples.
func isPartOfExample(module string) bool {
	_, err := os.Stat(example(strings.ReplaceAll(module, ".", "/") + ".lua"))
	return err == nil
}

// answer returns the answer to a request with a body of some type.
func answer(t testing.TB, method, url, contentType, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, text, err := do(c, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, text
}

// pageOf sends a GET with some fields to the example application.
func pageOf(t *testing.T, url string, fields ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, text, err := do(newClient(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, text
}

// startApplication starts the example application.
func startApplication(t *testing.T) *instance {
	t.Helper()
	wantModules(t, "bit", "ffi")
	return start(t, example("example.lua"), "0")
}

// The pages of the example, and what they link to. Its files are found from any working directory.
func TestExampleApplication(t *testing.T) {
	t.Parallel()
	s := startApplication(t)
	link := regexp.MustCompile(`(?:href|src)="(/[^"]*)"`)
	paths, seen := []string{"/", "/assets/"}, map[string]bool{}
	for len(paths) > 0 {
		path := paths[0]
		paths = paths[1:]
		if seen[path] || path == "/stream" { // that takes seconds
			continue
		}
		seen[path] = true
		resp, text := pageOf(t, s.url(path))
		if resp.StatusCode != 200 || text == "" || strings.Contains(text, "{{") && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %s: %s", path, resp.Status, text)
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			paths = append(paths, m[1])
		}
	}
	for _, path := range []string{"/moon", "/almanac", "/example.lua", "/assets/app.js", "/assets/style.css", "/assets/logo.svg", "/request?from=menu"} {
		if !seen[path] {
			t.Errorf("no page links to %s", path)
		}
	}
	if resp, text := answer(t, "POST", s.url("/upload"), "", "123456789"); !strings.Contains(text, `"bytes":9,`) || !strings.Contains(text, `"crc32":"cbf43926"`) {
		t.Errorf("an upload: %s: %s", resp.Status, text)
	}
	resp, text := answer(t, "POST", s.url("/request"), "application/x-www-form-urlencoded", "name=%3Cb%3E")
	if !strings.Contains(text, "<th>name</th><td>&lt;b&gt;</td>") || !strings.Contains(resp.Header.Get("Cache-Control"), "no-transform") {
		t.Errorf("a form: %v: %s", resp, text)
	}
}

// Each way to serve files and to save work, once.
func TestExampleServesFiles(t *testing.T) {
	t.Parallel()
	s := startApplication(t)
	style, err := os.ReadFile(example("example/public/style.css"))
	if err != nil {
		t.Fatal(err)
	}
	resp, text := pageOf(t, s.url("/assets/style.css"), "Range", "bytes=3-20")
	if resp.StatusCode != 206 || text != string(style[3:21]) || resp.Header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("a part of a static file: %v: %q", resp, text)
	}
	if resp, _ := pageOf(t, s.url("/assets/style.css"), "If-Modified-Since", resp.Header.Get("Last-Modified")); resp.StatusCode != 304 {
		t.Errorf("a static file again: %s", resp.Status)
	}

	script, err := os.ReadFile(example("example.lua"))
	if err != nil {
		t.Fatal(err)
	}
	resp, text = pageOf(t, s.url("/example.lua"))
	if text != string(script) || resp.Header.Get("Content-Disposition") != `attachment; filename="example.lua"` {
		t.Errorf("the download: %v: %d bytes, want %d", resp, len(text), len(script))
	}

	made := regexp.MustCompile(`made at [0-9:]+|worker process \d+, which has answered \d+`)
	_, first := pageOf(t, s.url("/moon"))
	_, second := pageOf(t, s.url("/moon"), "Cache-Control", "no-cache")
	if a, b := made.FindAllString(first, -1), made.FindAllString(second, -1); len(a) != 2 || !slices.Equal(a, b) {
		t.Errorf("the cached page: %q, then %q", a, b)
	}
}

// A page that is compressed, and that a browser that has it does not get again.
func TestExampleAlmanac(t *testing.T) {
	t.Parallel()
	s := startApplication(t)
	_, plain := pageOf(t, s.url("/almanac"), "Accept-Encoding", "identity")
	if n := strings.Count(plain, "<svg"); n != 365 && n != 366 {
		t.Errorf("%d pictures of the Moon", n)
	}
	resp, packed := pageOf(t, s.url("/almanac"), "Accept-Encoding", "gzip")
	if resp.Header.Get("Content-Encoding") != "gzip" || 4*len(packed) > len(plain) {
		t.Errorf("%v: %d bytes for %d", resp, len(packed), len(plain))
	}
	r, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || strings.Count(string(text), "<svg") != strings.Count(plain, "<svg") {
		t.Errorf("decompressed: %d bytes, %v", len(text), err)
	}
	for _, accept := range []string{"gzip", "identity"} {
		resp, text := pageOf(t, s.url("/almanac"), "If-None-Match", resp.Header.Get("ETag"), "Accept-Encoding", accept)
		if resp.StatusCode != 304 || text != "" {
			t.Errorf("%s: the page again: %v: %d bytes", accept, resp, len(text))
		}
	}
}

func TestExampleWeb(t *testing.T) {
	t.Parallel()
	s := start(t, example("web.lua"), "0")
	for path, want := range map[string]string{"/?name=Moon": "Hello, Moon!\n", "/moon/full": `{"phase":"full"}`} {
		if got := get(t, s.url(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestExampleJSON(t *testing.T) {
	t.Parallel()
	wantModules(t, "cjson")
	s := start(t, example("json.lua"), "0")
	const js = "application/json; charset=utf-8"
	tests := []struct {
		method, path, contentType, body string
		status                          int
		header, want                    string // a header field; the answer, in the order in which Go writes keys
	}{
		{"GET", "/notes", "", "", 200, "", `[]`},
		{"POST", "/notes", js, `{"text": "Full \u263e"}`, 201, "Location: /notes/1", `{"done":false,"id":1,"text":"Full ☾"}`},
		{"POST", "/notes", js, `{"text": "b", "done": true, "id": 9}`, 201, "Location: /notes/2", `{"done":true,"id":2,"text":"b"}`},
		{"GET", "/notes/1", "", "", 200, "", `{"done":false,"id":1,"text":"Full ☾"}`},
		{"PUT", "/notes/1", js, `{"text": "Half", "done": true}`, 200, "", `{"done":true,"id":1,"text":"Half"}`},
		{"GET", "/notes", "", "", 200, "", `[{"done":true,"id":1,"text":"Half"},{"done":true,"id":2,"text":"b"}]`},
		{"HEAD", "/notes/2", "", "", 200, "Content-Type: application/json", ``},
		{"DELETE", "/notes/1", "", "", 204, "", ``},
		{"GET", "/notes/1", "", "", 404, "", `{"error":"there is no note 1"}`},
		{"PUT", "/notes/1", js, `{"text": "late"}`, 404, "", `{"error":"there is no note 1"}`},
		{"GET", "/", "", "", 404, "", `{"error":"there is nothing here but notes"}`},
		{"POST", "/notes", js, `{"text": `, 400, "", `{"error":"this is not JSON: Expected value but found T_END at character 10"}`},
		{"POST", "/notes", js, ``, 400, "", `{"error":"this is not JSON: Expected value but found T_END at character 1"}`},
		{"POST", "/notes", js, `{"text": NaN}`, 400, "", `{"error":"this is not JSON: Expected value but found invalid token at character 10"}`},
		{"POST", "/notes", js, `null`, 422, "", `{"error":"a note must be an object with a text of 1 to 10000 bytes"}`},
		{"POST", "/notes", js, `{"text": ["a"]}`, 422, "", `{"error":"a note must be an object with a text of 1 to 10000 bytes"}`},
		{"POST", "/notes", js, `{"text": "a", "done": 1}`, 422, "", `{"error":"done must be true or false"}`},
		{"POST", "/notes", "application/x-www-form-urlencoded", `text=a`, 415, "", `{"error":"the Content-Type must be that of JSON"}`},
		{"POST", "/notes", "application/jsonp", `{"text": "a"}`, 415, "", `{"error":"the Content-Type must be that of JSON"}`},
		{"POST", "/notes", "", `{"text": "a"}`, 415, "", `{"error":"the Content-Type must be that of JSON"}`},
		{"PATCH", "/notes", js, `{}`, 405, "Allow: GET, POST, HEAD", `{"error":"PATCH is no method for this resource"}`},
		{"POST", "/notes/2", js, `{}`, 405, "Allow: DELETE, GET, PUT, HEAD", `{"error":"POST is no method for this resource"}`},
	}
	for _, test := range tests {
		what := fmt.Sprintf("%s %s %q", test.method, test.path, test.body)
		resp, text := answer(t, test.method, s.url(test.path), test.contentType, test.body)
		if resp.StatusCode != test.status {
			t.Errorf("%s: %s, want %d: %s", what, resp.Status, test.status, text)
		}
		if name, value, ok := strings.Cut(test.header, ": "); ok && resp.Header.Get(name) != value {
			t.Errorf("%s: %s %q, want %q", what, name, resp.Header.Get(name), value)
		}
		if got := sortedJSON(t, text); got != test.want {
			t.Errorf("%s: %s, want %s", what, got, test.want)
		}
	}
	resp, _ := answer(t, "POST", s.url("/notes"), js, `{"text": "`+strings.Repeat("x", 70<<10)+`"}`)
	if resp.StatusCode != 413 {
		t.Errorf("a large note: %s, want 413", resp.Status)
	}
}

// sortedJSON rewrites JSON with sorted keys, since Lua's tables have no order.
func sortedJSON(t *testing.T, text string) string {
	t.Helper()
	if text == "" {
		return ""
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestExampleSQLite(t *testing.T) {
	t.Parallel()
	wantModules(t, "luasql.sqlite3")
	file := filepath.Join(t.TempDir(), "book")
	s := start(t, example("sqlite.lua"), "0", file)
	sign := func(name, message string) (*http.Response, string) {
		form := url.Values{"name": {name}, "message": {message}}
		return answer(t, "POST", s.url("/"), "application/x-www-form-urlencoded", form.Encode())
	}

	// Quotes are escaped in SQL and in HTML.
	resp, _ := sign("O'Brien", `'); DROP TABLE entry; --<script>"`)
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "/" {
		t.Errorf("%s, Location %q", resp.Status, resp.Header.Get("Location"))
	}
	page := get(t, s.url("/"))
	for _, part := range []string{"O&#39;Brien", "&#39;); DROP TABLE entry; --&lt;script&gt;&quot;", ">1 entry<"} {
		if !strings.Contains(page, part) {
			t.Errorf("no %q in\n%s", part, page)
		}
	}
	for _, bad := range [][2]string{{"", "x"}, {"x", ""}, {strings.Repeat("x", 241), "x"}} {
		if resp, text := sign(bad[0], bad[1]); resp.StatusCode != 422 || !strings.Contains(text, "Try again") {
			t.Errorf("%q: %s: %s", bad, resp.Status, text)
		}
	}
	if resp, _ := answer(t, "PUT", s.url("/"), "", ""); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("PUT: %s, Allow %q", resp.Status, resp.Header.Get("Allow"))
	}
	if got := status(t, "GET", s.url("/other")); got != 404 {
		t.Errorf("/other: %d", got)
	}

	// Several workers write at the same time and wait for each other.
	const writers, each = 6, 10
	failed := make(chan string, writers*each)
	done := make(chan struct{})
	for w := range writers {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range each {
				resp, err := http.PostForm(s.url("/"), url.Values{"name": {fmt.Sprint(w, ".", i)}, "message": {"x"}})
				if err != nil {
					failed <- err.Error()
					continue
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 { // status of the page after the redirection
					failed <- resp.Status
				}
			}
		}()
	}
	for range writers {
		<-done
	}
	close(failed)
	for what := range failed {
		t.Error(what)
	}
	if page, want := get(t, s.url("/")), fmt.Sprintf(">%d entries, the last 50 are shown<", 1+writers*each); !strings.Contains(page, want) {
		t.Errorf("no %q in\n%s", want, page)
	}

	// The data outlives the server.
	s.stop()
	again := start(t, example("sqlite.lua"), "0", file)
	if page := get(t, again.url("/")); !strings.Contains(page, fmt.Sprintf(">%d entries", 1+writers*each)) {
		t.Errorf("after a restart:\n%s", page)
	}

	// A file that cannot be opened is an error at start.
	_, stderr := runToEnd(t, 3, example("sqlite.lua"), "0", t.TempDir())
	checkMessage(t, stderr, "sqlite.lua:", "unable to open database file")
}

func TestExampleTimerAndHTTP(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "load")
	s := start(t, example("timer_and_http.lua"), "0", "0.05", file)
	eventually(t, "three measurements", func() bool { return strings.Count(get(t, s.url("/load.txt")), "\n") >= 3 })
	page := get(t, s.url("/"))
	for _, part := range []string{`<p class="load">`, "<rect", "Measured at", "every 0.05 s"} {
		if !strings.Contains(page, part) {
			t.Errorf("no %q in\n%s", part, page)
		}
	}
	if strings.Contains(page, "{{") {
		t.Errorf("a placeholder was not filled:\n%s", page)
	}
	eventually(t, "no more than 60 measurements", func() bool { return strings.Count(get(t, s.url("/load.txt")), "\n") == 60 })
	if got := status(t, "GET", s.url("/other")); got != 404 {
		t.Errorf("/other: %d", got)
	}
	s.stop()
	if left, _ := filepath.Glob(file + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The module of the upload example, with lengths around block boundaries, in pieces of all sizes.
func TestExampleSHA256(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/sha256.lua", example(""))
	p := dial(t, s.address(0))
	pattern := bytes.Repeat([]byte("0123456789abcdef!"), 100_000)
	for _, n := range []int{0, 1, 3, 54, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000, 16384, 1_000_003} {
		for _, piece := range []int{1, 7, 63, 64, 65, 16384, 2_000_000} {
			if n/piece > 10_000 {
				continue
			}
			p.get(fmt.Sprintf("/?bytes=%d&piece=%d", n, piece))
			if got, want := p.hears(200), fmt.Sprintf("%x", sha256.Sum256(pattern[:n])); got != want {
				t.Errorf("%d bytes in pieces of %d: %s, want %s", n, piece, got, want)
			}
		}
	}
}

// formOf builds a multipart form from the name, file name, type and content of each field. A field without a file name
// is not a file.
func formOf(t *testing.T, fields [][4]string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"`, f[0]))
		if f[1] != "-" {
			h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, f[0], f[1]))
		}
		if f[2] != "" {
			h.Set("Content-Type", f[2])
		}
		part, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(part, f[3])
	}
	w.Close()
	return w.FormDataContentType(), b.String()
}

func TestExampleUpload(t *testing.T) {
	t.Parallel()
	s := start(t, example("upload.lua"), "0")
	if page := get(t, s.url("/")); !strings.Contains(page, `enctype="multipart/form-data"`) {
		t.Errorf("no form in\n%s", page)
	}
	large := strings.Repeat("0123456789abcde\n", 1<<17) // 2 MiB: many pieces
	contentType, body := formOf(t, [][4]string{
		{"file", `<b>&.txt`, "text/plain", "abc"},
		{"file", "empty", "application/octet-stream", ""},
		{"file", "large", "application/octet-stream", large},
		{"file", "", "application/octet-stream", ""}, // no file was chosen
		{`com<i>ment`, "-", "", "hello"},
	})
	req, err := http.NewRequest("POST", s.url("/"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	resp, page, err := do(newClient(t), req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v: %s", resp, err, page)
	}
	row := func(name, file, contentType, size, content string) string {
		return fmt.Sprintf(`<tr><td>%s</td><td>%s</td><td>%s</td><td class="size">%s</td><td><code>%x</code></td></tr>`,
			name, file, contentType, size, sha256.Sum256([]byte(content)))
	}
	for _, want := range []string{
		row("file", "&lt;b&gt;&amp;.txt", "text/plain", "3 bytes", "abc"),
		row("file", "empty", "application/octet-stream", "0 bytes", ""),
		row("file", "large", "application/octet-stream", "2.1 MB", large),
		row("com&lt;i&gt;ment", `<span class="soft">no file</span>`, "–", "5 bytes", "hello"),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if n := strings.Count(page, "<tr><td>"); n != 4 {
		t.Errorf("%d rows, want 4:\n%s", n, page)
	}

	// Programs get the output format of sha256sum.
	contentType, body = formOf(t, [][4]string{{"a", "one", "", "1"}, {"b", "two", "", "2"}, {"c", "-", "", "3"}})
	want := fmt.Sprintf("%x  one\n%x  two\n", sha256.Sum256([]byte("1")), sha256.Sum256([]byte("2")))
	if resp, text := answer(t, "POST", s.url("/"), contentType, body); resp.StatusCode != 200 || text != want {
		t.Errorf("%s: %q, want %q", resp.Status, text, want)
	}
	contentType, body = formOf(t, [][4]string{{"file", "", "application/octet-stream", ""}})
	if resp, text := answer(t, "POST", s.url("/"), contentType, body); resp.StatusCode != 400 || !strings.Contains(text, "No file was selected") {
		t.Errorf("an empty form: %s: %s", resp.Status, text)
	}
	if resp, _ := answer(t, "POST", s.url("/"), contentType, "--other\r\n\r\nx"); resp.StatusCode != 400 {
		t.Errorf("a broken form: %s, want 400", resp.Status)
	}
	if resp, _ := answer(t, "DELETE", s.url("/"), "", ""); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("DELETE: %s, Allow %q", resp.Status, resp.Header.Get("Allow"))
	}

	// If a form has very many fields, not all are kept.
	many := make([][4]string, 600)
	for i := range many {
		many[i] = [4]string{"f", fmt.Sprint(i), "", "x"}
	}
	contentType, body = formOf(t, many)
	if resp, text := answer(t, "POST", s.url("/"), contentType, body); resp.StatusCode != 200 || strings.Count(text, "\n") != 500 {
		t.Errorf("%s with %d lines, want 500", resp.Status, strings.Count(text, "\n"))
	}
}

func TestExampleLines(t *testing.T) {
	t.Parallel()
	s := start(t, example("lines.lua"), "0")
	address := field(s.log.wait(t, 0, "msg=listening"), "address")
	address = strings.TrimPrefix(address, "tcp://")
	p := dial(t, address)
	line := func(p *peer) string {
		t.Helper()
		text, err := p.r.ReadString('\n')
		if err != nil {
			t.Fatalf("%q, %v\n%s", text, err, s.log)
		}
		return strings.TrimSuffix(text, "\n")
	}
	if got := line(p); got != "OK calculator, HELP tells more" {
		t.Errorf("greeting %q", got)
	}
	for _, test := range [][2]string{
		{"1 + 2 * (3 - 0.5)", "= 6"}, {"ans / 4", "= 1.5"}, {" 7 % 4 \r", "= 3"}, {"-2 ^ 2", "= -4"}, {"2 ^ -1", "= 0.5"},
		{"2 ^ 3 ^ 2", "= 512"}, {"8 - 2 - 1", "= 5"}, {".5*4", "= 2"}, {"--3", "= 3"},
		{"1 +", "ERROR a number is missing at the end"}, {"2 3", "ERROR an operator is missing before '3'"},
		{"((1)", "ERROR a ')' is missing at the end"}, {"x\x01\xff", "ERROR a number is missing before 'x??'"},
		{"ans", "= 3"}, {strings.Repeat("(", 199), "ERROR a number is missing at the end"},
	} {
		p.say("%s\n", test[0])
		if got := line(p); got != test[1] {
			t.Errorf("%q: %q, want %q", test[0], got, test[1])
		}
	}
	p.say("\nhelp\nquit\n") // all at once, after an empty line
	for i, want := range []string{"+ 1 + 2", "+ ans", "+ QUIT", "OK", "OK bye"} {
		if got := line(p); !strings.HasPrefix(got, want) {
			t.Errorf("line %d %q, want %q", i, got, want)
		}
	}
	p.hearsEnd()

	// A result belongs to its connection, the end of input is not an error, and the last line may lack a line feed.
	p = dial(t, address)
	line(p)
	p.say("ans\n1+1")
	p.Conn.(*net.TCPConn).CloseWrite()
	if a, b := line(p), line(p); a != "= 0" || b != "= 2" {
		t.Errorf("%q, %q, want = 0, = 2", a, b)
	}
	p.hearsEnd()

	p = dial(t, address)
	line(p)
	p.say("%s", strings.Repeat("1", 200))
	if got := line(p); got != "ERROR a line has at most 199 bytes" {
		t.Errorf("a long line: %q", got)
	}
	p.hearsEnd()
}
