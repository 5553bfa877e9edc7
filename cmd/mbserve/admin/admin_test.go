package admin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const patience = time.Minute

func TestParseAddress(t *testing.T) {
	for _, c := range []struct {
		text   string
		remote bool
		want   Address
		err    string
	}{
		{"127.0.0.1:9090", false, Address{"tcp", "127.0.0.1:9090"}, ""},
		{"localhost:0", false, Address{"tcp", "127.0.0.1:0"}, ""},
		{"[::1]:9090", false, Address{"tcp", "[::1]:9090"}, ""},
		{"[::ffff:127.0.0.1]:9090", false, Address{"tcp", "[::ffff:127.0.0.1]:9090"}, ""},
		{"unix:/run/admin", false, Address{"unix", "/run/admin"}, ""},
		{"0.0.0.0:9090", true, Address{"tcp", "0.0.0.0:9090"}, ""},
		{":9090", true, Address{"tcp", ":9090"}, ""},
		{":9090", false, Address{}, ErrRemote.Error()},
		{"0.0.0.0:9090", false, Address{}, ErrRemote.Error()},
		{"[::]:9090", false, Address{}, ErrRemote.Error()},
		{"192.0.2.1:9090", false, Address{}, ErrRemote.Error()},
		{"example.org:9090", true, Address{}, `"example.org" is not an IP address`},
		{"127.0.0.1:many", false, Address{}, `"many" is not a port`},
		{"127.0.0.1", false, Address{}, "is neither"},
		{"unix:", false, Address{}, "no path"},
		{"unix:@admin", false, Address{}, "every user of this host"},
		{"unix:./@admin", false, Address{"unix", "./@admin"}, ""},
	} {
		got, err := ParseAddress(c.text, c.remote)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v", c.text, got, err)
		}
	}
}

// A file that a server has left is replaced, one of a server that runs is not, and neither is any other file.
func TestOpenUnix(t *testing.T) {
	name := filepath.Join(t.TempDir(), "socket")
	a := Address{"unix", name}
	first, err := a.Open()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := a.Open(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second one: %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second, err := a.Open()
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
	if err := os.WriteFile(name, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(); err == nil {
		t.Error("the name of a file is used")
	}
	if b, _ := os.ReadFile(name); string(b) != "precious" {
		t.Errorf("the file is %q", b)
	}
}

func TestKnownHost(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:9090": true, "[::1]:9090": true, "[::1]": true, "localhost:9090": true, "LOCALHOST.": true,
		"admin.localhost": true, "10.1.2.3:80": true, "evil.example": false, "evil.example:9090": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "": false,
	} {
		if got := knownHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// rig is a server with an address.
type rig struct {
	*Server
	t      *testing.T
	url    string
	orders chan string
}

func start(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, orders: make(chan string, 10)}
	c := Config{
		Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "figures") }),
		Missing: func() []string { return nil },
		Status:  func() *Status { return &Status{Ready: true, Server: Process{PID: 42}} },
		History: NewHistory(func(now time.Time, _ time.Duration) Sample { return Sample{Time: now.Unix()} }),
		Token:   []byte("a long enough token"),
		Reload:  func() { r.orders <- "reload" }, Stop: func() { r.orders <- "stop" },
	}
	if change != nil {
		change(&c)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + ln.Addr().String()
	r.Server = NewServer(c)
	r.Serve(ln)
	t.Cleanup(func() {
		r.End()
		c.History.End()
	})
	return r
}

func (r *rig) ask(method, path string, fields ...string) (*http.Response, string) {
	r.t.Helper()
	q, err := http.NewRequest(method, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == "Host" {
			q.Host = fields[i+1]
		} else {
			q.Header.Set(fields[i], fields[i+1])
		}
	}
	c := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, string(body)
}

func TestRoutes(t *testing.T) {
	missing := []string{}
	r := start(t, func(c *Config) { c.Missing = func() []string { return missing } })
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/healthz", 200, "ok\n"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/readyz", 200, "ready\n"},
		{"GET", "/metrics", 200, "figures"},
		{"GET", "/", 302, "/status"},
		{"GET", "/other", 404, ""},
		{"POST", "/healthz", 405, ""},
		{"GET", "/stop", 405, ""},
		{"OPTIONS", "/stop", 405, ""}, // what a script of another origin has to ask first
		{"GET", "/debug/pprof/", 404, ""},
		{"GET", "/status", 200, `"pid": 42`},
	} {
		resp, body := r.ask(c.method, c.path)
		if resp.StatusCode != c.status || !strings.Contains(body, c.body) || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d %q", c.method, c.path, resp.StatusCode, body)
		}
	}
	missing = []string{"pool 0: no worker is ready", "pool 2: is ending"}
	if resp, body := r.ask("GET", "/readyz"); resp.StatusCode != 503 || body != strings.Join(missing, "\n")+"\n" {
		t.Errorf("not ready: %d %q", resp.StatusCode, body)
	}
}

