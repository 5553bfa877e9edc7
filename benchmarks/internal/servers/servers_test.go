package servers

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/benchmarks/internal/probe"
)

func TestSplitNames(t *testing.T) {
	got, err := SplitNames("nginx, mbserve,nethttp")
	if want := []string{"nginx", "mbserve", "nethttp"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "apache", "nginx,nginx", "nginx,,mbserve"} {
		if got, err := SplitNames(bad); err == nil {
			t.Errorf("%q taken as %v", bad, got)
		}
	}
}

func answer(body string, fields ...probe.Field) probe.Answer {
	fields = append(fields, probe.Field{Name: "Date", Value: "now"})
	return probe.Answer{Status: "200 OK", Body: []byte(body), Fields: fields}
}

func TestCompare(t *testing.T) {
	kind := probe.Field{Name: "Content-Type", Value: "text/plain"}
	length := probe.Field{Name: "Content-Length", Value: "2"}
	good := answer("ab", kind, length)
	status := answer("ab", kind, length)
	status.Status = "201 Created"
	undated := good
	undated.Fields = good.Fields[:2]
	tests := []struct {
		name  string
		other probe.Answer
		fault string // "" for none
	}{
		{"equal, order and additions do not matter", answer("ab", length, probe.Field{Name: "Server", Value: "x"}, kind), ""},
		{"status", status, "status"},
		{"body", answer("ac", kind, length), "body"},
		{"type", answer("ab", length, probe.Field{Name: "Content-Type", Value: "text/html"}), "Content-Type"},
		{"no length", answer("ab", kind), "Content-Length"},
		{"no date", undated, "Date"},
		{"closing", answer("ab", kind, length, probe.Field{Name: "Connection", Value: "close"}), "closes"},
	}
	for _, test := range tests {
		err := Workload{}.Compare([]string{"one", "two"}, []probe.Answer{good, test.other})
		switch {
		case test.fault == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.fault != "" && (err == nil || !strings.Contains(err.Error(), "two: ") || !strings.Contains(err.Error(), test.fault)):
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

func TestCompareOfClosingServers(t *testing.T) {
	kind, length := probe.Field{Name: "Content-Type", Value: "text/plain"}, probe.Field{Name: "Content-Length", Value: "2"}
	closing := answer("ab", kind, length, probe.Field{Name: "Connection", Value: "close"})
	w := Workload{closes: true}
	if err := w.Compare([]string{"one", "two"}, []probe.Answer{closing, closing}); err != nil {
		t.Error(err)
	}
	err := w.Compare([]string{"one", "two"}, []probe.Answer{closing, answer("ab", kind, length)})
	if err == nil || !strings.Contains(err.Error(), "two: keeps") {
		t.Errorf("got %v", err)
	}
}

// With a coding, the decoded bodies count, and about the same size.
func TestCompareOfCodings(t *testing.T) {
	text := prose(10000)
	small, err := packed(text)
	if err != nil {
		t.Fatal(err)
	}
	other, err := packed(append(prose(9999), '!'))
	if err != nil {
		t.Fatal(err)
	}
	coded := func(body []byte, coding string) probe.Answer {
		return answer(string(body), probe.Field{Name: "Content-Type", Value: "text/plain"}, probe.Field{Name: "Content-Encoding", Value: coding})
	}
	var large bytes.Buffer
	to, _ := gzip.NewWriterLevel(&large, gzip.NoCompression)
	to.Write(text)
	to.Close()
	tests := []struct {
		name  string
		other probe.Answer
		fault string
	}{
		{"equal", coded(small, "gzip"), ""},
		{"another text", coded(other, "gzip"), "another body"},
		{"another size", coded(large.Bytes(), "gzip"), "compressed bytes"},
		{"no coding", coded(text, ""), "Content-Encoding"},
		{"cut short", coded(small[:len(small)-1], "gzip"), "EOF"},
		{"not compressed", coded(text, "gzip"), "invalid header"},
	}
	w := Workload{Name: "x", coding: "gzip", fileBytes: len(text)}
	for _, test := range tests {
		err := w.Compare([]string{"one", "two"}, []probe.Answer{coded(small, "gzip"), test.other})
		if test.fault == "" && err != nil || test.fault != "" && (err == nil || !strings.Contains(err.Error(), "two: ") || !strings.Contains(err.Error(), test.fault)) {
			t.Errorf("%s: got %v", test.name, err)
		}
		if err := w.Expected(test.other); (err == nil) != (test.fault == "" || test.fault == "compressed bytes") {
			t.Errorf("%s: expected: %v", test.name, err)
		}
	}
}

func TestSameBody(t *testing.T) {
	tests := []struct {
		name, a, b string
		want       bool
	}{
		{"equal", `[{"a":1,"b":"x"}]`, `[{"a":1,"b":"x"}]`, true},
		{"another order of members", `[{"a":1,"b":"x"}]`, `[{"b":"x","a":1}]`, true},
		{"another order of elements", `[1,2]`, `[2,1]`, false},
		{"another value", `[{"a":1}]`, `[{"a":2}]`, false},
		{"not JSON", `[`, `[`, false},
	}
	for _, test := range tests {
		if got := (Workload{answers: "application/json"}).sameBody([]byte(test.a), []byte(test.b)); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
		if got := (Workload{}).sameBody([]byte(test.a), []byte(test.b)); got != (test.a == test.b) {
			t.Errorf("%s, as text: got %v", test.name, got)
		}
	}
}

// Each workload has servers, and nginx and mbserve have all but those of Go libraries and proxies. Each server has a workload.
func TestWorkloads(t *testing.T) {
	for _, w := range Workloads {
		if len(w.servers) < 2 || len(w.Conns) == 0 || w.Has("apache") {
			t.Errorf("%s: servers %v, connections %v", w.Name, w.servers, w.Conns)
		}
		if library := w.Has("adapter") || w.Has("haproxy"); library == w.Has("mbserve") || !library && !w.Has("nginx") {
			t.Errorf("%s: servers %v", w.Name, w.servers)
		}
	}
	for _, name := range Names {
		if !slices.ContainsFunc(Workloads, func(w Workload) bool { return w.Has(name) }) {
			t.Errorf("%s has no workload", name)
		}
	}
}

func TestExpected(t *testing.T) {
	hello, _ := FindWorkload("hello")
	if err := hello.Expected(answer("Hello, world!\n")); err != nil {
		t.Error(err)
	}
	for _, w := range Workloads {
		if err := w.Expected(answer("something else")); err == nil {
			t.Errorf("%s accepts anything", w.Name)
		}
	}
	if _, err := FindWorkload("goodbye"); err == nil {
		t.Error("a workload that does not exist was found")
	}
}

func TestNginxConfig(t *testing.T) {
	s := Settings{Benchmarks: "/src/benchmarks", Temp: t.TempDir(), NginxModules: "/modules", NginxWorkers: 3, Connections: 1024, Files: 5000}
	for _, w := range Workloads {
		if !w.Has("nginx") {
			continue
		}
		text, err := s.nginxConfig(w, 8099, "/tmp/x")
		if err != nil {
			t.Fatal(err)
		}
		config := string(text)
		if w.Has("haproxy") {
			scheme := "http"
			if w.targetTLS {
				scheme = "https"
			}
			for _, want := range []string{"listen 127.0.0.1:8099", "proxy_pass " + scheme + "://shared", "keepalive ", "access_log off;"} {
				if !strings.Contains(config, want) {
					t.Errorf("%s: no %q in\n%s", w.Name, want, config)
				}
			}
			continue
		}
		log := "access_log off;"
		if w.Name == "accesslog" {
			log = "access_log /tmp/x/access.log combined buffer=64k flush=50ms;"
		}
		listen := "listen 127.0.0.1:8099 backlog=4096;"
		if w.tls {
			listen = "listen 127.0.0.1:8099 backlog=4096 ssl http2;"
		}
		for _, want := range []string{listen, "worker_processes 3;", log, `default_type "` + w.answerType() + `";`,
			"worker_connections 1280;", "worker_rlimit_nofile 5000;", `"/src/benchmarks/scripts/?.lua;;"`, "Content-Length"} {
			if !strings.Contains(config, want) {
				t.Errorf("%s: no %q in\n%s", w.Name, want, config)
			}
		}
		for directive, there := range map[string]bool{"location /files/": w.fileBytes > 0, "gzip_static on;": w.Name == "precompressed",
			"gzip on;": w.compress, "proxy_cache pages;": w.cached, "sendfile on;": w.fileBytes > 0 || w.cached, "sendfile off;": false} {
			if strings.Contains(config, directive) != there {
				t.Errorf("%s: %q is there: %v", w.Name, directive, !there)
			}
		}
		if strings.Contains(config, "affinity") {
			t.Error("affinity although it was not requested")
		}
	}
	s.NginxReuseport, s.NginxAffinity = true, true
	text, err := s.nginxConfig(Workloads[0], 1, "/tmp/x")
	if err != nil || !strings.Contains(string(text), " reuseport;") || !strings.Contains(string(text), "worker_cpu_affinity auto;") {
		t.Errorf("options are missing: %v\n%s", err, text)
	}
	s.NginxNoSendfile = true
	cached, err := FindWorkload("cached")
	if err != nil {
		t.Fatal(err)
	}
	text, err = s.nginxConfig(cached, 1, "/tmp/x")
	if err != nil || !strings.Contains(string(text), "sendfile off;") || !strings.Contains(string(text), "listen unix:/tmp/x/lua.sock;") {
		t.Errorf("cached: %v\n%s", err, text)
	}
	if _, err := s.nginxConfig(Workloads[0], 1, "/tmp/x; include /etc/passwd"); err == nil {
		t.Error("a path that ends a directive was taken")
	}
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	s := Settings{Temp: t.TempDir(), Mbserve: filepath.Join(t.TempDir(), "nothing"), NginxModules: t.TempDir()}
	err := s.Check([]string{"mbserve", "nginx"})
	if err == nil || !strings.Contains(err.Error(), "mbserve: no binary") || !strings.Contains(err.Error(), "nginx: ") ||
		!strings.Contains(err.Error(), "-servers nethttp") {
		t.Errorf("got %v", err)
	}
}

// newSettings returns settings for small tests.
func newSettings(t *testing.T) Settings {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files, err := RaiseFiles(1024)
	if err != nil {
		t.Fatal(err)
	}
	return Settings{Benchmarks: root, Temp: t.TempDir(), Mbserve: filepath.Join(root, "..", "bin", "mbserve"),
		NginxModules: "/usr/lib/nginx/modules", NginxWorkers: 2, Connections: 64, Files: files}
}

// The peers, and mbserve and nginx if they are there, must answer every workload alike and leave no process behind.
func TestServersAnswerAlike(t *testing.T) {
	s := newSettings(t)
	names := slices.DeleteFunc(slices.Clone(Names), func(name string) bool {
		return slices.Contains([]string{"mbserve", "nginx", "caddy", "haproxy"}, name) && s.checkOne(name) != nil
	})
	if err := s.Check(names); err != nil {
		t.Fatal(err)
	}
	for _, w := range Workloads {
		t.Run(w.Name, func(t *testing.T) {
			t.Parallel()
			if upstream := w.Upstream(); upstream != "" {
				if upstream != "limit" && s.checkOne(upstream) != nil {
					t.Skip("the upstream ", upstream, " is not installed")
				}
				server, err := s.Start(upstream, w.Origin())
				if err != nil {
					t.Fatal(err)
				}
				defer server.Stop()
				w = w.Through(server.Address)
			}
			var tested []string
			var answers []probe.Answer
			for _, name := range names {
				if w.Has(name) && !lacksJSON(w, name) {
					tested = append(tested, name)
					answers = append(answers, s.answerOf(t, name, w))
				}
			}
			if err := w.Compare(tested, answers); err != nil {
				t.Error(err)
			}
			if err := w.Expected(answers[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

// lacksJSON reports whether a Lua server cannot answer the workload json here, because there is no lua-cjson.
func lacksJSON(w Workload, server string) bool {
	found, err := filepath.Glob("/usr/lib/*/lua/5.1/cjson.so")
	return w.Name == "json" && slices.Contains(luaServers, server) && (err != nil || len(found) == 0)
}

// processesOf is how many processes a server has, when it has had the time to start as many as most: it answers as soon as one of them does.
func processesOf(s *Server, most int) (n int) {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if n = len(s.Tree.PIDs()); n >= most || time.Now().After(deadline) {
			return n
		}
	}
}

// answerOf starts a server, fetches its answer, and stops it.
func (s *Settings) answerOf(t *testing.T, name string, w Workload) probe.Answer {
	t.Helper()
	server, err := s.Start(name, w)
	if err != nil {
		t.Fatal(err)
	}
	a, err := server.Fetch(w)
	if err != nil {
		t.Error(err)
	}
	want := 1
	if name == "nginx" {
		want = 3
	}
	if processes := processesOf(server, want); processes < want {
		t.Errorf("%s has %d processes", name, processes)
	}
	if name == "nginx" && w.proxied == 0 && !strings.Contains(server.Versions, "LuaJIT") {
		t.Errorf("nginx reported the versions %q", server.Versions)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if left := server.Tree.PIDs(); len(left) != 0 || server.Running() {
		t.Errorf("%s left processes %v", name, left)
	}
	return a
}

func TestParseSetting(t *testing.T) {
	for _, s := range AllSettings {
		if got, err := ParseSetting(string(s)); err != nil || got != s {
			t.Errorf("%s: got %q, %v", s, got, err)
		}
	}
	if got, err := ParseSetting("alone"); err == nil || !strings.Contains(err.Error(), "together") {
		t.Errorf("got %q, %v", got, err)
	}
}

// A server is in the session and in the control group that its setting says, and all its processes are found.
func TestSettings(t *testing.T) {
	for _, setting := range AllSettings {
		t.Run(string(setting), func(t *testing.T) {
			if err := setting.Check(); err != nil {
				t.Skip("this machine cannot have the setting: ", err)
			}
			s := newSettings(t)
			s.Setting = setting
			names := []string{"limit"}
			if setting == Together { // where the session does not tell a server's processes
				names = append(names, "nginx")
			}
			for _, name := range names {
				if err := s.checkOne(name); err != nil {
					t.Log(err)
					continue
				}
				s.checkPlace(t, name)
			}
		})
	}
}

func (s *Settings) checkPlace(t *testing.T, name string) {
	server, err := s.Start(name, Workloads[0])
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	pid := server.cmd.Process.Pid
	session, err := unix.Getsid(pid)
	if mine, _ := unix.Getsid(0); err != nil || (session == mine) != (s.Setting == Together) {
		t.Errorf("%s: session %d, ours is %d, %v", name, session, mine, err)
	}
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if inside := strings.Contains(string(group), filepath.Base(server.dir)); err != nil || inside != (s.Setting == Cgroup) {
		t.Errorf("%s: control groups\n%s%v", name, group, err)
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &set); err != nil || (set.Count() == 1) != (s.Setting == Core || runtime.NumCPU() == 1) {
		t.Errorf("%s: %d cores, %v", name, set.Count(), err)
	}
	if strings.Contains(server.Command, "cgroup.procs") || strings.Contains(server.Command, "taskset") {
		t.Errorf("%s: not its own command: %s", name, server.Command)
	}
	if n := processesOf(server, map[string]int{"nginx": 3}[name]); name == "nginx" && n != 3 || name == "limit" && n != 1 {
		t.Errorf("%s: %d processes", name, n)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if left := server.Tree.PIDs(); len(left) != 0 {
		t.Errorf("%s left processes %v", name, left)
	}
}

// Both servers write the access log, and the driver can empty it meanwhile.
func TestAccessLog(t *testing.T) {
	s := newSettings(t)
	w, err := FindWorkload("accesslog")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range w.servers {
		t.Run(name, func(t *testing.T) {
			needs(t, s, name)
			server, err := s.Start(name, w)
			if err != nil {
				t.Fatal(err)
			}
			defer server.Stop()
			if err := server.EmptyAccessLog(); err != nil {
				t.Fatal(err)
			}
			if _, err := server.Fetch(w); err != nil {
				t.Fatal(err)
			}
			if err := server.Stop(); err != nil { // which writes what is left
				t.Error(err)
			}
			text, err := os.ReadFile(filepath.Join(server.dir, accessLogName))
			if n := strings.Count(string(text), `"GET / HTTP/1.1" 200 14 `); err != nil || n < 2 || strings.Contains(string(text), "\x00") {
				t.Errorf("%d requests in the log, %v:\n%s", n, err, text)
			}
		})
	}
}

// needs skips a test whose server make test neither builds nor installs everywhere. One that is built here must be there.
func needs(t *testing.T, s Settings, name string) {
	t.Helper()
	err := s.checkOne(name)
	switch {
	case err == nil:
	case name == "nginx" || name == "caddy" || name == "haproxy" || name == "mbserve":
		t.Skip("not on this machine: ", err)
	default:
		t.Fatal(err)
	}
}

// Servers of fixed bytes refuse workloads for which they have none.
func TestFixedServersHaveNoHandlers(t *testing.T) {
	s := newSettings(t)
	needs(t, s, "limit")
	page, err := FindWorkload("page")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start("limit", page); err == nil || !strings.Contains(err.Error(), "unknown workload page") {
		t.Errorf("got %v", err)
	}
}

func TestStartTellsWhyNot(t *testing.T) {
	script := filepath.Join(t.TempDir(), "mbserve")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no luck today >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell to simulate a server that fails")
	}
	s := Settings{Benchmarks: t.TempDir(), Temp: t.TempDir(), Mbserve: script}
	_, err := s.Start("mbserve", Workloads[0])
	if err == nil || !strings.Contains(err.Error(), "no luck today") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
}
