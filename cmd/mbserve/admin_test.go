package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"moonbridge/cmd/mbserve/admin"
)

const loopbackPort = "127.0.0.1:0"

// watched is a server with an admin listener.
type watched struct {
	*instance
	gate string // requests that hang end when there is this file
}

// startWatched starts a server with an admin listener. timeout is its request_timeout.
func startWatched(t *testing.T, timeout string, args ...string) *watched {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	args = append([]string{"--admin", loopbackPort}, args...)
	return &watched{start(t, append(args, "testdata/watched.lua", gate, timeout)...), gate}
}

// admin is the URL of a path at the admin listener.
func (s *instance) admin(path string) string {
	s.t.Helper()
	return strings.TrimSuffix(field(s.wait("msg=admin"), "address"), "/status") + path
}

// release ends the requests that hang.
func (w *watched) release() {
	if err := os.WriteFile(w.gate, nil, 0o600); err != nil {
		w.t.Error(err)
	}
}

// figures are what /metrics shows, by name with labels. Labels are in the order in which they are written.
func (s *instance) figures() map[string]float64 {
	s.t.Helper()
	all := make(map[string]float64)
	for line := range strings.Lines(get(s.t, s.admin("/metrics"))) {
		line = strings.TrimSpace(line)
		if name, number, ok := cutLast(line, " "); ok && !strings.HasPrefix(line, "#") {
			n, err := strconv.ParseFloat(number, 64)
			if err != nil {
				s.t.Fatalf("%s: %v", line, err)
			}
			all[name] = n
		}
	}
	return all
}

// shown is what /status shows.
func (s *instance) shown() (st admin.Status) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(get(s.t, s.admin("/status"))), &st); err != nil {
		s.t.Fatal(err)
	}
	return st
}

// awaitRequests waits until a number of requests are counted: a client may have its answer before that.
func (s *instance) awaitRequests(n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d requests are counted", n), func() bool {
		return s.figures()[`moonbridge_request_duration_seconds_count{pool="0"}`] == float64(n)
	})
}

// refusedFor sums up what was refused with a status and a cause.
func refusedFor(figures map[string]float64, status, cause string) (n float64) {
	for name, v := range figures {
		if strings.HasPrefix(name, "moonbridge_refusals_total{") && strings.Contains(name, `status="`+status+`"`) && strings.Contains(name, `cause="`+cause+`"`) {
			n += v
		}
	}
	return n
}