// Names that lead here because their owner wants that are not answered (DNS rebinding), unless other hosts may come anyway.
func TestForeignHost(t *testing.T) {
	for _, any := range []bool{false, true} {
		r := start(t, func(c *Config) { c.AnyHost = any })
		want := http.StatusMisdirectedRequest
		if any {
			want = http.StatusOK
		}
		if resp, _ := r.ask("GET", "/status", "Host", "evil.example"); resp.StatusCode != want {
			t.Errorf("%d", resp.StatusCode)
		}
	}
}

func TestOrders(t *testing.T) {
	r := start(t, nil)
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer a long enough toke", "Bearer a long enough tokens", "Basic a long enough token"} {
		if resp, _ := r.ask("POST", "/stop", "Authorization", authorization); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %d", authorization, resp.StatusCode)
		}
	}
	for _, order := range []string{"reload", "stop"} {
		if resp, body := r.ask("POST", "/"+order, "Authorization", "Bearer a long enough token"); resp.StatusCode != 202 || body != order+" begins\n" {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
		if got := <-r.orders; got != order {
			t.Errorf("%s instead of %s", got, order)
		}
	}
	if len(r.orders) > 0 {
		t.Error("orders without the token were carried out")
	}
	r = start(t, func(c *Config) { c.Token = nil })
	for _, authorization := range []string{"", "Bearer "} {
		if resp, _ := r.ask("POST", "/stop", "Authorization", authorization); resp.StatusCode != 403 {
			t.Errorf("without a token: %d", resp.StatusCode)
		}
	}
}

func TestReadToken(t *testing.T) {
	name := filepath.Join(t.TempDir(), "token")
	for _, c := range []struct {
		text string
		mode os.FileMode
		err  string
	}{
		{" 0123456789abcdef \n", 0o640, ""},
		{"0123456789abcdef", 0o644, "all users can read it"},
		{"short", 0o600, "at least 16 bytes"},
		{"", 0o600, "at least 16 bytes"},
		{"0123456789abcdef 2", 0o600, "more than one word"},
	} {
		os.Remove(name)
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := ReadToken(name)
		if c.err == "" && (err != nil || string(got) != "0123456789abcdef") || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: %q, %v", c.text, got, err)
		}
	}
	if _, err := ReadToken(name + "none"); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
}

func TestErrors(t *testing.T) {
	var e Errors
	var text strings.Builder
	log := slog.New(e.Handler(slog.NewTextHandler(&text, nil))).With("pool", 3)
	log.Info("nothing")
	log.WithGroup("g").Error("first", "traceback", "line\nline", "long", strings.Repeat("ä", valueBytesMax))
	for i := range errorsMax + 9 {
		log.Warn("more", "n", i)
	}
	last := e.Last()
	if len(last) != errorsMax || last[0].Fields["n"] != fmt.Sprint(errorsMax+8) || last[0].Fields["pool"] != "3" || last[0].Level != "WARN" {
		t.Errorf("%d: %+v", len(last), last[0])
	}
	if !strings.Contains(text.String(), "nothing") || !strings.Contains(text.String(), "g.long=") {
		t.Error("the log has not got everything")
	}
	e = Errors{}
	log.WithGroup("g").Error("again", "traceback", "line\nline", "long", strings.Repeat("ä", valueBytesMax))
	one := e.Last()[0]
	if one.Traceback != "line\nline" || len(one.Fields["long"]) != valueBytesMax+len("…") || !strings.HasPrefix(one.Fields["long"], "ää") {
		t.Errorf("%+v", one)
	}
}

func TestHistory(t *testing.T) {
	h := &History{}
	for i := range samplesMax + 5 {
		h.samples.add(Sample{Time: int64(i)}, samplesMax)
	}
	all := h.Samples()
	if len(all) != samplesMax || all[0].Time != 5 || h.Last().Time != samplesMax+4 {
		t.Errorf("%d samples from %d to %d", len(all), all[0].Time, h.Last().Time)
	}
}

// A page gets the history, then the status again and again, until the server ends. There are not more streams than allowed.
func TestEvents(t *testing.T) {
	r := start(t, nil)
	var streams []*http.Response
	open := func() *http.Response {
		resp, err := (&http.Client{}).Get(r.url + "/status/events")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	for range streamsMax {
		resp := open()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s", resp.Status)
		}
		streams = append(streams, resp)
	}
	if resp := open(); resp.StatusCode != 503 {
		t.Errorf("one more: %s", resp.Status)
	}
	lines := bufio.NewScanner(streams[0].Body)
	for _, want := range []string{"event: history", "data: ", "", "event: status", "data: ", "", "event: status", "data: "} {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), want) {
			t.Fatalf("%q, want %q", lines.Text(), want)
		}
	}
	var st Status
	if err := json.Unmarshal([]byte(strings.TrimPrefix(lines.Text(), "data: ")), &st); err != nil || st.Server.PID != 42 {
		t.Errorf("%v, %+v", err, st)
	}
	streams[1].Body.Close()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		resp := open()
		if resp.StatusCode == 200 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the place of a stream that has ended is not free")
		}
	}
}

