package reactor

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// diskFile is a file with n bytes that are on the disk.
func diskFile(t testing.TB, n int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(bytes.Repeat([]byte("moon"), n/4)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPread(t *testing.T) {
	f := diskFile(t, 1000)
	for _, c := range []struct {
		size   int
		offset int64
		n      int
		err    error
	}{{10, 0, 10, nil}, {1000, 0, 1000, nil}, {100, 950, 50, io.EOF}, {10, 2000, 0, io.EOF}} {
		p := make([]byte, c.size)
		if n, err := Pread(int(f.Fd()), p, c.offset); n != c.n || err != c.err {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
	}
	if _, err := Pread(-1, make([]byte, 1), 0); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("no file: %v", err)
	}
	if err := ReadAll(int(f.Fd()), 0, 1000); err != nil {
		t.Error(err)
	}
	if err := ReadAll(int(f.Fd()), 500, 501); err != io.EOF {
		t.Errorf("beyond the end: %v", err)
	}
}
