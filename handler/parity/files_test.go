package parity

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// modified is the time of the files.
var modified = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// makeFiles fills a directory for the file server.
func makeFiles(t *testing.T) (dir string) {
	dir = t.TempDir()
	for name, content := range map[string]string{
		"a.txt":          "0123456789",
		"page.html":      "<p>page",
		"large.bin":      strings.Repeat("0123456789ghijkl", 10_000),
		"empty":          "",
		"sub/index.html": "<p>index",
		"list/b.txt":     "b",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(dir, "list"), modified, modified); err != nil {
		t.Fatal(err)
	}
	return dir
}

func addFiles(mux *http.ServeMux, dir string) {
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(dir))))
	mux.HandleFunc("/content", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		http.ServeContent(w, r, "c.txt", modified, strings.NewReader("0123456789"))
	})
	mux.HandleFunc("/serve-file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, "large.bin"))
	})
}
