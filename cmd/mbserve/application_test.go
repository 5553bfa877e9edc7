package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testApplication runs the tests of a new application with this binary as the server.
func testApplication(t *testing.T, dir string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "test.sh"), "--tap")
	cmd.Env = append(os.Environ(), "MBSERVE="+self, envServer+"="+newMark(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestNewApplication: what "mbserve new" writes passes its own tests, and fails them when it is broken.
func TestNewApplication(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	stdout, _ := runToEnd(t, exitOK, "new", dir)
	if !strings.Contains(stdout, "./test.sh") || !strings.Contains(stdout, "/srv/shop") {
		t.Errorf("mbserve new says %s", stdout)
	}
	out, err := testApplication(t, dir)
	if err != nil || !strings.Contains(out, "ok 6 - a greeting without a name\n1..6\n") || strings.Contains(out, "not ok") {
		t.Errorf("%v\n%s", err, out)
	}

	module := filepath.Join(dir, "guests.lua")
	text, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(module, []byte(strings.Replace(string(text), "Hello", "Bye", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := testApplication(t, dir); err == nil || !strings.Contains(out, "not ok 1 - the home page greets the world\n") || !strings.Contains(out, "\nok 4 - it says that it is well\n") {
		t.Errorf("the broken application: %v\n%s", err, out)
	}
	if err := os.WriteFile(module, []byte("return nothing.at.all"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := testApplication(t, dir); err == nil || !strings.Contains(out, "mbserve: "+filepath.Join(dir, "main.lua")) && !strings.Contains(out, "guests.lua") {
		t.Errorf("an application that does not load: %v\n%s", err, out)
	}
}

func TestNewApplicationUnit(t *testing.T) {
	unit := unitOf("shop")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n[Unit]\n", "WorkingDirectory=/srv/shop\n", "\nExecStart=" + self + " ", "/srv/shop/main.lua\n"} {
		if !strings.Contains(unit, want) {
			t.Errorf("no %q in\n%s", want, unit)
		}
	}
	if strings.Contains(unit, "%i") {
		t.Errorf("the unit is still a template:\n%s", unit)
	}
}

func TestNewApplicationRefused(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"new"}, exitUsage, "usage: mbserve new DIRECTORY"},
		{[]string{"new", "a", "b"}, exitUsage, "usage"},
		{[]string{"new", "--help"}, exitUsage, "usage"},
		{[]string{"new", full}, exitStart, "not empty"},
		{[]string{"new", filepath.Join(full, "file")}, exitStart, "not a directory"},
		{[]string{"new", filepath.Join(full, "a b")}, exitStart, "not a name"},
	}
	for _, tt := range tests {
		var out, errs strings.Builder
		if code := run(tt.args, &out, &errs); code != tt.code || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("mbserve %q: exit code %d, %s", tt.args, code, errs.String())
		}
	}
	if entries, err := os.ReadDir(full); err != nil || len(entries) != 1 {
		t.Errorf("files were written: %v, %v", entries, err)
	}
}
