package spool

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// create returns an empty file, which the test closes.
func create(t *testing.T, s *Spool) *File {
	t.Helper()
	f, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func appendAll(t *testing.T, f *File, text string) {
	t.Helper()
	if n, err := f.Append([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("%d bytes appended of %d: %v", n, len(text), err)
	}
}

// holds checks the counts of the spool, and that nothing is in its directory.
func holds(t *testing.T, s *Spool, bytes, files int64) {
	t.Helper()
	if s.Bytes() != bytes || s.Files() != files {
		t.Errorf("%d bytes in %d files, want %d in %d", s.Bytes(), s.Files(), bytes, files)
	}
	if list, err := os.ReadDir(s.Dir()); err != nil || len(list) != 0 {
		t.Errorf("in the directory: %v, %v", list, err)
	}
}

func TestFile(t *testing.T) {
	for name, open := range map[string]func(string) (int, error){"unnamed": openUnnamed, "named": openNamed} {
		t.Run(name, func(t *testing.T) {
			s := New(t.TempDir(), 100)
			fd, err := open(s.Dir())
			if err != nil {
				t.Fatal(err)
			}
			s.files.Add(1)
			f := &File{s: s, fd: fd}
			appendAll(t, f, "hello, ")
			appendAll(t, f, "world")
			holds(t, s, 12, 1)
			p := make([]byte, 5)
			if n, err := f.ReadAt(p, 7); n != 5 || err != nil || string(p) != "world" {
				t.Errorf("read %q, %v", p[:n], err)
			}
			if n, err := f.ReadAt(p, 9); n != 3 || err != io.EOF {
				t.Errorf("%d bytes read at the end, %v", n, err)
			}
			f.Close()
			holds(t, s, 0, 0)
		})
	}
}

// Another descriptor of the file reads the same bytes, and cannot change them.
func TestOpen(t *testing.T) {
	f := create(t, New(t.TempDir(), 100))
	defer f.Close()
	appendAll(t, f, "hello")
	fd, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	p := make([]byte, 10)
	if n, err := unix.Pread(fd, p, 0); n != 5 || string(p[:5]) != "hello" {
		t.Errorf("read %q, %v", p[:max(n, 0)], err)
	}
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return // the system has no way to open an unnamed file
	}
	if _, err := unix.Pwrite(fd, p, 0); err == nil {
		t.Error("the descriptor can write")
	}
}

func TestLimit(t *testing.T) {
	s := New(t.TempDir(), 10)
	a, b := create(t, s), create(t, s)
	appendAll(t, a, "12345")
	for _, c := range []struct {
		n    int64
		want error
	}{{0, nil}, {5, nil}, {6, ErrFull}, {10, ErrFull}, {11, ErrTooLarge}} {
		if err := s.Room(c.n); err != c.want {
			t.Errorf("room for %d bytes: %v, want %v", c.n, err, c.want)
		}
	}
	if n, err := b.Append([]byte("123456")); n != 0 || err != ErrFull {
		t.Errorf("%d bytes appended, %v", n, err)
	}
	if n, err := a.Append([]byte("123456")); n != 0 || err != ErrTooLarge {
		t.Errorf("%d bytes appended, %v", n, err)
	}
	holds(t, s, 5, 2)
	appendAll(t, b, "12345")
	a.Close()
	appendAll(t, b, "12345")
	b.Close()
	holds(t, s, 0, 0)
}

// The size limit of the system is not exceeded: the system would send a signal.
func TestSizeMax(t *testing.T) {
	s := New(t.TempDir(), 100)
	s.sizeMax = 10
	f := create(t, s)
	defer f.Close()
	appendAll(t, f, "1234567890")
	f.Drop(10)
	if _, err := f.Append([]byte("1")); err != ErrTooLarge {
		t.Errorf("appended beyond the size of a file: %v", err)
	}
	if err := s.Room(11); err != ErrTooLarge {
		t.Errorf("room: %v", err)
	}
}

// A full disk takes some of the bytes, and then none. Those that it has taken are counted.
func TestDiskFull(t *testing.T) {
	defer func() { pwrite = unix.Pwrite }()
	room := 7
	pwrite = func(fd int, p []byte, off int64) (int, error) {
		if room == 0 {
			return 0, unix.ENOSPC
		}
		p = p[:min(len(p), room)]
		room -= len(p)
		return unix.Pwrite(fd, p, off)
	}
	s := New(t.TempDir(), 100)
	f := create(t, s)
	appendAll(t, f, "1234")
	n, err := f.Append([]byte("56789"))
	if n != 3 || !errors.Is(err, unix.ENOSPC) || f.Size() != 7 {
		t.Errorf("%d bytes appended, %v", n, err)
	}
	holds(t, s, 7, 1)
	room = 100
	appendAll(t, f, "89")
	p := make([]byte, 9)
	if f.ReadAt(p, 0); string(p) != "123456789" {
		t.Errorf("read %q", p)
	}
	f.Close()
	holds(t, s, 0, 0)
}

// Space that a file frees is available to others, and is not counted twice.
func TestDrop(t *testing.T) {
	for name, can := range map[string]bool{"can": true, "cannot": false} {
		t.Run(name, func(t *testing.T) {
			defer func() { punch = punchHole }()
			if !can {
				punch = func(int, int64, int64) error { return unix.EOPNOTSUPP }
			} else if err := probe(t); err != nil {
				t.Skip("the file system gives back no parts of files: ", err)
			}
			const piece = 1 << 20
			s := New(t.TempDir(), 3*piece)
			f := create(t, s)
			for _, letter := range []string{"a", "b", "c"} {
				appendAll(t, f, strings.Repeat(letter, piece))
			}
			f.Drop(piece)
			f.Drop(piece)
			f.Drop(10)
			if want := int64(3*piece - piece*truth(can)); s.Bytes() != want || f.Held() != want {
				t.Errorf("%d bytes counted, want %d", s.Bytes(), want)
			}
			if _, err := f.Append(make([]byte, piece)); (err == nil) != can {
				t.Errorf("append: %v", err)
			}
			p := make([]byte, 2)
			if f.ReadAt(p, 2*piece-1); string(p) != "bc" {
				t.Errorf("read %q", p)
			}
			f.Close()
			holds(t, s, 0, 0)
		})
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// probe returns nil if the file system of the tests can punch holes.
func probe(t *testing.T) error {
	f := create(t, New(t.TempDir(), 1<<20))
	defer f.Close()
	appendAll(t, f, strings.Repeat("x", 1<<20))
	return punchHole(f.fd, 0, 1<<20)
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	s := New(dir, 100)
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	holds(t, s, 0, 0)
	for name, missing := range map[string]string{"missing": dir + "/missing", "not a directory": os.Args[0]} {
		if err := New(missing, 100).Check(); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Files of many goroutines share the limit.
func TestConcurrent(t *testing.T) {
	s := New(t.TempDir(), 1000)
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 50 {
				f, err := s.Create()
				if err != nil {
					t.Error(err)
					return
				}
				for range 5 {
					if n, err := f.Append(make([]byte, 40)); err != nil && (err != ErrFull || n != 0) {
						t.Error(err)
					}
				}
				if n := s.Bytes(); n < 0 {
					t.Errorf("%d bytes", n)
				}
				f.Close()
			}
		})
	}
	running.Wait()
	holds(t, s, 0, 0)
}
