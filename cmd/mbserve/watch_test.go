package main

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/pool"
)

// files simulates the files on a disk.
type fakeDisk map[string]pool.File

func (d fakeDisk) stat(path string) pool.File {
	if f, ok := d[path]; ok {
		return f
	}
	return pool.File{Path: path}
}

func (d fakeDisk) write(path string, modTime int64) pool.File {
	d[path] = pool.File{Path: path, ModTime: modTime, Size: 10, Inode: uint64(modTime)}
	return d[path]
}

// watchTest is a fileWatch whose clock is controlled by the test.
type watchTest struct {
	*testing.T
	w    *fileWatch
	disk fakeDisk
	now  time.Time
}

func newWatchTest(t *testing.T) *watchTest {
	w := &fileWatch{log: slog.New(slog.NewTextHandler(io.Discard, nil)), files: make(map[string]*watchedFile)}
	return &watchTest{t, w, make(fakeDisk), time.Unix(1000, 0)}
}

// after advances the time, checks, and compares the result.
func (t *watchTest) after(d time.Duration, changed string, unsettled bool) {
	t.Helper()
	t.now = t.now.Add(d)
	if c, u := t.w.check(t.now, t.disk.stat); c != changed || u != unsettled {
		t.Errorf("look: %q, %v, want %q, %v", c, u, changed, unsettled)
	}
}

func TestWatchWaitsUntilFilesSettle(t0 *testing.T) {
	t := newWatchTest(t0)
	t.w.add(0, []pool.File{t.disk.write("/a", 1), t.disk.write("/b", 1), {Path: "/not-there"}}, t.now)
	t.after(watchEvery, "", false)
	t.disk.write("/a", 2)
	t.after(watchEvery, "", true)
	t.disk.write("/a", 3)
	t.after(watchSettle, "", true)
	t.disk.write("/b", 2) // both are reported together
	t.after(watchSettle, "", true)
	t.after(watchSettle, "/a", false)
	t.after(watchEvery, "", false)
	t.disk.write("/not-there", 5)
	t.after(watchEvery, "", true)
	t.after(watchSettle, "/not-there", false)
}

func TestWatchFileVanishes(t0 *testing.T) {
	t := newWatchTest(t0)
	was := t.disk.write("/a", 1)
	t.w.add(0, []pool.File{was}, t.now)
	delete(t.disk, "/a")
	t.after(watchEvery, "", true)
	t.disk["/a"] = was
	t.after(watchSettle, "", false) // only for a moment
	delete(t.disk, "/a")
	t.after(watchEvery, "", true)
	t.disk.write("/a", 2)
	t.after(watchSettle, "", true)
	t.after(watchSettle, "/a", false)
	delete(t.disk, "/a")
	t.after(watchEvery, "", true)
	t.after(watchGone, "/a", false)
	t.after(watchGone, "", false)
	t.disk.write("/a", 2)
	t.after(watchEvery, "", true)
	t.after(watchSettle, "/a", false)
}

func TestWatchGenerations(t0 *testing.T) {
	t := newWatchTest(t0)
	old := t.disk.write("/old", 1)
	a := t.disk.write("/a", 1)
	t.w.add(0, []pool.File{old, a}, t.now)
	t.disk.write("/a", 2)
	t.after(watchEvery, "", true)
	t.after(watchSettle, "/a", false)
	// The next generation loads /a, which changes again meanwhile, and fails.
	t.w.add(1, []pool.File{t.disk["/a"]}, t.now)
	t.disk.write("/a", 3)
	t.after(watchSettle, "", true)
	t.after(watchSettle, "/a", false)
	t.w.add(2, []pool.File{t.disk["/a"], {Path: "/new"}}, t.now)
	t.disk.write("/old", 2)
	t.after(watchEvery, "", true)
	t.w.forgetBefore(2)
	t.after(watchSettle, "", false) // no generation needs it any longer
	t.w.add(0, []pool.File{{Path: "/late"}}, t.now)
	t.w.add(2, []pool.File{{Path: "/later"}, {Path: "/a"}}, t.now) // from a worker; /a is already known
	if len(t.w.files) != 3 || t.w.files["/late"] != nil {
		t.Errorf("watched: %v", t.w.files)
	}
	t.after(watchEvery, "", false)
	for i := range 2 * watchFilesMax {
		t.w.add(2, []pool.File{{Path: "/" + strings.Repeat("x", i)}}, t.now)
	}
	if len(t.w.files) != watchFilesMax {
		t.Errorf("%d files watched", len(t.w.files))
	}
}

