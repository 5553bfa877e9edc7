package static

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Only regular files are served, and nothing waits for the others.
func TestSpecialFiles(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		root := tree(t, map[string]string{"file": "text", "loop/x": "x"})
		if err := unix.Mkfifo(root+"/fifo", 0o644); err != nil {
			t.Fatal(err)
		}
		socket, err := net.Listen("unix", root+"/socket")
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		os.Symlink("/dev/zero", root+"/zero")
		os.Symlink("/dev/tty", root+"/tty")
		os.Symlink(root+"/fifo", root+"/tofifo")
		os.Symlink("..", root+"/loop/up")
		rules := []Rule{{Prefix: "/in/", Path: root, Listing: true}, {Prefix: "/out/", Path: root, Listing: true, Symlinks: true}}
		makeDevice(t, root+"/device")
		r := serve(t, alone(rules...))
		for _, name := range []string{"fifo", "socket", "zero", "tty", "tofifo", "device", "fifo/", "file/x"} {
			for _, prefix := range []string{"/in/", "/out/"} {
				if status, _ := r.get(prefix + name); status != 404 {
					t.Errorf("%s%s: %d", prefix, name, status)
				}
			}
		}
		if _, body := r.get("/in/" + strings.Repeat("loop/up/", 3) + "file"); body != "text" {
			t.Errorf("a loop of directories: %q", body)
		}
		if status, _ := r.get("/in/" + strings.Repeat("loop/up/", 45) + "file"); status != 404 {
			t.Errorf("a long loop of directories: %d", status)
		}
		if _, page := r.get("/in/"); strings.Contains(page, "fifo") || strings.Contains(page, "socket") || !strings.Contains(page, "./file") {
			t.Error(page)
		}
	})
}

