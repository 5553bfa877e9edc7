package main

import (
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// getLocal is like get, through a Unix socket.
func getLocal(t *testing.T, path string) string {
	t.Helper()
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://local/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	return string(body)
}

// Each listener has its own handler, each pool its own workers.
func TestListeners(t *testing.T) {
	t.Parallel()
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 on this machine: ", err)
	} else {
		ln.Close()
	}
	path := filepath.Join(t.TempDir(), "socket")
	s := start(t, "testdata/listeners.lua", path)
	pools := map[string]string{} // pid → pool
	check := func(answer, want, pool string) {
		t.Helper()
		i := strings.LastIndexByte(answer, ' ')
		if answer[:i] != want {
			t.Errorf("answer of %q, want %q", answer, want)
		}
		if p := pools[answer[i:]]; p != "" && p != pool {
			t.Errorf("a worker serves %s and %s", p, pool)
		}
		pools[answer[i:]] = pool
	}
	for range 5 {
		for i, want := range []string{"tcp4", "tcp6", "tcp", "tcp on IPv4"} {
			check(get(t, "http://"+s.address(i)+"/"), want, "first")
		}
		check(getLocal(t, path), "local", "first")
		check(get(t, "http://"+s.address(4)+"/"), "second pool", "second")
		_, port, _ := net.SplitHostPort(s.address(5)) // on ::, which serves both families
		check(get(t, "http://[::1]:"+port+"/"), "second pool", "second")
		check(get(t, "http://127.0.0.1:"+port+"/"), "second pool", "second")
	}
	for i, want := range []string{"127.0.0.1", "::1", "::1", "127.0.0.1", "127.0.0.1", "::"} {
		if host, _, _ := net.SplitHostPort(s.address(i)); host != want {
			t.Errorf("listener %d is at %s, want %s", i, host, want)
		}
	}
	s.wait("msg=listening", "pool=0", "address=unix:"+path)
	if _, port, _ := net.SplitHostPort(s.address(1)); servesIPv4(port, "tcp6 ") {
		t.Error("tcp6 serves IPv4")
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o640 {
		t.Errorf("socket file: %v, %v", info, err)
	}
	s.stop()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket file still exists")
	}
}

// The socket file of a killed server is replaced; that of a running server is left alone.
func TestSocketFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	s := start(t, "testdata/local.lua", path)
	s.signal(9)
	s.exit(-1)
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	start(t, "testdata/local.lua", path)
	_, stderr := runToEnd(t, 3, "testdata/local.lua", path)
	checkMessage(t, stderr, "testdata/local.lua:5: listen: listen "+path+": bind: address already in use")
	if got := getLocal(t, path); got != "local" {
		t.Errorf("body %q", got)
	}
}

// A script that fails after listen leaves no socket file.
func TestErrorAfterListen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	_, stderr := runToEnd(t, 3, "testdata/local.lua", path, "fail")
	checkMessage(t, stderr, "testdata/local.lua:12: after listen")
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket file still exists")
	}
}

// An error of listen{} can be caught, and leaves none of its listeners open.
func TestListenIsCaught(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	path := filepath.Join(t.TempDir(), "socket")
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	s := start(t, "testdata/other_port.lua", port, path)
	s.wait("false listen: listen 127.0.0.1:" + port + ": bind: address already in use")
	if got := get(t, s.url("/")); got != "another port" {
		t.Errorf("body %q", got)
	}
	if got := getLocal(t, path); got != "another port" {
		t.Errorf("body %q", got)
	}
}

// tick is the start and end of one run of a timer's handler, in ms.
type tick struct{ begin, end float64 }

// readTicks reads the file that interval.lua writes. A timer's runs must not overlap.
func readTicks(t *testing.T, file string) (start float64, ticks map[string][]tick) {
	t.Helper()
	ticks = map[string][]tick{}
	open := map[string]float64{}
	for line := range strings.Lines(read(file)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			break // the line is being written
		}
		name, what := f[0], f[1]
		ms, err := strconv.ParseFloat(f[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case name == "start":
			start = ms
		case what == "begin":
			if open[name] != 0 {
				t.Fatalf("%s overlaps with itself:\n%s", name, read(file))
			}
			open[name] = ms
		default:
			ticks[name] = append(ticks[name], tick{open[name], ms})
			open[name] = 0
		}
	}
	return start, ticks
}

func TestInterval(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ticks")
	s := start(t, "testdata/interval.lua", file)
	const delay = 100
	eventually(t, "ticks", func() bool {
		_, ticks := readTicks(t, file)
		// A strict tick should come less than delay after the end of the last one, if the machine permits.
		soon := false
		for i, tick := range ticks["strict"] {
			if i > 0 && tick.begin-ticks["strict"][i-1].end < delay-10 {
				soon = true
			}
		}
		return soon && len(ticks["strict"]) >= 5 && len(ticks["loose"]) >= 5
	})
	get(t, s.url("/"))
	s.wait("testdata/interval.lua:", "this one always fails", "in=interval")
	s.stop()
	began, ticks := readTicks(t, file)
	const tolerance = 2 // the loop's clock counts ms
	for name, all := range ticks {
		if all[0].begin < began+delay-tolerance {
			t.Errorf("%s: first tick after %.1f ms", name, all[0].begin-began)
		}
		for i := 1; i < len(all); i++ {
			if name == "loose" && all[i].begin-all[i-1].end < delay-tolerance {
				t.Errorf("loose: only %.1f ms after the last end", all[i].begin-all[i-1].end)
			}
		}
		// Over the whole time there are not too many strict ticks either.
		if last := all[len(all)-1].begin; last < began+float64(len(all))*delay-tolerance {
			t.Errorf("%s: %d ticks in %.1f ms", name, len(all), last-began)
		}
	}
	if len(s.workers()) != 0 {
		t.Error("workers are left")
	}
}

// A timer continues after a tick that fails or is lost with its worker.
func TestIntervalGoesOn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ticks")
	s := start(t, "testdata/interval.lua", file)
	eventually(t, "several failures", func() bool { return strings.Count(s.log.String(), "this one always fails") > 3 })
	for range 3 {
		for _, pid := range s.workers() {
			kill(t, pid)
		}
		from := s.log.size()
		s.log.wait(t, from, "this one always fails")
	}
}
