package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// answerTo returns the response to a request, with its body. fields are names and values.
func answerTo(t testing.TB, method, url string, fields ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := (&http.Client{Timeout: 2 * patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestErrorPages(t *testing.T) {
	s := start(t, "--dev", "--access-log", "-", "testdata/dev.lua")
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/fail?a=<b>", []string{"GET /fail?a=&lt;b&gt; HTTP/1.1", "<h1>testdata/dev.lua:7: on purpose: &lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt; \\x1b[31m</h1>",
			"    6    -- &lt;b&gt;the line before&lt;/b&gt;\n", "<b>    7    error(&quot;on purpose", "stack traceback:", "/testdata/dev.lua:7</h2>", "request dev-test-1"}},
		{"/module", []string{"broken_module.lua:3</h2>", "<b>    3      return x.field -- x is nil</b>", "/testdata/dev.lua:12</h2>"}},
		{"/after", []string{"after send_data"}},
		{"/table", []string{"error object of type table"}},
		{"/nothing", []string{"the handler has sent no status"}},
		{"/long", []string{"xxxxxxxxxx", "--dev"}},
	} {
		resp, body := answerTo(t, "GET", s.url(strings.ReplaceAll(strings.ReplaceAll(c.path, "<", "%3C"), ">", "%3E")), "X-Request-Id", "dev-test-1")
		h := resp.Header
		if resp.StatusCode != 500 || h.Get("Content-Type") != "text/html; charset=utf-8" || h.Get("X-Static") != "" ||
			h.Get("Set-Cookie") != "" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %s %v", c.path, resp.Status, h)
		}
		if strings.Count(body, "<script") != 1 || len(body) > 300<<10 {
			t.Errorf("%s: %d bytes, %d scripts", c.path, len(body), strings.Count(body, "<script"))
		}
		checkScriptPolicy(t, h.Get("Content-Security-Policy"), body)
		for _, w := range c.want {
			if c.path == "/fail?a=<b>" {
				w = strings.Replace(w, "a=&lt;b&gt;", "a=%3Cb%3E", 1)
			}
			if !strings.Contains(body, w) {
				t.Errorf("%s: no %q in\n%.3000s", c.path, w, body)
			}
		}
	}
	s.wait("on purpose", "path=/fail", "request_id=dev-test-1 ") // in the log as usual

	if _, body := answerTo(t, "POST", s.url("/fail")); strings.Contains(body, "<script") {
		t.Error("a request with effects is repeated")
	}
	if resp, body := answerTo(t, "HEAD", s.url("/fail")); resp.StatusCode != 500 || body != "" || resp.ContentLength < 1000 {
		t.Errorf("HEAD: %s, %d bytes, %q", resp.Status, resp.ContentLength, body)
	}
	if _, body := answerTo(t, "GET", s.url("/good")); body != "good" {
		t.Errorf("%q", body)
	}
	// A response that has started can only be cut off.
	if resp, err := http.Get(s.url("/out")); err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Error("the response was not cut off")
		}
	}
}

// checkScriptPolicy checks that browsers run the page's own script.
func checkScriptPolicy(t *testing.T, policy, body string) {
	t.Helper()
	_, script, _ := strings.Cut(body, "<script>")
	script, _, _ = strings.Cut(script, "</script>")
	sum := sha256.Sum256([]byte(script))
	if want := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) || script == "" {
		t.Errorf("policy %q, want %q", policy, want)
	}
}

// The page of an error asks whether another generation serves, or none. Those of a server that was started in place of this one are
// others, too.
func TestErrorPageLooksAgain(t *testing.T) {
	a := newApplication(t)
	const first = `@ listen{port, connect = http.generate_handler(function(request) error("first") end)}`
	a.write(first)
	s := start(t, "--dev", a.script)
	shown := func() string {
		_, page := answerTo(t, "GET", s.url("/x"))
		found := regexp.MustCompile(`<body data-generation="(\d+)">`).FindStringSubmatch(page)
		if found == nil || !strings.Contains(page, "fetch(\""+devPath+"\"") {
			t.Fatalf("%s", page)
		}
		return found[1]
	}
	asked := func() string {
		resp, body := answerTo(t, "GET", s.url(devPath))
		return fmt.Sprint(resp.StatusCode, " ", body)
	}
	zero := shown()
	if got := asked(); got != "200 "+zero {
		t.Errorf("%q, want %q", got, zero)
	}
	a.write(`@ listen{port, connect = http.generate_handler(function(request) error("second") end)}`)
	eventually(t, "another generation", func() bool { return asked() != "200 "+zero })
	if one := shown(); one == zero || asked() != "200 "+one {
		t.Errorf("%q after %q", one, zero)
	}
	a.write(`listen{ <b>`)
	eventually(t, "the page of the broken script", func() bool { return strings.HasPrefix(asked(), "500 ") })
	s.stop()
	a.write(first)
	s = start(t, "--dev", a.script)
	if again := shown(); again == zero || asked() != "200 "+again {
		t.Errorf("%q after a restart, and %q before", again, zero)
	}
	s.stop()
}

// A line that has changed since it was loaded is not shown as if it were the one that failed.
func TestErrorPageOfChangedFile(t *testing.T) {
	a := newApplication(t)
	a.write(`@ listen{port, connect = http.generate_handler(function(request)
	local f = assert(io.open(arg[0], "a")) f:write("-- longer\n") f:close()
	error("old")
end)}`)
	s := start(t, "--dev", a.script)
	if _, page := answerTo(t, "GET", s.url("/x")); !strings.Contains(page, "app.lua:12 (has changed since it was loaded)</h2>") {
		t.Errorf("%s", page)
	}
	s.stop()
}

