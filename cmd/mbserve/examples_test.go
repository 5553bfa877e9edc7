package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moonbridge/handler/lua"
)

// example is the path of an example.
func example(name string) string { return filepath.Join("../../examples", name) }

// All examples load, and say where they would listen.
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
		if filepath.Base(script) == "lua54.lua" && !strings.HasPrefix(lua.Version(), "Lua 5.4") {
			continue // LuaJIT does not know its syntax
		}
		t.Run(filepath.Base(script), func(t *testing.T) {
			t.Parallel()
			wantModules(t, requiredModules(string(text))...)
			args := []string{"--check", "--", script, "0"}
			if filepath.Base(script) == "sqlite.lua" {
				args = append(args, filepath.Join(t.TempDir(), "book")) // it makes the table before it listens
			}
			stdout, _ := runToEnd(t, 0, args...)
			if !strings.Contains(stdout, script+": good") {
				t.Errorf("--check says %q", stdout)
			}
		})
	}
}

// answer is what a request with a body of some type gets.
func answer(t *testing.T, method, url, contentType, body string) (*http.Response, string) {
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
		{"GET", "/", "", "", 404, "", `{"error":"nothing is here but notes"}`},
		{"POST", "/notes", js, `{"text": `, 400, "", `{"error":"this is no JSON: Expected value but found T_END at character 10"}`},
		{"POST", "/notes", js, ``, 400, "", `{"error":"this is no JSON: Expected value but found T_END at character 1"}`},
		{"POST", "/notes", js, `{"text": NaN}`, 400, "", `{"error":"this is no JSON: Expected value but found invalid token at character 10"}`},
		{"POST", "/notes", js, `null`, 422, "", `{"error":"a note is an object with a text of 1 to 10000 bytes"}`},
		{"POST", "/notes", js, `{"text": ["a"]}`, 422, "", `{"error":"a note is an object with a text of 1 to 10000 bytes"}`},
		{"POST", "/notes", js, `{"text": "a", "done": 1}`, 422, "", `{"error":"done is true or false"}`},
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

// sortedJSON writes JSON anew, with the keys of objects in order: Lua's tables have none.
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

	// Quotes belong neither to SQL nor to HTML.
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

	// Several workers write at the same time, and wait for one another.
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
				if resp.StatusCode != 200 { // of the page that the redirection led to
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

	// What was written outlives the server.
	s.stop()
	again := start(t, example("sqlite.lua"), "0", file)
	if page := get(t, again.url("/")); !strings.Contains(page, fmt.Sprintf(">%d entries", 1+writers*each)) {
		t.Errorf("after a restart:\n%s", page)
	}

	// A file that cannot be opened is noticed at the start.
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
		t.Errorf("a place was not filled:\n%s", page)
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

// The module for the upload example, with lengths around the ends of blocks, and in pieces of all sizes.
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
