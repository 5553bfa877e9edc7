package static

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// large is more than sockets buffer, so a response is still being sent when the test changes the file.
const large = 64 << 20

// version is the contents of a large file: 64 KiB blocks that begin with a letter and their number.
func version(letter byte, size int) []byte {
	b := bytes.Repeat([]byte{letter}, size)
	for at := 0; at < size; at += 64 << 10 {
		copy(b[at:], fmt.Sprintf("%c%08d", letter, at>>16))
	}
	return b
}

// begun requests a file and returns when the head is there.
func begun(t *testing.T, r *rig, target string) (*http.Response, net.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	c.(*net.TCPConn).SetReadBuffer(64 << 10)
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res, c
}

// What happens to a file while it is sent: the client gets the old version, or a response that is visibly incomplete.
func TestChangesWhileSending(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(path string) error
		complete bool // the old version is still sent in full
		after    int  // status of the next request
	}{
		{"replaced", func(path string) error {
			if err := os.WriteFile(path+".new", version('b', large), 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, true, 200},
		{"removed", os.Remove, true, 404},
		{"truncated", func(path string) error { return os.Truncate(path, 1<<20) }, false, 200},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }, false, 200},
		{"directory renamed", func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".old") }, true, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, "d", "file")
			old := version('a', large)
			write(t, path, string(old), false)
			r := serve(t, alone(Rule{Prefix: "/", Path: root}))
			res, conn := begun(t, r, "/d/file")
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			switch {
			case err == nil && !bytes.HasPrefix(old, got):
				t.Error("wrong bytes")
			case c.complete && (err != nil || len(got) != large):
				t.Errorf("%d bytes, %v", len(got), err)
			case !c.complete && (err == nil || len(got) >= large):
				t.Errorf("%d bytes, %v", len(got), err)
			}
			conn.Close()
			if status, _ := r.get("/d/file", "Range: bytes=0-"); status != c.after && !(c.after == 200 && status == 206) {
				t.Errorf("then %d, want %d", status, c.after)
			}
		})
	}
}

// runAsNobody runs the test in a process of a user without rights.
func runAsNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	dir, err := os.MkdirTemp("", "static") // that of t is accessible for root only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "test")
	if err := errors.Join(os.WriteFile(path, program, 0o755), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

// Permissions count when a file is opened.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 { // who can read everything
		runAsNobody(t)
		return
	}
	root := tree(t, map[string]string{"a": "text", "d/b": "text"})
	r := serve(t, alone(Rule{Prefix: "/", Path: root}))
	for path, target := range map[string]string{root + "/a": "/a", root + "/d": "/d/b"} {
		os.Chmod(path, 0)
		if status, _ := r.get(target); status != 403 {
			t.Errorf("%s: %d", target, status)
		}
		os.Chmod(path, 0o755)
		if status, _ := r.get(target); status != 200 {
			t.Errorf("%s, readable again: %d", target, status)
		}
	}
}

// With a cache, a file that is sent by its descriptor is compared with what it was at each request. So a file that is changed in
// place is never sent with the head of the old version.
func TestCachedFileChangedInPlace(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "file")
	c := alone(Rule{Prefix: "/", Path: root})
	c.Fresh = time.Hour
	r := serve(t, c)
	for i := range 5 {
		want := strings.Repeat(fmt.Sprint(i), contentDefault+1+i)
		write(t, path, want, false)
		age(t, path, 100)
		for range 2 {
			res, body := r.send("GET", "/file")
			if body != want || res.ContentLength != int64(len(want)) {
				t.Fatalf("version %d: %d bytes, %q…", i, len(body), body[:10])
			}
		}
	}
	os.Chmod(path, 0o600)
	if _, body := r.send("GET", "/file"); len(body) != contentDefault+5 {
		t.Errorf("after chmod: %d bytes", len(body))
	}
}