// A nil fileWatch sees no changes.
func TestWatchNothing(t *testing.T) {
	var w *fileWatch
	w.forgetBefore(1)
	w.end()
	if w.changes() != nil || w.listener(0) != nil {
		t.Error("a nil fileWatch reports changes")
	}
}

func page(t testing.TB, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// replaceFile writes a file as some editors do: it writes a new file and renames it over the old one.
func replaceFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+"~", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+"~", name); err != nil {
		t.Fatal(err)
	}
}

// A change of any file of the script reaches the next requests. A broken file leaves the old script in use, and is
// tried again when it changes.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	script := func(text string) string {
		return `local http = require "moonbridge_http"
local module, sub, lazy = require "module", require "dir.sub"
local chunk, loaded = dofile(arg[1] .. "/chunk.lua"), assert(loadfile(arg[1] .. "/loaded.lua"))()
listen{
  { proto = "tcp4", port = 0, localhost = true },
  prepare = function() lazy = require "lazy" end,
  connect = http.generate_handler(function(request)
    request:send_status("200 OK")
    request:send_data("` + text + ` ", module, " ", sub, " ", chunk, " ", loaded, " ", lazy)
  end)
}`
	}
	if err := os.Mkdir(file("dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	replaceFile(t, file("app.lua"), script("script1"))
	for _, name := range []string{"module", "dir/sub", "chunk", "loaded", "lazy"} {
		replaceFile(t, file(name+".lua"), `return "`+filepath.Base(name)+`1"`)
	}
	s := start(t, "--watch", file("app.lua"), dir)
	want := "script1 module1 sub1 chunk1 loaded1 lazy1"
	if got := page(t, s.url("/")); got != want {
		t.Fatalf("%q", got)
	}
	// A worker that is forked between a change and the reload may have read the new file in prepare. So the reload is
	// awaited, and not only a page with the new text.
	change := func(from, to string, replace func()) {
		t.Helper()
		want = strings.Replace(want, from, to, 1)
		size := s.log.size()
		replace()
		s.log.wait(t, size, "the replaced script has ended")
		if got := page(t, s.url("/")); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	change("script1", "script2", func() { replaceFile(t, file("app.lua"), script("script2")) })
	for _, name := range []string{"module", "dir/sub", "chunk", "loaded", "lazy"} {
		base := filepath.Base(name)
		change(base+"1", base+"2", func() { replaceFile(t, file(name+".lua"), `return "`+base+`2"`) })
	}

	// Broken in a new module, and fixed there.
	from := s.log.size()
	replaceFile(t, file("module.lua"), `return require "fresh"`)
	s.log.wait(t, from, "reload failed", "module 'fresh' not found")
	from = s.log.size()
	replaceFile(t, file("fresh.lua"), `return broken(`)
	replaceFile(t, file("module.lua"), `return require "fresh" -- now it is there`)
	s.log.wait(t, from, "reload failed", "fresh.lua:1")
	if got := page(t, s.url("/")); got != want {
		t.Errorf("%q", got)
	}
	change("module2", "module3", func() { replaceFile(t, file("fresh.lua"), `return "module3"`) })

	// Written in place; removed for a while, then restored.
	change("chunk2", "chunk3", func() {
		if err := os.WriteFile(file("chunk.lua"), []byte(`return "chunk3"`), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	from = s.log.size()
	if err := os.Remove(file("app.lua")); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, from, "reload failed", "cannot open")
	change("script2", "script3", func() { replaceFile(t, file("app.lua"), script("script3")) })
}

// Without the option nothing is watched.
func TestNoWatch(t *testing.T) {
	a := newApplication(t)
	a.write(`@ listen{port, connect = say "one"}`)
	s := start(t, a.script)
	a.write(`@ listen{port, connect = say "two, which is longer"}`)
	time.Sleep(2 * watchEvery)
	if got := page(t, s.url("/")); got != "one" || strings.Contains(s.log.String(), "file has changed") {
		t.Errorf("%q", got)
	}
	s.reload()
	if got := page(t, s.url("/")); got != "two, which is longer" {
		t.Errorf("%q", got)
	}
}
