package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// siteFiles makes a directory with files.
func siteFiles(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Files are served without a worker, also while the only one is busy.
func TestStaticWithoutWorker(t *testing.T) {
	t.Parallel()
	root := siteFiles(t, map[string]string{
		"a.css": "css", "icon.ico": "icon", "pages/about.html": "about", "pages/index.html": "index", "big": strings.Repeat("x", 200_000),
	})
	log := filepath.Join(t.TempDir(), "access")
	s := start(t, "--access-log", log, "testdata/static.lua", root)
	busy, err := http.Get(s.url("/busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Body.Close()
	for path, want := range map[string]string{
		"/assets/a.css": "css", "/favicon.ico": "icon", "/about.html": "about", "/": "index", "/assets/big": strings.Repeat("x", 200_000),
	} {
		resp, body, err := fetch("GET", s.url(path), "")
		if err != nil || body != want || resp.Header.Get("X-From") != "listener" {
			t.Errorf("%s: %d bytes, %v", path, len(body), err)
		}
		if cache := resp.Header.Get("Cache-Control"); strings.HasPrefix(path, "/assets/") != (cache == "max-age=60") {
			t.Errorf("%s: Cache-Control %q", path, cache)
		}
	}
	resp, _, err := fetch("GET", s.url("/assets/none"), "")
	if err != nil || resp.StatusCode != 404 || resp.Header.Get("X-From") != "listener" {
		t.Errorf("%+v, %v", resp, err)
	}
	if err := os.WriteFile(root+"/release", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(busy.Body); string(text) != "begun" {
		t.Errorf("%q, %v", text, err)
	}
	if body := get(t, s.url("/nothing")); body != "handler /nothing" {
		t.Errorf("a missing file: %q", body)
	}
	if resp, body, err := fetch("POST", s.url("/about.html"), "x"); err != nil || body != "handler /about.html" {
		t.Errorf("POST: %v %q, %v", resp, body, err)
	}
	s.stop()
	lines, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(lines), `"GET /assets/big HTTP/1.1" 200 200000`) || !strings.Contains(string(lines), `"GET /assets/none HTTP/1.1" 404`) {
		t.Errorf("access log, %v:\n%s", err, lines)
	}
}

// A reload opens the directories again, and takes new rules.
func TestStaticReload(t *testing.T) {
	t.Parallel()
	root := siteFiles(t, map[string]string{"one/a": "one", "two/a": "two"})
	script := filepath.Join(root, "app.lua")
	use := func(dir string) {
		text := fmt.Sprintf(`listen{ { proto = "tcp4", port = 0, localhost = true }, static = { ["/"] = %q },
			connect = require("moonbridge_http").generate_handler(function(request) request:send_status("404 Not Found") end) }`, dir)
		if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	use(root + "/one")
	s := start(t, script)
	if body := get(t, s.url("/a")); body != "one" {
		t.Errorf("%q", body)
	}
	use(root + "/two")
	s.signal(syscall.SIGHUP)
	s.wait("msg=reloaded", "generation=1")
	if body := get(t, s.url("/a")); body != "two" {
		t.Errorf("after the reload: %q", body)
	}
	s.wait("the replaced script has ended")
	use(root + "/three")
	s.signal(syscall.SIGHUP)
	s.wait("reload failed", "/three: no such file or directory")
	if body := get(t, s.url("/a")); body != "two" {
		t.Errorf("after a reload that failed: %q", body)
	}
}

// Mistakes in the table are errors of listen, with the name of the option. A directory that does not exist is an error at start.
func TestStaticMistakes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"public"`:                                   "option static: table expected, got string",
		`{ "public" }`:                               "listen: static has an unexpected entry [1]",
		`{ ["/a/"] = 5 }`:                            `option static: "/a/": the path of a file or directory, or a table expected, got number`,
		`{ ["/a/"] = {} }`:                           `option static: there is no path for "/a/"`,
		`{ ["/a/"] = { "testdata", max = 1 } }`:      `unknown option of static["/a/"]: "max"`,
		`{ ["/a/"] = { "testdata", "x" } }`:          "a table in static has an unexpected entry [2]",
		`{ ["/a/"] = { "testdata", max_age = {} } }`: "max_age: number (of seconds) or false expected, got \"table\"",
		`{ ["a/"] = "testdata" }`:                    "static: a/: does not begin with a slash",
		`{ ["/a/"] = "testdata/none" }`:              "testdata/none: no such file or directory",
		`{ ["/a/"] = "testdata/static.lua" }`:        "testdata/static.lua: not a directory",
		`{ ["/a"] = "testdata" }`:                    "not a regular file",
		`{ ["/a"] = "testdata/" }`:                   "is a directory: the path of its files has to end in a slash",
	} {
		script := filepath.Join(t.TempDir(), "app.lua")
		text := `listen{ { proto = "tcp4", port = 0, localhost = true }, static = ` + value + `,
			connect = require("moonbridge_http").generate_handler(function() end) }`
		if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{script}, {"-t", script}} {
			if _, stderr := runToEnd(t, 3, args...); !strings.Contains(stderr, want) {
				t.Errorf("static = %s with %v:\n%s\nwant %s", value, args[0], stderr, want)
			}
		}
	}
}

// A directory without a script.
func TestStaticDirectory(t *testing.T) {
	t.Parallel()
	root := siteFiles(t, map[string]string{"a.txt": "text", "sub/index.html": "index", ".secret": "secret", "long.txt": strings.Repeat("long ", 1000)})
	old := time.Now().Add(-time.Minute) // a file that has just changed is not compressed
	if err := os.Chtimes(root+"/long.txt", old, old); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--static", root, "--listen", "0")
	client := newClient(t)
	eventually(t, "a text is compressed", func() bool {
		req, _ := http.NewRequest("GET", s.url("/long.txt"), nil)
		req.Header.Set("Accept-Encoding", "gzip")
		resp, _, err := do(client, req)
		return err == nil && resp.Header.Get("Content-Encoding") == "gzip"
	})
	if !strings.HasPrefix(s.address(0), "127.0.0.1:") {
		t.Errorf("address %s", s.address(0))
	}
	for path, want := range map[string]string{"/a.txt": "200 text", "/sub/": "200 index", "/.secret": "404 Not Found\n", "/none": "404 Not Found\n"} {
		resp, body, err := fetch("GET", s.url(path), "")
		if err != nil || fmt.Sprintf("%d %s", resp.StatusCode, body) != want {
			t.Errorf("%s: %v %q, %v", path, resp, body, err)
		}
	}
	if page := get(t, s.url("/")); !strings.Contains(page, `<a href="./a.txt">`) || strings.Contains(page, "secret") {
		t.Error(page)
	}
	if code := status(t, "POST", s.url("/a.txt")); code != 405 {
		t.Errorf("POST: %d", code)
	}
	s.signal(syscall.SIGHUP)
	s.wait("msg=reloaded", "generation=1")
	if body := get(t, s.url("/a.txt")); body != "text" {
		t.Errorf("after HUP: %q", body)
	}
	s.stop()
	if stdout, _ := runToEnd(t, 0, "-t", "--static", root, "--listen", ":80"); !strings.Contains(stdout, root+" on [::]:80: OK") {
		t.Errorf("-t: %q", stdout)
	}
}

func TestStaticDirectoryMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{1, "there is no script", []string{"--static", ".", "app.lua"}},
		{1, "--listen is for --static", []string{"--listen", "80", "app.lua"}},
		{1, "there is no script", []string{"--static", ".", "--dev"}},
		{1, `--listen a: "a" is not a port`, []string{"--static", ".", "--listen", "a"}},
		{1, "is not host:port", []string{"--static", ".", "--listen", "a:b:c"}},
		{1, `"70000" is not a port`, []string{"--static", ".", "--listen", ":70000"}},
		{3, "testdata/none: no such file or directory", []string{"--static", "testdata/none", "--listen", "0"}},
		{3, "testdata/static.lua: not a directory", []string{"--static", "testdata/static.lua", "--listen", "0"}},
	} {
		if _, stderr := runToEnd(t, c.code, c.args...); !strings.Contains(stderr, c.want) {
			t.Errorf("%v:\n%s\nwant %s", c.args, stderr, c.want)
		}
	}
}

// With --user, files are opened with the rights of the user.
func TestStaticUser(t *testing.T) {
	t.Parallel()
	u := newUserTest(t)
	for name, mode := range map[string]os.FileMode{"public": 0o644, "secret": 0o600} {
		if err := os.WriteFile(filepath.Join(u.dir, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	s := launchProgram(t, u.program, "-u", "nobody", "--static", u.dir, "--listen", "0")
	s.wait("msg=ready")
	if body := get(t, s.url("/public")); body != "public" {
		t.Errorf("%q", body)
	}
	if code := status(t, "GET", s.url("/secret")); code != 403 {
		t.Errorf("a file that the user cannot read: %d", code)
	}
	s.stop()
	if out := launchProgram(t, u.program, "-u", "nobody", "--static", u.private, "--listen", "0"); true {
		out.wait("permission denied")
		out.exit(3)
	}
}
