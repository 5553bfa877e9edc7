package servers

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
		err := Compare([]string{"one", "two"}, []probe.Answer{good, test.other})
		switch {
		case test.fault == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.fault != "" && (err == nil || !strings.Contains(err.Error(), "two: ") || !strings.Contains(err.Error(), test.fault)):
			t.Errorf("%s: got %v", test.name, err)
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
	s := Settings{Benchmarks: "/src/benchmarks", NginxModules: "/modules", NginxWorkers: 3, Connections: 1024, Files: 5000}
	for _, w := range Workloads {
		text, err := s.nginxConfig(w, 8099, "/tmp/x")
		if err != nil {
			t.Fatal(err)
		}
		config := string(text)
		for _, want := range []string{"listen 127.0.0.1:8099 backlog=4096;", "worker_processes 3;", "access_log off;",
			"worker_connections 1280;", "worker_rlimit_nofile 5000;", `"/src/benchmarks/scripts/?.lua;;"`, "Content-Length"} {
			if !strings.Contains(config, want) {
				t.Errorf("%s: no %q in\n%s", w.Name, want, config)
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
	if _, err := s.nginxConfig(Workloads[0], 1, "/tmp/x; include /etc/passwd"); err == nil {
		t.Error("a path that ends a directive was taken")
	}
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	s := Settings{Mbserve: filepath.Join(t.TempDir(), "nothing"), NginxModules: t.TempDir()}
	err := s.Check([]string{"mbserve", "nginx"})
	if err == nil || !strings.Contains(err.Error(), "mbserve: no binary") || !strings.Contains(err.Error(), "nginx: ") ||
		!strings.Contains(err.Error(), "-servers nethttp") {
		t.Errorf("got %v", err)
	}
}

// The peers, and nginx if it is installed, must answer every workload alike and leave no process behind.
func TestPeersAnswerAlike(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files, err := RaiseFiles(1024)
	if err != nil {
		t.Fatal(err)
	}
	s := Settings{Benchmarks: root, Temp: t.TempDir(), NginxModules: "/usr/lib/nginx/modules", NginxWorkers: 2,
		Connections: 64, Files: files}
	names := []string{"nethttp", "fasthttp"}
	if s.checkOne("nginx") == nil {
		names = append(names, "nginx")
	}
	if err := s.Check(names); err != nil {
		t.Fatal(err)
	}
	for _, w := range Workloads {
		t.Run(w.Name, func(t *testing.T) {
			var answers []probe.Answer
			for _, name := range names {
				server, err := s.Start(name, w)
				if err != nil {
					t.Fatal(err)
				}
				a, err := server.Fetch(w)
				if err != nil {
					t.Error(err)
				}
				answers = append(answers, a)
				if processes := len(server.Tree.PIDs()); name == "nginx" && processes != 3 || processes == 0 {
					t.Errorf("%s has %d processes", name, processes)
				}
				if name == "nginx" && !strings.Contains(server.Versions, "LuaJIT") {
					t.Errorf("nginx reported the versions %q", server.Versions)
				}
				if err := server.Stop(); err != nil {
					t.Error(err)
				}
				if left := server.Tree.PIDs(); len(left) != 0 || server.Running() {
					t.Errorf("%s left processes %v", name, left)
				}
			}
			if err := Compare(names, answers); err != nil {
				t.Error(err)
			}
			if err := w.Expected(answers[0]); err != nil {
				t.Error(err)
			}
		})
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
