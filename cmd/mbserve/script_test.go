package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// If the script cannot be used, the server exits with code 3 and one message that says what is wrong, and where.
func TestBadScripts(t *testing.T) {
	tests := []struct {
		script string // in testdata/bad, without its suffix
		want   []string
	}{
		{"syntax", []string{"testdata/bad/syntax.lua:4: '}' expected near 'port'"}},
		{"error", []string{"testdata/bad/error.lua:2: no database", "stack traceback", "error.lua:5: in main chunk"}},
		{"index", []string{"testdata/bad/index.lua:2: attempt to index", "local 'config'"}},
		{"error_table", []string{"error object of type table"}},
		{"error_object", []string{"an object that explains itself"}},
		{"error_nil", []string{"error object of type nil"}},
		{"error_lines", []string{"first line\nsecond line"}},
		{"no_listen", []string{"testdata/bad/no_listen.lua", "has not called listen"}},
		{"no_listener", []string{"testdata/bad/no_listener.lua:1: listen: no listener"}},
		{"unknown_parameter", []string{"unknown_parameter.lua:3: listen: listener 1: ", `"locahost"`, `did you mean "localhost"?`}},
		{"unknown_option", []string{"unknown_option.lua:3: listen: unknown option", `"max_frok"`, `did you mean "max_fork"?`}},
		{"wrong_type", []string{"wrong_type.lua:2: listen: option pre_fork: number expected, got string"}},
		{"out_of_range", []string{"out_of_range.lua:2: listen: listener 1: port: 70000 is not in the range"}},
		{"unknown_proto", []string{"unknown_proto.lua:2: listen: listener 1: unknown proto \"udp\""}},
		{"contradiction", []string{"contradiction.lua:2: listen: min_fork (5) is greater than max_fork (3)"}},
		{"no_connect", []string{"no_connect.lua:1: listen: listener 1: there is no connect handler"}},
		{"handler_option", []string{"handler_option.lua:2: generate_handler: unknown option 'request_body_limit'"}},
		{"no_module", []string{"no_module.lua:2: module 'no.such.module' not found"}},
		{"exit", []string{"testdata/bad/exit.lua", "exit status 7"}},
		{"exit_zero", []string{"testdata/bad/exit_zero.lua", "exit status 0"}},
		{"segfault", []string{"testdata/bad/segfault.lua", "segmentation fault"}},
	}
	for _, test := range tests {
		t.Run(test.script, func(t *testing.T) {
			t.Parallel()
			stdout, stderr := runToEnd(t, 3, "testdata/bad/"+test.script+".lua")
			checkMessage(t, stderr, test.want...)
			if stdout != "" {
				t.Errorf("standard output %q", stdout)
			}
		})
	}
}

// checkMessage expects a single message with the parts in order.
func checkMessage(t *testing.T, stderr string, parts ...string) {
	t.Helper()
	if !strings.HasPrefix(stderr, "mbserve: ") || strings.Count(stderr, "mbserve: ") != 1 {
		t.Errorf("not one message:\n%s", stderr)
	}
	rest := stderr
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("no %q in\n%s", part, stderr)
			continue
		}
		rest = after
	}
}

// A script that does not exist or cannot be read.
func TestScriptFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, stderr := runToEnd(t, 3, filepath.Join(dir, "missing.lua"))
	checkMessage(t, stderr, filepath.Join(dir, "missing.lua"), "no such file or directory")
	_, stderr = runToEnd(t, 3, dir)
	checkMessage(t, stderr, dir, "is a directory")
	locked := filepath.Join(dir, "locked.lua")
	if err := os.WriteFile(locked, []byte("listen{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // root may read everything
		os.Chmod(locked, 0)
		_, stderr = runToEnd(t, 3, locked)
		checkMessage(t, stderr, locked, "permission denied")
	}
}

func TestModulesBesideTheScript(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/modules/main.lua")
	if got, want := get(t, s.url("/")), "sibling package_of.two version"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A port that another program uses.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	_, stderr := runToEnd(t, 3, "testdata/bad/port.lua", port)
	checkMessage(t, stderr, "testdata/bad/port.lua:3: listen: listen 127.0.0.1:"+port+": bind: address already in use")

	// Another mbserve too, which shares its port among its own sockets.
	s := start(t, "testdata/hello.lua")
	_, port, _ = net.SplitHostPort(s.address(0))
	_, stderr = runToEnd(t, 3, "testdata/bad/port.lua", port)
	checkMessage(t, stderr, "address already in use")
}

func TestUnusableSocketPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("important"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                                 file,
		dir:                                  dir,
		filepath.Join(dir, "none", "socket"): "no such file or directory",
		"/" + strings.Repeat("x", 107):       "108 bytes long: more than 107",
	} {
		_, stderr := runToEnd(t, 3, "testdata/bad/path.lua", path)
		checkMessage(t, stderr, "testdata/bad/path.lua:3: listen: ", want)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "important" {
		t.Errorf("the file has %q, %v", text, err)
	}
}
