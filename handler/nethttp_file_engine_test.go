package handler_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// numberedFile is a file whose blocks of 16 bytes all differ.
func numberedFile(t *testing.T, size int) (name string, content []byte) {
	t.Helper()
	for i := 0; len(content) < size; i++ {
		content = fmt.Appendf(content, "%15d\n", i)
	}
	name = filepath.Join(t.TempDir(), "numbers.txt")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name, content
}

// A handler that passes on one range of a file after the other must not replace a part that the loop is sending.
func TestRangesWithFlush(t *testing.T) {
	const piece, pieces = 64 << 10, 200
	name, content := numberedFile(t, piece*pieces)
	for _, minor := range []int{0, 1} {
		t.Run(fmt.Sprint("HTTP/1.", minor), func(t *testing.T) {
			address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				f, err := os.Open(name)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				if minor == 1 {
					w.Header().Set("Content-Length", strconv.Itoa(len(content)))
				}
				for range pieces {
					if _, err := io.CopyN(w, f, piece); err != nil {
						t.Error(err)
						return
					}
					flushed(w)
				}
			})
			for range 5 {
				_, in := talk(t, address, fmt.Sprintf("GET / HTTP/1.%d\r\nHost: h\r\n\r\n", minor))
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, content) {
					t.Fatalf("%d bytes of %d, or other ones, %v", len(got), len(content), err)
				}
			}
		})
	}
}

// A handler that computes a length below 0 sends nothing, as with net/http, and not the whole file.
func TestCopyNegative(t *testing.T) {
	name, _ := numberedFile(t, 100<<10)
	address := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "text/plain")
		if n, err := io.CopyN(w, f, -1); n != 0 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	_, in := talk(t, address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || len(body) > 0 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}