// A name that is the end of several paths is that of the file which it leads to.
func TestErrorPageShowsTheRightFile(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, "main.lua", "page.lua", "admin/page.lua")
	for name, text := range map[string]string{
		"page.lua": "return function()\n\terror('in the outer one')\nend\n", "admin/page.lua": "-- the inner one\n-- the inner one\nreturn 1\n",
		"main.lua": `dofile("admin/page.lua") local page = dofile("page.lua")
local http = require "moonbridge_http"
listen{ { proto = "tcp4", port = 0, localhost = true }, connect = http.generate_handler(function(request) page() end) }`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := startIn(t, dir, mbserve(t), "--dev", "--log-format", "text", "main.lua")
	s.wait("msg=ready")
	_, page := answerTo(t, "GET", s.url("/"))
	if !strings.Contains(page, "error(&#39;in the outer one&#39;)</b>") || strings.Contains(page, "the inner one") {
		t.Errorf("%s", page)
	}
	// The page of a script that cannot be loaded finds the same file.
	if err := os.WriteFile(filepath.Join(dir, "page.lua"), []byte("return function()\n\tbroken now\nend\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page of the broken script", func() bool {
		_, page = answerTo(t, "GET", s.url("/"))
		return strings.Contains(page, "could not be loaded")
	})
	if !strings.Contains(page, "\tbroken now</b>") || strings.Contains(page, "the inner one") {
		t.Errorf("%s", page)
	}
	s.stop()
}

// A script may have been read from a pipe. The page does not wait for its writer.
func TestErrorPageOfPipe(t *testing.T) {
	fifo, _ := newFIFO(t)
	a := newApplication(t)
	a.write(`@ local fail = dofile(%q) listen{port, request_timeout = 20, connect = http.generate_handler(function(request) fail() end)}`, fifo)
	s := launch(t, "--dev", a.script)
	text := []byte("return function() error('from a pipe') end")
	eventually(t, "the script reads the pipe", func() bool {
		fd, err := syscall.Open(fifo, syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			syscall.Write(fd, text)
			syscall.Close(fd)
		}
		return err == nil
	})
	s.wait("msg=ready")
	if _, page := answerTo(t, "GET", s.url("/")); !strings.Contains(page, "from a pipe") || strings.Contains(page, "/fifo:1</h2>") {
		t.Errorf("%s", page)
	}
	s.stop()
}

// With --dev each response has a line in the log, unless there is an access log.
func TestDevRequestLines(t *testing.T) {
	s := start(t, "--dev", "testdata/dev.lua")
	answerTo(t, "GET", s.url("/good?a=b"))
	s.wait("level=INFO", "GET /good?a=b 200, 4 B in ", " ms")
	answerTo(t, "GET", s.url("/fail"))
	s.wait("level=WARN", "GET /fail 500, ")
	s.stop()
	s = start(t, "testdata/dev.lua")
	answerTo(t, "GET", s.url("/good"))
	s.stop()
	if text := s.log.all(t); strings.Contains(text, "/good") {
		t.Errorf("%s", text)
	}
}

// Without the option the client is told nothing.
func TestNoErrorPages(t *testing.T) {
	s := start(t, "testdata/dev.lua")
	for _, path := range []string{"/fail", "/module", "/after"} {
		if resp, body := answerTo(t, "GET", s.url(path)); resp.StatusCode != 500 || body != "Internal Server Error\n" {
			t.Errorf("%s: %s %q", path, resp.Status, body)
		}
	}
}

// If a script cannot be loaded, the error is shown, even on open connections, until the script is fixed.
func TestFailurePage(t *testing.T) {
	a := newApplication(t)
	a.write(`@ listen{port, connect = say "one"} listen{port, connect = say "two"} listen{{ proto = "interval", delay = 1 }, connect = function() end}`)
	s := start(t, "--dev", a.script)
	urls := []string{s.url("/"), "http://" + s.address(1) + "/x"}
	shown := func(what string) {
		t.Helper()
		for _, url := range urls {
			eventually(t, what, func() bool {
				resp, body := answerTo(t, "GET", url)
				return resp.StatusCode == 500 && resp.Header.Get("Content-Type") == "text/html; charset=utf-8" && strings.Contains(body, what)
			})
		}
	}
	for i, url := range urls {
		if _, body := answerTo(t, "GET", url); body != []string{"one", "two"}[i] {
			t.Errorf("%q", body)
		}
	}
	a.write(`listen{ <b>`)
	shown("app.lua:1: unexpected symbol near &#39;&lt;&#39;")
	shown("/app.lua:1</h2>\n<pre><b>    1  listen{ &lt;b&gt;</b>\n</pre>")
	a.write(`error("<i>another</i>")`)
	shown("&lt;i&gt;another&lt;/i&gt;")
	s.reload()
	shown("&lt;i&gt;another&lt;/i&gt;")
	a.write(`@ listen{port, connect = say "three"} listen{port, connect = say "four"}`)
	for i, url := range urls {
		want := []string{"three", "four"}[i]
		eventually(t, want, func() bool { _, body := answerTo(t, "GET", url); return body == want })
	}
	s.stop()
}
