package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func options(files int, bytes int64) Options {
	return Options{Files: files, Bytes: bytes, User: os.Geteuid(), Group: os.Getegid()}
}

func openStore(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// record is the n-th record. end: of a worker that has ended.
func record(n int, end string) *Record {
	return &Record{
		ID: fmt.Sprintf("ID-%d", n), Time: time.Unix(1_700_000_000+int64(n), 0).UTC(), Cause: "error", Kind: "http", Worker: Worker{End: end},
		Request: &Request{Head: Text("GET /ü HTTP/1.1\r\nA: <b>&\r\n\r\n"), Body: Text("\xff\x00")},
	}
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// What is written is read again as it was, and only its user may read it.
func TestWriteAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "crashes")
	s := openStore(t, dir, options(10, 1<<20))
	want := record(1, "signal SIGSEGV")
	name, err := s.Write(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(filepath.Join(dir, name))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, name): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if name != "20231114T221321.000Z-end-ID-1.json" {
		t.Error(name)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, name)); !strings.Contains(string(b), `"A: <b>&\r\n"`) {
		t.Errorf("not for reading: %s", b)
	}
}

// The oldest records go, and errors of handlers do not displace all others. What is no record stays.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	precious := filepath.Join(dir, "precious.json")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir, options(6, 1<<20))
	for n := range 3 {
		if _, err := s.Write(record(n, "signal SIGSEGV")); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 10 {
		if _, err := s.Write(record(10+n, "")); err != nil {
			t.Fatal(err)
		}
	}
	list := strings.Join(names(t, dir), " ")
	if strings.Count(list, "-error-") != 3 || strings.Count(list, "-end-") != 3 || !strings.Contains(list, "-ID-19.") || !strings.Contains(list, "precious") {
		t.Error(list)
	}
	for n := range 10 {
		if _, err := s.Write(record(30+n, "signal SIGSEGV")); err != nil {
			t.Fatal(err)
		}
	}
	list = strings.Join(names(t, dir), " ")
	if strings.Count(list, "-end-") != 6 || strings.Contains(list, "-error-") || !strings.Contains(list, "-ID-39.") {
		t.Error(list)
	}
	f := s.Figures()
	if f.Written != 23 || f.Removed != 17 || f.Files != 6 || f.Failed != 0 {
		t.Errorf("%+v", f)
	}
	second := openStore(t, dir, options(6, 1<<20)).Figures()
	if second.Files != f.Files || second.Bytes != f.Bytes || f.Bytes == 0 {
		t.Errorf("%+v, opened again %+v", f, second)
	}
}

func TestBytes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	one, err := encode(record(0, "x"))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(one))
	s := openStore(t, dir, options(100, 3*size))
	for n := range 5 {
		if _, err := s.Write(record(n, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if list := names(t, dir); len(list) != 3 || !strings.Contains(list[0], "ID-2") {
		t.Error(list)
	}
	large := record(9, "x")
	large.Message = strings.Repeat("m", int(3*size))
	if _, err := s.Write(large); !errors.Is(err, ErrSize) {
		t.Error(err)
	}
	if f := s.Figures(); f.Files != 3 || f.Bytes != 3*size || f.Failed != 1 {
		t.Errorf("%+v", f)
	}
}

// A record that cannot be written leaves nothing, and the next one may succeed.
func TestWriteFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	s := openStore(t, dir, options(10, 1<<20))
	blocked := filepath.Join(dir, NameOf(record(1, ""))+unfinished)
	if err := os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), blocked); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(record(1, "")); err == nil {
		t.Error("a symbolic link is followed")
	}
	os.Remove(blocked)
	if _, err := s.Write(record(1, "")); err != nil {
		t.Error(err)
	}
	os.RemoveAll(dir)
	if _, err := s.Write(record(2, "")); err == nil {
		t.Error("written to a directory that is gone")
	}
	if f := s.Figures(); f.Written != 1 || f.Failed != 2 {
		t.Errorf("%+v", f)
	}
}

// What a process has left that was ended in the middle of writing is removed, but not what another one writes now.
func TestUnfinished(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	s := openStore(t, dir, options(10, 1<<20))
	old, fresh := filepath.Join(dir, NameOf(record(1, ""))+unfinished), filepath.Join(dir, NameOf(record(2, ""))+unfinished)
	for _, name := range []string{old, fresh} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-time.Hour)
	os.Chtimes(old, long, long)
	if _, err := s.Write(record(3, "")); err != nil {
		t.Fatal(err)
	}
	if list := names(t, dir); len(list) != 2 {
		t.Error(list)
	}
}

// A directory that others may look into, or that is another one's, is not used.
func TestOpenRefused(t *testing.T) {
	base := t.TempDir()
	wide, file, link, mine := filepath.Join(base, "wide"), filepath.Join(base, "file"), filepath.Join(base, "link"), filepath.Join(base, "mine")
	os.Mkdir(wide, 0o700)
	os.Chmod(wide, 0o750)
	os.WriteFile(file, nil, 0o600)
	os.Mkdir(mine, 0o700)
	os.Symlink(mine, link)
	other := options(1, 1)
	other.User++
	for dir, want := range map[string]struct {
		o   Options
		err string
	}{
		wide: {options(1, 1), "chmod 700"}, file: {options(1, 1), "no directory"}, link: {options(1, 1), "symbolic link"},
		mine: {other, "another user"}, filepath.Join(base, "missing", "dir"): {options(1, 1), "no such file"},
	} {
		if s, err := Open(dir, want.o); err == nil || !strings.Contains(err.Error(), want.err) {
			t.Errorf("%s: %v, %v", dir, s, err)
		}
	}
}

// Figures are there while a record waits for a disk that hangs: the server logs them where it handles signals.
func TestFiguresWhileWriting(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "crashes"), options(10, 1<<20))
	s.writing.Lock()
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.Write(record(1, ""))
	}()
	asked := make(chan StoreFigures)
	go func() { asked <- s.Figures() }()
	select {
	case f := <-asked:
		if f.Written != 0 {
			t.Errorf("%+v", f)
		}
	case <-time.After(time.Minute):
		t.Error("the figures wait for the disk")
	}
	s.writing.Unlock()
	<-written
	if f := s.Figures(); f.Written != 1 || f.Files != 1 {
		t.Errorf("%+v", f)
	}
}
