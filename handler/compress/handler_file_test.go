package compress_test

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/compress"
)

// A handler that copies a file to its response: the response is compressed if it may be, and otherwise sent from the file.
func TestHandlerCopiesFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.txt")
	content := strings.Repeat("a line of text\n", 10_000)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if r.URL.Path == "/content" {
			http.ServeContent(w, r, "a.txt", time.Time{}, f)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		if _, err := io.Copy(w, f); err != nil {
			t.Error(err)
		}
	})
	b, err := compress.New(handler.Config{Logger: slog.New(slog.DiscardHandler)}.Blocking(handler.HTTP(h), 0), compress.Options{}, compress.NewShared())
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Shutdown(context.Background()) })
	client := http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for _, c := range []struct{ path, accepts, coding string }{
		{"/copy", "gzip", "gzip"},
		{"/copy", "identity", ""},
		{"/content", "gzip", ""},
	} {
		r, err := http.NewRequest("GET", "http://"+ln.Addr()+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", c.accepts)
		res, err := client.Do(r)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		in := io.Reader(res.Body)
		if coding := res.Header.Get("Content-Encoding"); coding != c.coding {
			t.Errorf("%+v: coding %q", c, coding)
		} else if coding != "" {
			if in, err = gzip.NewReader(res.Body); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(in)
		if string(got) != content || err != nil {
			t.Errorf("%+v: %d bytes, %v", c, len(got), err)
		}
		res.Body.Close()
	}
}