// A small file in memory is sent as it was, until it is looked up again.
func TestCachedSmallFile(t *testing.T) {
	root := tree(t, map[string]string{"a": "old", "gone": "x"})
	age(t, root+"/a", 100)
	c := alone(Rule{Prefix: "/", Path: root})
	c.Fresh = time.Hour
	r := serve(t, c)
	for _, target := range []string{"/a", "/gone", "/later"} {
		r.get(target)
	}
	write(t, root+"/a", "new text", false)
	write(t, root+"/later", "here", false)
	os.Remove(root + "/gone")
	for target, want := range map[string]string{"/a": "old", "/gone": "x", "/later": "Not Found\n"} {
		if _, body := r.get(target); body != want {
			t.Errorf("%s: %q within the time, want %q", target, body, want)
		}
	}
	r.static.expire()
	for target, want := range map[string]string{"/a": "new text", "/gone": "Not Found\n", "/later": "here"} {
		if _, body := r.get(target); body != want {
			t.Errorf("%s: %q after the time, want %q", target, body, want)
		}
	}
}

// expire makes all entries outdated.
func (s *Static) expire() {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for _, e := range s.store.ring {
		e.checkedNS.Add(-int64(24 * time.Hour))
	}
}

// An entry that is in use is looked up again in the background. If nothing has changed, it stays the same one.
func TestRecheck(t *testing.T) {
	root := tree(t, map[string]string{"a": "old", "big": strings.Repeat("x", contentDefault+1)})
	age(t, root+"/a", 100)
	age(t, root+"/big", 100)
	c := alone(Rule{Prefix: "/", Path: root})
	c.Fresh = time.Hour
	r := serve(t, c)
	for _, target := range []string{"/a", "/big"} {
		r.get(target)
		before := r.static.store.get(target)
		before.checkedNS.Add(-int64(90 * time.Minute))
		stale := before.checkedNS.Load()
		if status, _ := r.get(target); status != 200 {
			t.Fatalf("%s: %d", target, status)
		}
		r.static.lookups.finish()
		if after := r.static.store.get(target); after != before || after.checkedNS.Load() == stale || after.checking.Load() {
			t.Errorf("%s: %p, before %p, checked %v", target, after, before, after.checkedNS.Load() != stale)
		}
	}
	write(t, root+"/a", "new text", false)
	before := r.static.store.get("/a")
	before.checkedNS.Add(-int64(90 * time.Minute))
	if _, body := r.get("/a"); body != "old" {
		t.Errorf("while it is looked up: %q", body)
	}
	r.static.lookups.finish()
	if _, body := r.get("/a"); body != "new text" || !before.dead.Load() {
		t.Errorf("then: %q", body)
	}
}

// A directory that is removed and made again, as build tools do it, is found again.
func TestDirectoryMadeAgain(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		parent := tree(t, map[string]string{"dist/a": "old"})
		r := serve(t, alone(Rule{Prefix: "/", Path: parent + "/dist"}))
		if _, body := r.get("/a"); body != "old" {
			t.Fatalf("%q", body)
		}
		os.RemoveAll(parent + "/dist")
		if status, _ := r.get("/a"); status != 404 {
			t.Errorf("removed: %d", status)
		}
		write(t, parent+"/dist/a", "new", false)
		if _, body := r.get("/a"); body != "new" {
			t.Errorf("made again: %q", body)
		}
	})
}

// A replacement by renaming, with requests all the time: each response is one of the versions, as a whole.
func TestReplacedUnderLoad(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "file")
	sizes := map[byte]int{'a': 100, 'b': 200_000, 'c': 5000, 'd': 100_000}
	write(t, path, string(version('a', sizes['a'])), false)
	c := alone(Rule{Prefix: "/", Path: root})
	c.Fresh = time.Millisecond
	r := serve(t, c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			letter := byte('a' + i%4)
			os.WriteFile(path+".new", version(letter, sizes[letter]), 0o644)
			os.Rename(path+".new", path)
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		res, body, err := r.try("GET", "/file")
		if err != nil || res.StatusCode != 200 || len(body) == 0 || len(body) != sizes[body[0]] || body != string(version(body[0], len(body))) {
			t.Fatalf("%v, %d bytes", err, len(body))
		}
	}
}