func TestPrefersHTML(t *testing.T) {
	for accept, want := range map[string]bool{
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true,
		"*/*": false, "": false, "application/json": false, "application/json, text/html": false, "text/html, application/json": true,
	} {
		if got := prefersHTML(accept); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}

// The number of connections is bounded: one more is accepted when one has ended.
func TestLimited(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newLimited(ln)
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	var first net.Conn
	for i := range connsMax + 1 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i == connsMax {
			break
		}
		if got := <-accepted; i == 0 {
			first = got
		} else {
			defer got.Close()
		}
	}
	select {
	case <-accepted:
		t.Error("one too many")
	case <-time.After(20 * time.Millisecond):
	}
	first.Close()
	first.Close() // counts once
	c := <-accepted
	if c == nil {
		t.Fatal("none after a place is free")
	}
	l.Close()
	if _, more := <-accepted; more {
		t.Error("accepted after the end")
	}
	c.Close()
}

// Pages of other sites can neither read nor cause anything, even if they know the address. A link may lead to the status page.
func TestForeignPage(t *testing.T) {
	r := start(t, func(c *Config) { c.Pprof = true })
	for _, c := range []struct {
		method, path, site, mode, dest string
		status                         int
	}{
		{"GET", "/status", "", "", "", 200},
		{"GET", "/status", "none", "navigate", "document", 200},
		{"GET", "/status", "same-origin", "cors", "empty", 200},
		{"GET", "/status", "cross-site", "navigate", "document", 200},
		{"GET", "/status", "cross-site", "navigate", "iframe", 403},
		{"GET", "/status", "cross-site", "no-cors", "script", 403},
		{"GET", "/status/events", "same-site", "cors", "empty", 403},
		{"GET", "/debug/pprof/cmdline", "cross-site", "navigate", "document", 403},
		{"GET", "/debug/pprof/cmdline", "none", "navigate", "document", 200},
		{"POST", "/stop", "cross-site", "navigate", "document", 403},
	} {
		resp, _ := r.ask(c.method, c.path, "Sec-Fetch-Site", c.site, "Sec-Fetch-Mode", c.mode, "Sec-Fetch-Dest", c.dest, "Authorization", "Bearer a long enough token")
		if resp.StatusCode != c.status {
			t.Errorf("%+v: %d", c, resp.StatusCode)
		}
	}
	if len(r.orders) > 0 {
		t.Error("an order was carried out")
	}
}

// pipes is a listener whose connections are in memory, so that time is that of a synctest bubble.
type pipes struct {
	net.Listener
	conns chan net.Conn
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *pipes) Close() error { close(p.conns); return nil }

// A client that announces a body and does not send it does not keep its place.
func TestSlowBody(t *testing.T) {
	for _, head := range []string{"POST /stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			ln := &pipes{conns: make(chan net.Conn)}
			s := NewServer(Config{Log: slog.New(slog.DiscardHandler), Metrics: http.NotFoundHandler()})
			s.Serve(ln)
			ours, theirs := net.Pipe()
			ln.conns <- theirs
			began := time.Now()
			go io.WriteString(ours, head)
			io.Copy(io.Discard, ours) // until it is closed
			if took := time.Since(began); took > 2*writeTimeout {
				t.Errorf("%q: closed after %v", head, took)
			}
			s.End()
		})
	}
}

// When half of the places are taken, connections end with their responses.
func TestCrowded(t *testing.T) {
	r := start(t, nil)
	for i := range connsMax {
		resp, err := (&http.Client{Transport: &http.Transport{}}).Get(r.url + "/healthz") // each has a connection of its own, which it keeps
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if want := i >= connsMax/2; resp.Close != want {
			t.Fatalf("connection %d: closed %v", i, resp.Close)
		}
	}
}

// Clients that ask at the same time cause one question to the event loops, and one that asks for the head of a stream gets no more.
func TestStatusShared(t *testing.T) {
	asked := make(chan bool, 100)
	r := start(t, func(c *Config) {
		c.Status = func() *Status { asked <- true; return &Status{} }
		c.History.samples.add(Sample{Time: 7}, samplesMax)
	})
	began := time.Now()
	for range 20 {
		if _, body := r.ask("GET", "/status"); !strings.Contains(body, `"history": [`) {
			t.Fatal(body)
		}
	}
	if most := 2 + int(time.Since(began)/statusAge); len(asked) > most {
		t.Errorf("asked %d times, at most %d expected", len(asked), most)
	}
	if resp, body := r.ask("HEAD", "/status/events"); resp.StatusCode != 200 || body != "" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}
