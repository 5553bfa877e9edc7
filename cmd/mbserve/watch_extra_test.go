package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"moonbridge/handler/pool"
)

func writeFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExtraFiles(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, "a.html", "b.txt", "sub/c.html", "sub/deep/d.html", ".hidden", ".git/e", "sub/.swp")
	for pattern, want := range map[string][]string{
		".":       {"a.html", "b.txt", "sub/c.html", "sub/deep/d.html"},
		"*.html":  {"a.html"},
		"sub":     {"sub/c.html", "sub/deep/d.html"},
		"s*":      {"sub/c.html", "sub/deep/d.html"},
		"*/*":     {"sub/.swp", "sub/c.html", "sub/deep/d.html", ".git/e"},
		"a.html":  {"a.html"},
		"missing": nil,
	} {
		got := extraFiles(filepath.Join(dir, pattern), 100)
		for i := range got {
			got[i], _ = filepath.Rel(dir, got[i])
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
	if got := extraFiles(dir, 3); len(got) != 3 {
		t.Errorf("%d files, limit 3", len(got))
	}
}

// New, changed and removed files of an extra path are changes; what was there first is not.
func TestWatchExtra(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, "a", "b")
	w := &fileWatch{log: slog.New(slog.DiscardHandler), files: make(map[string]*watchedFile), extra: []string{dir}}
	now := time.Unix(1000, 0)
	look := func() string {
		w.findExtra(false, now)
		for range 3 {
			if path, _ := w.check(now, statFile); path != "" {
				return filepath.Base(path)
			}
			now = now.Add(watchGone)
		}
		return ""
	}
	w.findExtra(true, now)
	if got := look(); got != "" {
		t.Errorf("%q at first", got)
	}
	writeFiles(t, dir, "c")
	if got := look(); got != "c" {
		t.Errorf("%q, want the new file", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != "a" {
		t.Errorf("%q, want the changed file", got)
	}
	w.forgetBefore(5)
	if err := os.Remove(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != "b" {
		t.Errorf("%q, want the removed file", got)
	}
	if got := look(); got != "" || len(w.files) != 2 {
		t.Errorf("%q, %d files", got, len(w.files))
	}
}

// The page of a script that cannot be loaded may show the files that the script has loaded, also if --watch names them.
func TestWatchExtraFilesAreFound(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, "main.lua", "page.html")
	w := &fileWatch{log: slog.New(slog.DiscardHandler), files: make(map[string]*watchedFile), extra: []string{dir}}
	main, page := filepath.Join(dir, "main.lua"), filepath.Join(dir, "page.html")
	w.findExtra(true, time.Now())
	if got := w.find(main); got != "" {
		t.Errorf("%q, which no script has loaded yet", got)
	}
	w.add(3, []pool.File{statFile(main)}, time.Now())
	w.forgetBefore(3)
	if got := w.find(main); got != main {
		t.Errorf("%q, want %q", got, main)
	}
	if got := w.find(page); got != "" {
		t.Errorf("%q, which is no part of the script", got)
	}
	w.forgetBefore(4)
	if got := w.find(main); got != "" || len(w.files) != 2 {
		t.Errorf("%q, which only an old script has loaded, %d files", got, len(w.files))
	}
}

// A name that is the end of several paths is that of the file which it leads to.
func TestFilesAreFoundByName(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, "page.lua", "admin/page.lua", "zoo/page.lua", "admin/menu.lua", "zoo/menu.lua")
	t.Chdir(dir)
	w := &fileWatch{log: slog.New(slog.DiscardHandler), files: make(map[string]*watchedFile)}
	for _, name := range []string{"admin/page.lua", "page.lua", "zoo/page.lua", "zoo/menu.lua", "admin/menu.lua"} {
		w.add(0, []pool.File{statFile(dir + "/./" + name)}, time.Now())
	}
	for name, want := range map[string]string{
		"page.lua": "page.lua", "./page.lua": "page.lua", "zoo/page.lua": "zoo/page.lua", "menu.lua": "admin/menu.lua", "age.lua": "", "...ge.lua": "admin/page.lua",
		dir + "/./zoo/menu.lua": "zoo/menu.lua",
	} {
		if want != "" {
			want = dir + "/./" + want
		}
		if got := w.find(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestWatchExtraIsBounded(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, "a", "b")
	w := &fileWatch{log: slog.New(slog.DiscardHandler), files: make(map[string]*watchedFile), extra: []string{dir}}
	for n := range watchFilesMax - 1 {
		path := filepath.Join("/", "x", string(rune('a'+n%26)), time.Duration(n).String())
		w.files[path] = &watchedFile{loaded: pool.File{Path: path}}
	}
	w.findExtra(false, time.Now())
	if !w.full || len(w.files) != watchFilesMax {
		t.Errorf("%d files", len(w.files))
	}
}

// The server reloads the script when a template changes.
func TestWatchTemplates(t *testing.T) {
	a := newApplication(t)
	dir := filepath.Join(filepath.Dir(a.script), "views")
	writeFiles(t, dir, "page.html")
	a.write(`@ local f = assert(io.open("` + dir + `/page.html")) local text = f:read("*a") f:close()
listen{port, connect = say(text)}`)
	s := start(t, "--watch="+dir, a.script)
	if _, body := answerTo(t, "GET", s.url("/")); body != "page.html" {
		t.Errorf("%q", body)
	}
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte("another page"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new page", func() bool { _, body := answerTo(t, "GET", s.url("/")); return body == "another page" })
	s.stop()
}
