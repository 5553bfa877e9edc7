package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// startSpool starts spool.lua with a spool directory of its own. args are options, then "--", then arguments of the script.
func startSpool(t *testing.T, args ...string) (s *instance, dir string) {
	t.Helper()
	dir = t.TempDir()
	options, words := args, []string(nil)
	for i, a := range args {
		if a == "--" {
			options, words = args[:i], args[i+1:]
		}
	}
	line := append([]string{"--spool-dir", dir}, options...)
	s = start(t, append(append(line, "testdata/spool.lua"), words...)...)
	t.Cleanup(func() {
		if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) > 0 {
			t.Errorf("left in the spool directory: %q", names)
		}
	})
	return s, dir
}

// spoolFiles returns how many files of the directory the server and its workers have open.
func spoolFiles(t *testing.T, s *instance, dir string) (n int) {
	t.Helper()
	for _, pid := range append(s.workers(), s.pid()) {
		fds := fmt.Sprintf("/proc/%d/fd", pid)
		entries, _ := os.ReadDir(fds)
		for _, e := range entries {
			if to, _ := os.Readlink(filepath.Join(fds, e.Name())); strings.HasPrefix(to, dir+"/") {
				n++
			}
		}
	}
	return n
}

// spoolIsEmpty checks that no file of the spool stays open.
func spoolIsEmpty(t *testing.T, s *instance, dir string) {
	t.Helper()
	eventually(t, "the spool is empty", func() bool { return spoolFiles(t, s, dir) == 0 })
}

func uploadHead(path string, n int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", path, n)
}

// bytesOf is n bytes of pattern.
func bytesOf(n int) []byte {
	var b bytes.Buffer
	io.Copy(&b, &patternReader{n: int64(n)})
	return b.Bytes()
}

// Clients that send their bodies slowly leave the only worker to others. When the bodies are there, they are what was sent.
func TestSlowUploadsLeaveTheWorkerFree(t *testing.T) {
	t.Parallel()
	s, dir := startSpool(t)
	body := bytesOf(100_000)
	var peers []*peer
	for i := range 20 {
		p := dial(t, s.address(0))
		if i%2 == 0 {
			p.say("%s%s", uploadHead("/echo", len(body)), body[:70_000])
		} else {
			p.say("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", len(body), body[:80_000])
		}
		peers = append(peers, p)
	}
	eventually(t, "all are spooled", func() bool { return spoolFiles(t, s, dir) == len(peers) })
	for range 20 {
		if got := get(t, s.url("/hello")); got != "hello" {
			t.Fatalf("got %q", got)
		}
	}
	if strings.Contains(s.log.String(), "called") {
		t.Error("a handler was called before its body was there")
	}
	for i, p := range peers {
		if i%2 == 0 {
			p.Write(body[70_000:])
		} else {
			fmt.Fprintf(p, "%s\r\n0\r\n\r\n", body[80_000:])
		}
		if got := p.hears(200); got != string(body) {
			t.Errorf("%d bytes came back of %d, or other ones", len(got), len(body))
		}
	}
	spoolIsEmpty(t, s, dir)
}

// Clients that do not read leave the only worker to others too. When they read, they get everything.
func TestSlowReadersLeaveTheWorkerFree(t *testing.T) {
	t.Parallel()
	s, dir := startSpool(t)
	const size = 20 << 20 // more than the kernel holds
	var peers []*peer
	for range 5 {
		p := dial(t, s.address(0))
		p.get("/big?" + strconv.Itoa(size))
		peers = append(peers, p)
	}
	eventually(t, "all responses are written", func() bool { return s.count("written") == len(peers) })
	if got := get(t, s.url("/hello")); got != "hello" {
		t.Errorf("got %q", got)
	}
	if n := spoolFiles(t, s, dir); n != len(peers) {
		t.Errorf("%d files in the spool", n)
	}
	want := strings.Repeat("0123456789abcdef", size/16)
	for _, p := range peers {
		if got := p.hears(200); got != want {
			t.Errorf("%d bytes of %d arrived, or other ones", len(got), size)
		}
		p.get("/hello")
		p.hears(200)
	}
	spoolIsEmpty(t, s, dir)
}