// Names of all kinds: whatever a directory contains can be fetched by the link in its listing, or is not in it.
func TestNames(t *testing.T) {
	root := t.TempDir()
	names := []string{"ÄÖÜ ß.txt", "日本語.html", "\xc4\xd6\xdc latin1", "a\tb", "line\nbreak", "quote\"'", "<script>", "a&b;c=d", "100%", "%41", "a?b#c", "~", "-rf", "...",
		"a:b", "back\\slash", strings.Repeat("x", 255), "e\u0301", "\u202egnp.exe", "\x01\x7f", "*", "[x]{y}", "$HOME", "a+b c", "CON", "a.", " lead", "trail "}
	for b := 1; b < 256; b++ {
		if b != '/' && b != '.' {
			names = append(names, "byte"+string([]byte{byte(b)}))
		}
	}
	for _, name := range names {
		write(t, filepath.Join(root, name), "contents of "+name, false)
	}
	r := serve(t, alone(Rule{Prefix: "/n/", Path: root, Listing: true, Dotfiles: true}))
	_, page := r.get("/n/")
	for _, name := range names {
		status, body := r.get("/n/" + escapePath(name))
		if strings.Contains(name, `\`) {
			if status != 404 {
				t.Errorf("%q: %d", name, status)
			}
			continue
		}
		if status != 200 || body != "contents of "+name {
			t.Errorf("%q: %d, %q", name, status, body)
		}
		if link := strings.NewReplacer("&", "&amp;", "'", "&#39;").Replace(escapePath(name)); !strings.Contains(page, `href="./`+link+`"`) {
			t.Errorf("%q: no link %s", name, link)
		}
	}
	for _, target := range []string{"/n/byte%00", "/n/a%00b", "/n/%41%00", "/n/back%5Cslash", "/n/ÄÖÜ%2F"} {
		if status, _ := r.get(target); status != 404 {
			t.Errorf("%s: %d", target, status)
		}
	}
}

// More files than the cache holds, and more requests at a time than lookups.
func TestManyFiles(t *testing.T) {
	files := 5000
	if os.Getenv("MOONBRIDGE_LONG") != "" {
		files = 100_000
	}
	root := t.TempDir()
	for d := range 100 {
		dir := filepath.Join(root, fmt.Sprint(d))
		os.Mkdir(dir, 0o755)
		for i := range files / 100 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), fmt.Appendf(nil, "%d/%d", d, i), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := alone(Rule{Prefix: "/", Path: root, Listing: true})
	c.Fresh, c.Entries, c.Goroutines = 1e9, 500, 4
	r := serve(t, c)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			p := dial(t, r)
			for n := g; n < files; n += 8 * 7 {
				name := fmt.Sprintf("%d/%d", n%100, n/100)
				if status, body := p.get("/" + name); status != 200 || body != name {
					t.Errorf("%s: %d %q", name, status, body)
					return
				}
			}
		})
	}
	all.Wait()
	if held := r.static.store.holds(); held.entries > 500 || held.bytes > 500*10 {
		t.Errorf("%+v", held)
	}
}

func TestLargeListing(t *testing.T) {
	root := t.TempDir()
	for i := range listingMax + 10 {
		if err := os.WriteFile(filepath.Join(root, fmt.Sprint(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := serve(t, alone(Rule{Prefix: "/", Path: root, Listing: true}))
	_, page := r.get("/")
	if n := strings.Count(page, "<a href="); n != listingMax || !strings.Contains(page, "There are more than 10000 names") {
		t.Errorf("%d names", n)
	}
}

// The bounds of the store: descriptors are closed when others are opened.
func TestBounds(t *testing.T) {
	root := t.TempDir()
	for i := range 50 {
		write(t, fmt.Sprintf("%s/%d", root, i), strings.Repeat("x", contentDefault+i), false)
	}
	c := alone(Rule{Prefix: "/", Path: root})
	c.Fresh, c.Descriptors, c.Bytes = 1e12, 5, contentDefault
	r := serve(t, c)
	before := descriptors(t)
	for range 3 {
		for i := range 50 {
			if _, body := r.get(fmt.Sprintf("/%d", i)); len(body) != contentDefault+i {
				t.Fatalf("%d: %d bytes", i, len(body))
			}
		}
	}
	r.static.lookups.finish()
	if held := r.static.store.holds(); held.descriptors > 5 || held.bytes > contentDefault {
		t.Errorf("%+v", held)
	}
	if now := descriptors(t); now > before+5+8 { // and a few connections that are being closed
		t.Errorf("%d descriptors, before %d", now, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors cannot be listed: ", err)
	}
	return len(names)
}

// What no goroutine is free for, and no place in the queue, is answered 503.
func TestQueueFull(t *testing.T) {
	root := tree(t, map[string]string{"a": "a", "b": "b", "c": "c"})
	c := withNext(Rule{Prefix: "/f/", Path: root})
	c.Goroutines, c.Queue = 1, 1
	r := serve(t, c)
	hold, held := make(chan struct{}), make(chan struct{})
	r.static.lookups.run(r.static.rules[0], func() { close(held); <-hold })
	<-held
	waiting := dial(t, r)
	waiting.ask("/f/a") // takes the place in the queue
	for n := 0; n == 0; {
		r.static.lookups.mu.Lock()
		n = len(r.static.lookups.rules[r.static.rules[0]].queue)
		r.static.lookups.mu.Unlock()
	}
	res, _ := r.send("GET", "/f/b")
	if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
		t.Errorf("%d, %v", res.StatusCode, res.Header)
	}
	if _, body := r.get("/other"); body != handled+"GET /other" {
		t.Errorf("the handler: %q", body)
	}
	close(hold)
	if status, body := waiting.read(); status != 200 || body != "a" {
		t.Errorf("what has waited: %d %q", status, body)
	}
}

// A directory that hangs does not keep the files of another one waiting. Its own requests are answered 503, until it works again.
func TestHungDirectory(t *testing.T) {
	hung, good := tree(t, map[string]string{"a": "a", "b": "b", "c": "c"}), tree(t, map[string]string{"a": "good"})
	c := withNext(Rule{Prefix: "/hung/", Path: hung}, Rule{Prefix: "/good/", Path: good})
	c.Goroutines, c.Queue, c.Wait = 2, 4, time.Millisecond
	r := serve(t, c)
	dir := match(r.static.rules, []byte("/hung/")).dir
	dir.mu.Lock() // as a system call would hold it
	for _, name := range []string{"a", "b", "c", "a", "c"} {
		if res, _ := r.send("GET", "/hung/"+name); res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d, %v", name, res.StatusCode, res.Header)
		}
		if status, body := r.get("/good/a"); status != 200 || body != "good" {
			t.Errorf("the other directory: %d, %q", status, body)
		}
	}
	dir.mu.Unlock()
	r.static.lookups.finish()
	for _, name := range []string{"a", "b", "c"} {
		for status, body := 0, ""; status != 200; { // the loop may not know yet that it works
			if status, body = r.get("/hung/" + name); status != 200 && status != 503 || status == 200 && body != name {
				t.Fatalf("%s: %d, %q", name, status, body)
			}
		}
	}
}

// A client that goes away while its lookup waits leaves nothing behind.
func TestGoneWhileWaiting(t *testing.T) {
	root := tree(t, map[string]string{"a": strings.Repeat("x", contentDefault+1)})
	c := withNext(Rule{Prefix: "/f/", Path: root})
	c.Goroutines, c.Fresh = 1, 1e12
	r := serve(t, c)
	hold, held := make(chan struct{}), make(chan struct{})
	r.static.lookups.run(r.static.rules[0], func() { close(held); <-hold })
	<-held
	for _, target := range []string{"/f/a", "/f/missing"} {
		p := dial(t, r)
		p.ask(target)
		p.c.(*net.TCPConn).SetLinger(0)
		p.c.Close()
	}
	stays := dial(t, r)
	stays.ask("/f/a")
	close(hold)
	if status, body := stays.read(); status != 200 || len(body) != contentDefault+1 {
		t.Errorf("another client: %d, %d bytes", status, len(body))
	}
}

// Requests of one connection, sent without waiting: files in memory, by descriptor, and the handler's, in their order.
func TestPipelined(t *testing.T) {
	root := tree(t, map[string]string{"small": "small", "big": strings.Repeat("B", 100_000)})
	c := withNext(Rule{Prefix: "/f/", Path: root})
	c.Fresh = 1e12
	r := serve(t, c)
	p := dial(t, r)
	var want []string
	for range 20 {
		for _, x := range []struct{ target, body string }{
			{"/f/small", "small"}, {"/f/big", strings.Repeat("B", 100_000)}, {"/x", handled + "GET /x"}, {"/f/none", handled + "GET /f/none"},
		} {
			p.ask(x.target)
			want = append(want, x.body)
		}
	}
	for i, body := range want {
		if status, got := p.read(); status != 200 || got != body {
			t.Fatalf("response %d: %d, %d bytes, want %d", i, status, len(got), len(body))
		}
	}
}