// What is counted is what clients have counted: 10,000 requests of known kinds, and requests that end in other ways.
func TestFiguresAreExact(t *testing.T) {
	t.Parallel()
	s := startWatched(t, "false")
	const clients, rounds = 2, 5000 // no more clients than workers: nothing is refused
	kinds := []struct {
		path   string
		status int
	}{{"/ok", 200}, {"/missing", 404}, {"/moved", 302}, {"/ok", 200}}
	var all sync.WaitGroup
	var mu sync.Mutex
	counted, bodies := map[int]int{}, 0
	for range clients {
		all.Go(func() {
			c := dial(t, s.address(0))
			for i := range rounds {
				kind := kinds[i%len(kinds)]
				c.get(kind.path)
				body := c.hears(kind.status)
				mu.Lock()
				counted[kind.status]++
				bodies += len(body)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	failed := dial(t, s.address(0))
	failed.get("/error")
	failed.hears(500)
	tooLarge := dial(t, s.address(0))
	tooLarge.say("POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
	tooLarge.hears(413)
	malformed := dial(t, s.address(0))
	malformed.say("GET / HTTP/3.0\r\n\r\n")
	malformed.hears(505)
	killed := dial(t, s.address(0))
	killed.say("POST /dies HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
	killed.hears(502)
	eventually(t, "the end of the worker is counted", func() bool { return s.figures()[`moonbridge_worker_ends_total{pool="0",cause="signal SIGKILL"}`] == 1 })
	s.awaitRequests(clients*rounds + 4)
	f := s.figures()
	for name, want := range map[string]int{
		`moonbridge_requests_total{pool="0",status="2xx"}`:               counted[200],
		`moonbridge_requests_total{pool="0",status="3xx"}`:               counted[302],
		`moonbridge_requests_total{pool="0",status="4xx"}`:               counted[404] + 1,
		`moonbridge_requests_total{pool="0",status="5xx"}`:               3,
		`moonbridge_requests_total{pool="0",status="none"}`:              0,
		`moonbridge_responses_incomplete_total{pool="0"}`:                0,
		`moonbridge_request_duration_seconds_count{pool="0"}`:            clients*rounds + 4,
		`moonbridge_queue_duration_seconds_count{pool="0"}`:              clients*rounds + 2,
		`moonbridge_exchanges_total{pool="0"}`:                           clients*rounds + 2,
		`moonbridge_lost_total{pool="0"}`:                                1,
		`moonbridge_deaths_total{pool="0"}`:                              1,
		`moonbridge_retries_total{pool="0"}`:                             0,
		`moonbridge_timer_ticks_total{name="cleanup"}`:                   0,
		`moonbridge_in_flight{pool="0"}`:                                 0,
		`moonbridge_request_duration_seconds_bucket{pool="0",le="+Inf"}`: clients*rounds + 4,
	} {
		if got, there := f[name]; !there || got != float64(want) {
			t.Errorf("%s is %v, want %d", name, got, want)
		}
	}
	errorPages := len("Internal Server Error\n") + len("Bad Gateway\n") // and those of two refusals
	if got := int(f[`moonbridge_response_body_bytes_total{pool="0"}`]); got < bodies+errorPages {
		t.Errorf("%d bytes, clients have counted %d and %d", got, bodies, errorPages)
	}
	sum := func(name string) float64 { return f[name+`{loop="0"}`] + f[name+`{loop="1"}`] }
	if n := loopsOf(&options{}); n == 2 {
		if got := sum("moonbridge_connections_accepted_total"); got != clients+4 {
			t.Errorf("%v connections accepted", got)
		}
		if got := sum("moonbridge_request_heads_total"); got != clients*rounds+3 {
			t.Errorf("%v heads", got)
		}
		for _, direction := range []string{"read", "written"} {
			bytes := 0.
			for _, loop := range []string{"0", "1"} {
				bytes += f[`moonbridge_bytes_total{loop="`+loop+`",direction="`+direction+`"}`]
			}
			if bytes < 20*clients*rounds { // no request or response is shorter
				t.Errorf("%v bytes %s", bytes, direction)
			}
		}
	}
	for _, r := range []struct{ status, cause string }{{"505", "HTTP version other than 1.x"}, {"502", "worker ended"}} {
		if n := refusedFor(f, r.status, r.cause); n != 1 {
			t.Errorf("%v refusals with %s because of %s", n, r.status, r.cause)
		}
	}
	st := s.shown()
	if st.Server.Requests != clients*rounds+4 || st.Server.Errors != 3 || !st.Ready || st.Pools[0].Lost != 1 || st.Pools[0].Ends["signal SIGKILL"] != 1 {
		t.Errorf("status: %+v, %+v", st.Server, st.Pools[0])
	}
	if len(st.Errors) == 0 || !strings.Contains(fmt.Sprint(st.Errors), "something is wrong") || !strings.Contains(fmt.Sprint(st.Errors), "stack traceback") {
		t.Errorf("errors: %+v", st.Errors)
	}
}

// A handler that runs over its limit is counted by that cause, and so is the answer to its client.
func TestKilledWorkersAreCounted(t *testing.T) {
	t.Parallel()
	s := startWatched(t, "0.2")
	for range 3 {
		if got := status(t, "GET", s.url("/endless")); got != 504 {
			t.Errorf("status %d", got)
		}
	}
	eventually(t, "the ends are counted", func() bool {
		f := s.figures()
		return f[`moonbridge_worker_ends_total{pool="0",cause="request_timeout"}`] == 3 &&
			f[`moonbridge_requests_total{pool="0",status="5xx"}`] == 3 && refusedFor(f, "504", "request_timeout") == 3
	})
}

// While all workers hang, and a request waits, everything is answered, and says so. What does not fit into the queue is counted.
func TestAnswersWhileWorkersHang(t *testing.T) {
	t.Parallel()
	s := startWatched(t, "false")
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if got := status(t, "GET", s.url("/hangs")); got != 204 {
				t.Errorf("status %d", got)
			}
		})
	}
	defer all.Wait()
	defer s.release()
	eventually(t, "two hang and one waits", func() bool {
		f := s.figures()
		return f[`moonbridge_workers{pool="0",state="busy"}`] == 2 && f[`moonbridge_waiting{pool="0"}`] == 1 && f[`moonbridge_in_flight{pool="0"}`] == 3
	})
	if got := status(t, "GET", s.url("/ok")); got != 503 {
		t.Errorf("a request that does not fit: %d", got)
	}
	s.awaitRequests(1)
	if n := refusedFor(s.figures(), "503", "queue_limit"); n != 1 {
		t.Errorf("%v refused", n)
	}
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if got := get(t, s.admin(path)); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	var p *admin.Pool
	eventually(t, "the loops tell what is in progress", func() bool { // one that is late is left out
		p = &s.shown().Pools[0]
		return len(p.Queue) == 1 && len(p.Workers) == 2 && p.Workers[0].Doing != nil && p.Workers[1].Doing != nil
	})
	if p.Busy != 2 || p.Waiting != 1 || p.Queue[0].What != "GET /hangs" {
		t.Fatalf("%+v", p)
	}
	for _, w := range p.Workers {
		if w.State != "busy" || w.Doing.What != "GET /hangs" || w.Doing.Seconds < 0 || w.Doing.Client != "127.0.0.1" || w.Doing.ID == "" {
			t.Errorf("%+v: %+v", w, w.Doing)
		}
	}
}

// Ready means that each pool has a worker. The text says what is missing.
func TestReadiness(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate")
	script := filepath.Join(dir, "slow.lua")
	write := func(text string) {
		if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wait := fmt.Sprintf(`os.execute("while [ ! -e '%s' ]; do sleep 0.05; done")`, gate)
	write(wait + `
listen{ { proto = "tcp4", port = 0, localhost = true }, min_fork = 1, prepare = function() ` + wait + ` end, connect = function() end }`)
	s := launch(t, "--admin", loopbackPort, script)
	readiness := func() string {
		resp, text, err := fetch("GET", s.admin("/readyz"), "")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(resp.StatusCode, " ", text)
	}
	if got := readiness(); got != "503 the script is loading\n" {
		t.Errorf("while it loads: %q", got)
	}
	if got := get(t, s.admin("/healthz")); got != "ok\n" {
		t.Errorf("health: %q", got)
	}
	if st := s.shown(); st.Ready || len(st.Missing) != 1 {
		t.Errorf("status: %+v", st)
	}
	for _, value := range []string{"moonbridge_ready 0\n", "moonbridge_build_info{"} {
		if text := get(t, s.admin("/metrics")); !strings.Contains(text, value) {
			t.Errorf("no %q in\n%s", value, text)
		}
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.wait("msg=ready")
	eventually(t, "ready", func() bool { return readiness() == "200 ready\n" })
}

// A pool whose workers fail makes the server not ready.
func TestNotReady(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "fails.lua")
	text := `listen{ { proto = "tcp4", port = 0, localhost = true }, prepare = function() error("no database") end, connect = function() end }`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--admin", loopbackPort, script)
	eventually(t, "workers fail", func() bool {
		resp, text, err := fetch("GET", s.admin("/readyz"), "")
		return err == nil && resp.StatusCode == 503 && text == "pool 0: workers end before they are ready\n"
	})
	if get(t, s.admin("/healthz")) != "ok\n" || s.figures()["moonbridge_ready"] != 0 {
		t.Error("health or figures")
	}
}

// Orders need the token. What is counted survives a reload, and the page knows of it.
func TestOrders(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startWatched(t, "false", "--admin-token-file", token)
	order := func(method, path, authorization string) int {
		q, err := http.NewRequest(method, s.admin(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		if authorization != "" {
			q.Header.Set("Authorization", authorization)
		}
		resp, _, err := do(newClient(t), q)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	for range 3 {
		get(t, s.url("/ok"))
	}
	for _, c := range []struct {
		method, authorization string
		want                  int
	}{{"GET", "Bearer 0123456789abcdef", 405}, {"POST", "", 401}, {"POST", "Bearer wrong", 401}, {"POST", "Basic 0123456789abcdef", 401}} {
		if got := order(c.method, "/reload", c.authorization); got != c.want {
			t.Errorf("%s with %q: %d", c.method, c.authorization, got)
		}
	}
	if got := order("POST", "/reload", "Bearer 0123456789abcdef"); got != 202 {
		t.Errorf("reload: %d", got)
	}
	s.wait("msg=reloaded")
	s.wait("the replaced script has ended")
	get(t, s.url("/ok"))
	s.awaitRequests(4)
	f := s.figures()
	for name, want := range map[string]float64{
		`moonbridge_requests_total{pool="0",status="2xx"}`:       4,
		`moonbridge_exchanges_total{pool="0"}`:                   4,
		`moonbridge_forks_total{pool="0"}`:                       4,
		`moonbridge_worker_ends_total{pool="0",cause="stopped"}`: 2,
		`moonbridge_reloads_total{result="reloaded"}`:            1,
		`moonbridge_generation`:                                  1,
	} {
		if f[name] != want {
			t.Errorf("%s is %v, want %v", name, f[name], want)
		}
	}
	if r := s.shown().Reloads; len(r) != 2 || r[0].Result != "reloaded" || r[0].Generation != 1 || r[1].Result != "started" {
		t.Errorf("%+v", r)
	}
	if got := order("POST", "/stop", "bearer 0123456789abcdef"); got != 202 {
		t.Errorf("stop: %d", got)
	}
	s.exit(0)
}

// Without a token file there are no orders.
func TestNoOrders(t *testing.T) {
	t.Parallel()
	s := startWatched(t, "false")
	if got := status(t, "POST", s.admin("/stop")); got != 403 {
		t.Errorf("status %d", got)
	}
	if got := status(t, "GET", s.admin("/debug/pprof/")); got != 404 {
		t.Errorf("profiles without --admin-pprof: %d", got)
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	s := startWatched(t, "false", "--admin-pprof")
	if text := get(t, s.admin("/debug/pprof/goroutine?debug=1")); !strings.Contains(text, "goroutine profile") {
		t.Errorf("%.200q", text)
	}
}

// A process that takes over answers at the same address, a Unix socket too.
func TestAdminOverUpgrade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket, pidFile := filepath.Join(dir, "admin"), filepath.Join(dir, "pid")
	s := start(t, "-p", pidFile, "--admin", "unix:"+socket, "testdata/watched.lua", "none", "false")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	process := func() (st admin.Status) {
		text := curl(t, "-s", "--unix-socket", socket, "http://admin/status")
		if err := json.Unmarshal([]byte(text), &st); err != nil {
			t.Fatalf("%v: %q", err, text)
		}
		return st
	}
	if pid := process().Server.PID; pid != s.pid() {
		t.Errorf("pid %d", pid)
	}
	s.signal(syscall.SIGUSR2)
	s.wait("msg=\"handed over\"")
	s.awaitExit()
	text, _ := os.ReadFile(pidFile)
	heir := number(t, strings.TrimSpace(string(text)))
	if st := process(); st.Server.PID != heir || heir == s.pid() || !st.Ready {
		t.Errorf("pid %d, want %d; %v", st.Server.PID, heir, st.Missing)
	}
	s.endOf(heir)
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

// A new process that fails leaves the Unix socket to the one that it was to replace.
func TestAdminAfterFailedUpgrade(t *testing.T) {
	t.Parallel()
	a := newApplication(t)
	fifo, _ := newFIFO(t)
	socket := filepath.Join(t.TempDir(), "admin")
	a.write(`@ listen{ port, connect = say("one") }`)
	s := start(t, "--admin", "unix:"+socket, a.script)
	a.write(`error("on purpose")`)
	s.signal(syscall.SIGUSR2)
	s.wait("upgrade failed")
	if got := curl(t, "-s", "--unix-socket", socket, "http://admin/healthz"); got != "ok\n" {
		t.Errorf("%q", got)
	}
	from := s.log.size()
	a.write(`@ io.stderr:write("loading\n") io.open(%q):close() listen{ port, connect = say("two") }`, fifo)
	s.signal(syscall.SIGUSR2)
	heir := number(t, field(s.log.wait(t, from, "msg=upgrading"), "pid"))
	s.log.wait(t, from, "msg=loading")
	if err := syscall.Kill(heir, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, from, "upgrade failed")
	eventually(t, "the old process is ready", func() bool { // it may not have had a worker yet
		return curl(t, "-s", "--unix-socket", socket, "http://admin/readyz") == "ready\n"
	})
}

func TestAdminOptions(t *testing.T) {
	t.Parallel()
	open := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(open, []byte("0123456789abcdef"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		args []string
		want string
	}{
		{1, []string{"--admin", "0.0.0.0:9090"}, "--admin 0.0.0.0:9090: other hosts could reach it, and there is neither TLS nor a password; with --admin-remote it is allowed"},
		{1, []string{"--admin", "nonsense"}, "--admin nonsense: is neither an address with a port"},
		{1, []string{"--admin-pprof"}, "need --admin"},
		{3, []string{"--admin", "127.0.0.1:0", "--admin-token-file", open}, "--admin-token-file: " + open + ": all users can read it"},
		{3, []string{"--admin", "unix:/nonexistent/socket"}, "--admin: listen unix /nonexistent/socket"},
	} {
		_, stderr := runToEnd(t, c.code, append(c.args, "testdata/watched.lua", "none", "false")...)
		if !strings.Contains(stderr, c.want) {
			t.Errorf("%q: %s", c.args, stderr)
		}
	}
}

// Prometheus's own checks of names, help and types of everything that there is.
func TestPromtoolMetrics(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	s := startWatched(t, "false")
	get(t, s.url("/ok"))
	status(t, "GET", s.url("/dies"))
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = bytes.NewReader([]byte(get(t, s.admin("/metrics"))))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