// With buffer_response = false, and without a spool, a slow reader keeps its worker.
func TestNotBuffered(t *testing.T) {
	for name, c := range map[string]struct {
		args     []string
		listener int
	}{"buffer_response": {nil, 2}, "--spool-limit": {[]string{"--spool-limit", "0"}, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := startSpool(t, c.args...)
			p := dial(t, s.address(c.listener))
			p.get("/big?100000000")
			if _, err := p.r.ReadByte(); err != nil {
				t.Fatal(err)
			}
			other := dial(t, s.address(c.listener))
			other.get("/hello")
			if n := spoolFiles(t, s, dir); n != 0 || strings.Contains(s.log.String(), "written") {
				t.Errorf("%d files in the spool, log:\n%s", n, s.log)
			}
			if n, err := io.CopyN(io.Discard, p.r, 100_000_000); err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			if got := other.hears(200); got != "hello" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A body that comes with Content-Length, in chunks, and in a form, of a size that no buffer holds, arrives byte by byte.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	s, dir := startSpool(t)
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	f, err := os.Create(from)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, &patternReader{n: bulk()}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	stop := watchMemory(t, s)
	for _, how := range [][]string{nil, {"-H", "Transfer-Encoding: chunked"}} {
		got := curl(t, append(how, "-F", "file=@"+from, "-F", "other=x", s.url("/save?"+to))...)
		if want := fmt.Sprint(bulk(), " x"); got != want {
			t.Errorf("%q: got %q, want %q", how, got, want)
		}
		saved, err := os.Open(to)
		if err != nil {
			t.Fatal(err)
		}
		var sum checksum
		io.Copy(&sum, saved)
		saved.Close()
		if sum.String() != checksumOf(bulk()) {
			t.Errorf("%q: the saved file is %s, want %s", how, &sum, checksumOf(bulk()))
		}
	}
	stop()
	spoolIsEmpty(t, s, dir)
}

// A small spool refuses bodies that do not fit, and takes them when there is room.
func TestSpoolLimit(t *testing.T) {
	t.Parallel()
	s, dir := startSpool(t, "--spool-limit", "200k")
	body := bytesOf(150_000)
	never := dial(t, s.address(0))
	never.say("%s", uploadHead("/echo", 205_000))
	never.hears(507)
	holds := dial(t, s.address(0))
	holds.say("%s%s", uploadHead("/echo", len(body)), body[:140_000])
	eventually(t, "it is spooled", func() bool { return spoolFiles(t, s, dir) == 1 })
	for _, head := range []string{uploadHead("/echo", 100_000),
		"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + string(body[:100_000])} {
		p := dial(t, s.address(0))
		p.say("%s", head)
		resp, err := http.ReadResponse(p.r, nil)
		if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("got %+v, %v; want 503 with Retry-After", resp, err)
		}
	}
	s.wait("requests refused", "status=503", `cause="spool: limit reached"`)
	small := dial(t, s.address(0))
	small.say("%ssmall", uploadHead("/echo", 5))
	if got := small.hears(200); got != "small" {
		t.Errorf("got %q", got)
	}
	holds.Write(body[140_000:])
	if got := holds.hears(200); got != string(body) {
		t.Errorf("%d bytes came back", len(got))
	}
	spoolIsEmpty(t, s, dir)
	again := dial(t, s.address(0))
	again.say("%s%s", uploadHead("/echo", len(body)), body)
	again.hears(200)
	spoolIsEmpty(t, s, dir)
}

// A disk that is full refuses uploads and makes responses wait in their worker, and does no other harm.
func TestFaultSpoolDiskFull(t *testing.T) {
	t.Parallel()
	if err := exec.Command("unshare", "-rm", "true").Run(); err != nil {
		t.Skip("no namespaces for a small file system: ", err)
	}
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := launchProgram(t, "unshare", "-rm", "sh", "-c", `mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"`, dir,
		exe, "--spool-dir", dir, "testdata/spool.lua")
	s.wait("msg=ready")
	fill := dial(t, s.address(0))
	fill.say("%s%s", uploadHead("/echo", 2_000_000), bytesOf(2_000_000)[:900_000])
	eventually(t, "it is spooled", func() bool { return spoolFiles(t, s, dir) == 1 })
	for range 3 {
		p := dial(t, s.address(0))
		go p.Write(append([]byte(uploadHead("/echo", 300_000)), bytesOf(300_000)...)) // it is refused in the middle
		p.hears(503)
	}
	s.wait("requests refused", "status=503", "no space left on device")
	reader := dial(t, s.address(0))
	reader.get("/big?50000000")
	if _, err := reader.r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	s.wait("responses wait in their handlers", "no space left on device")
	if n, err := io.CopyN(io.Discard, reader.r, 50_000_000); err != nil {
		t.Errorf("the response: %d bytes, %v", n, err)
	}
	fill.Close()
	spoolIsEmpty(t, s, dir)
	p := dial(t, s.address(0))
	p.say("%s%s", uploadHead("/echo", 300_000), bytesOf(300_000))
	p.hears(200)
}

// The server does not start without its spool directory, unless it spools nothing.
func TestSpoolDirectoryMissing(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	_, stderr := runToEnd(t, 3, "--spool-dir", missing, "testdata/spool.lua")
	checkMessage(t, stderr, "spool: create a file in "+missing+": no such file or directory", "--spool-dir")
	s := start(t, "--spool-dir", missing, "--spool-limit", "0", "testdata/spool.lua")
	p := dial(t, s.address(0))
	p.say("%s%s", uploadHead("/echo", 100_000), bytesOf(100_000))
	p.hears(200)
}

// A worker that is killed while it reads a body in a file loses nothing, if the request may be repeated.
func TestWorkerKilledWithSpooledBody(t *testing.T) {
	t.Parallel()
	s, dir := startSpool(t)
	body := bytesOf(300_000)
	for method, status := range map[string]int{"PUT": 200, "POST": 502} {
		mark := filepath.Join(t.TempDir(), "mark")
		resp, got, err := fetch(method, s.url("/die_once?"+mark), string(body))
		if err != nil || resp.StatusCode != status {
			t.Fatalf("%s: %v, %v", method, resp, err)
		}
		if status == 200 && got != string(body) {
			t.Errorf("%s: %d bytes came back", method, len(got))
		}
	}
	spoolIsEmpty(t, s, dir)
}

// An upload that stalls does not keep its file. It may be over before anybody has looked at that.
func TestSpooledUploadStalls(t *testing.T) {
	t.Parallel()
	s, dir := startSpool(t, "--", "1", "0.5")
	eventually(t, "it was spooled", func() bool {
		p := dial(t, s.address(0))
		p.say("%s%s", uploadHead("/echo", 300_000), bytesOf(100_000))
		answered, spooled := make(chan struct{}), false
		go func() {
			p.r.Peek(1)
			close(answered)
		}()
		for !isClosed(answered) && !spooled {
			spooled = spoolFiles(t, s, dir) > 0
		}
		<-answered
		p.hears(408)
		spoolIsEmpty(t, s, dir)
		return spooled
	})
}

// However an upload ends, its file is closed.
func TestSpooledUploadsEnd(t *testing.T) {
	t.Parallel()
	s, dir := startSpool(t, "--", "2")
	body := bytesOf(300_000)
	begin := func(path string, n int) *peer {
		before := spoolFiles(t, s, dir)
		p := dial(t, s.address(0))
		p.say("%s%s", uploadHead(path, len(body)), body[:n])
		if n < len(body) {
			eventually(t, "it is spooled", func() bool { return spoolFiles(t, s, dir) == before+1 })
		}
		return p
	}
	for name, end := range map[string]func(){
		"its client closes":      func() { begin("/echo", 100_000).Close() },
		"its client half-closes": func() { p := begin("/echo", 100_000); p.Conn.(*net.TCPConn).CloseWrite(); p.hears(400) },
		"its client resets":      func() { p := begin("/echo", 100_000); p.Conn.(*net.TCPConn).SetLinger(0); p.Close() },
		"it is not read":         func() { begin("/unread", len(body)).hears(200) },
		"its handler fails":      func() { begin("/fail", len(body)).hears(500) },
		"its client goes while the handler runs": func() {
			from := s.log.size()
			mark := filepath.Join(t.TempDir(), "mark")
			p := begin("/hold?"+mark, len(body))
			s.log.wait(t, from, "holds")
			p.Close()
			os.WriteFile(mark, nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			end()
			spoolIsEmpty(t, s, dir)
			if got := get(t, s.url("/hello")); got != "hello" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// An upload that began before a reload is handled by the new workers; one that is there at TERM is still handled.
func TestSpooledUploadsSurvive(t *testing.T) {
	t.Parallel()
	s, dir := startSpool(t)
	body := bytesOf(200_000)
	worker := s.worker()
	p := dial(t, s.address(0))
	p.say("%s%s", uploadHead("/echo", len(body)), body[:100_000])
	eventually(t, "it is spooled", func() bool { return spoolFiles(t, s, dir) == 1 })
	s.signal(syscall.SIGHUP)
	s.wait("msg=reloaded")
	eventually(t, "the old worker is gone", func() bool { _, alive := readProcess(worker); return !alive })
	p.Write(body[100_000:])
	if got := p.hears(200); got != string(body) {
		t.Errorf("after a reload: %d bytes came back", len(got))
	}
	p = dial(t, s.address(0))
	p.say("%s%s", uploadHead("/echo", len(body)), body[:100_000])
	eventually(t, "it is spooled", func() bool { return spoolFiles(t, s, dir) == 1 })
	s.signal(syscall.SIGTERM)
	s.wait("msg=stopping")
	p.Write(body[100_000:])
	if got := p.hears(200); got != string(body) {
		t.Errorf("after TERM: %d bytes came back", len(got))
	}
	p.hearsEnd()
	s.exit(0)
}

// Data that is still spooled when the time for a stop is over goes with the server.
func TestSpooledAtTheEndOfGrace(t *testing.T) {
	t.Parallel()
	s, dir := startSpool(t, "--grace", "0.2", "--stats")
	p := dial(t, s.address(0))
	p.get("/big?50000000")
	q := dial(t, s.address(0))
	q.say("%s%s", uploadHead("/echo", 200_000), bytesOf(100_000))
	s.wait("written")
	eventually(t, "both are spooled", func() bool { return spoolFiles(t, s, dir) == 2 })
	s.signal(syscall.SIGTERM)
	line := s.wait("msg=stats")
	if number(t, field(line, "spool")) < 100_000 || field(line, "spool_files") != "2" {
		t.Errorf("statistics: %s", line)
	}
	s.exit(0)
	p.hearsBreak()
	q.hearsBreak()
}

// Without stream_body the server answers Expect: 100-continue. With it, the handler does, by reading.
func TestExpectAndStreamBody(t *testing.T) {
	t.Parallel()
	s, _ := startSpool(t)
	expect := func(listener int, path string, n int) *peer {
		p := dial(t, s.address(listener))
		p.say("POST %s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", path, n)
		return p
	}
	for i, n := range []int{5, 100_000} {
		body, called := bytesOf(n), 2*i // the handlers of this loop that have noted it, two each time
		eventually(t, "all notes are in the log", func() bool { return s.count("called") == called })
		p := expect(0, "/echo", n)
		p.hears(100)
		if s.count("called") != called {
			t.Error("the handler was called before the body was there")
		}
		p.Write(body)
		if got := p.hears(200); got != string(body) {
			t.Errorf("%d bytes came back", len(got))
		}
		p = expect(1, "/unread", n)
		if got := p.hears(200); got != "unread" {
			t.Errorf("streamed, not read: got %q", got)
		}
		p.hearsEnd()
		p = expect(1, "/echo", n)
		p.hears(100)
		p.Write(body)
		if got := p.hears(200); got != string(body) {
			t.Errorf("streamed: %d bytes came back", len(got))
		}
	}
	expect(0, "/echo", 1<<30+1).hears(413)
}

// With stream_body the handler is called as soon as the head is there, however small the body is.
func TestStreamBody(t *testing.T) {
	t.Parallel()
	s, _ := startSpool(t)
	for i, head := range []string{uploadHead("/echo", 5), uploadHead("/echo", 5) + "he",
		"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", uploadHead("/echo", 100_000)} {
		p := dial(t, s.address(1))
		p.say("%s", head)
		eventually(t, "the handler is called", func() bool { return s.count("called") == i+1 })
		switch {
		case strings.Contains(head, "chunked"):
			p.say("5\r\nhello\r\n0\r\n\r\n")
		case strings.HasSuffix(head, "he"):
			p.say("llo")
		case strings.Contains(head, "100000"):
			p.Write(bytes.Repeat([]byte("hello"), 20_000))
		default:
			p.say("hello")
		}
		if got := p.hears(200); !strings.HasPrefix(got, "hello") {
			t.Errorf("got %.20q", got)
		}
	}
}
