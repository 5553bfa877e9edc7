package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// releases is an application whose directory is reached through a link that leads to one of its releases.
type releases struct {
	t    *testing.T
	root string
}

func newReleases(t *testing.T) *releases {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &releases{t, root}
	for _, n := range []string{"1", "2", "3", "4"} {
		r.put(n, "name.lua", "return \"module "+n+"\"")
		r.put(n, "data", "data "+n)
		r.put(n, "app.lua", `
			local http = require "moonbridge_http"
			local name = require "name"
			local handler = http.generate_handler(function(request)
				local f = io.open("data")
				local data = f:read("*a")
				f:close()
				request:send_status("200 OK")
				request:send_data("script `+n+`, ", name, ", ", data, ", ", tostring(os.getenv("PWD")))
			end)
			listen{ { proto = "tcp4", port = 0, localhost = true }, { proto = "local", path = "socket" }, connect = handler }`)
	}
	r.lead("1")
	return r
}

func (r *releases) put(release, name, text string) {
	r.t.Helper()
	dir := filepath.Join(r.root, release)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// current is the path of the link.
func (r *releases) current() string { return filepath.Join(r.root, "current") }

// lead makes the link lead to a release, as tools for deployment do it.
func (r *releases) lead(to string) {
	r.t.Helper()
	link := filepath.Join(r.root, "next")
	if err := os.Symlink(to, link); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(link, r.current()); err != nil {
		r.t.Fatal(err)
	}
}

// want is what all parts of a release say.
func (r *releases) want(release, pwd string) string {
	return "script " + release + ", module " + release + ", data " + release + ", " + pwd
}

// startIn starts a server in a directory, as a shell does it: with PWD.
func startIn(t *testing.T, dir, program string, args ...string) *instance {
	t.Helper()
	return startWithPWD(t, dir, dir, program, args...)
}

// startWithPWD starts a server in a directory with an environment variable PWD that may be wrong.
func startWithPWD(t *testing.T, dir, pwd, program string, args ...string) *instance {
	t.Helper()
	shell := needs(t, "sh")
	return launchWith(t, shell, nil, nil, append([]string{"-c", `cd "$0" && export PWD="$1" && shift && exec "$@"`, dir, pwd, program}, args...)...)
}

func mbserve(t *testing.T) string {
	t.Helper()
	program := os.Getenv("MBSERVE_BINARY")
	if program == "" {
		program, _ = os.Executable()
	}
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// After a link in the path of the working directory has been changed, a reload and a new process serve the new release:
// script, modules, relative paths, sockets and logs.
func TestNewRelease(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	s := startReplacing(t, func(args ...string) *instance {
		return startIn(t, r.current(), mbserve(t), args...)
	}, "--access-log", "access", "app.lua")
	url := s.url("/")
	release := "1"
	check := func(dir string) {
		t.Helper()
		if got, want := get(t, url), r.want(release, r.current()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got, want := getLocal(t, filepath.Join(dir, "socket")), r.want(release, r.current()); got != want {
			t.Errorf("%q at the socket, want %q", got, want)
		}
	}
	check(r.current())
	for _, step := range []struct{ how, release string }{{"HUP", "2"}, {"USR2", "3"}, {"HUP", "4"}} {
		r.lead(step.release)
		check(filepath.Join(r.root, release))
		s.mustChange(step.how)
		old := filepath.Join(r.root, release, "socket")
		release = step.release
		check(r.current())
		if _, err := os.Lstat(old); !os.IsNotExist(err) {
			t.Errorf("%s: the socket in the old release: %v", step.how, err)
		}
	}
	s.end()
	if _, err := os.Lstat(filepath.Join(r.root, "4", "socket")); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

// A release that does not load changes nothing, not even the directory.
func TestNewReleaseBroken(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	s := startIn(t, r.current(), mbserve(t), "app.lua")
	s.wait("msg=ready")
	r.put("2", "app.lua", "this is no Lua")
	for _, to := range []string{"2", "none"} {
		r.lead(to)
		if line := s.reload(); !strings.Contains(line, "reload failed") {
			t.Fatal(line)
		}
		if got, want := get(t, s.url("/")), r.want("1", r.current()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		kill(t, s.forkServers()[0])
		s.log.wait(t, s.log.size()-1, "fork server restarted")
		if got, want := get(t, s.url("/")), r.want("1", r.current()); got != want {
			t.Errorf("%q from a new fork server, want %q", got, want)
		}
	}
	r.lead("3")
	s.mustReload()
	if got, want := get(t, s.url("/")), r.want("3", r.current()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// If PWD is not the path of the working directory, it does not count.
func TestMisleadingPWD(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	for _, pwd := range []string{filepath.Join(r.root, "2"), r.root + "/2/../current", "current", ""} {
		r.lead("1")
		s := startWithPWD(t, filepath.Join(r.root, "1"), pwd, mbserve(t), "app.lua")
		s.wait("msg=ready")
		r.lead("2")
		s.mustReload()
		if got, want := get(t, s.url("/")), r.want("1", pwd); got != want {
			t.Errorf("PWD=%s: %q, want %q", pwd, got, want)
		}
		s.stop()
	}
}

// The script is also watched under the path by which the next reload will find it.
func TestWatchNewRelease(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	s := startIn(t, r.current(), mbserve(t), "--watch", "app.lua")
	s.wait("msg=ready")
	for i, release := range []string{"2", "3"} {
		from := s.log.size()
		r.lead(release)
		s.log.wait(t, from, "msg=reloaded")
		if got, want := get(t, s.url("/")), r.want(release, r.current()); got != want {
			t.Errorf("change %d: %q, want %q", i, got, want)
		}
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// If the binary is part of the release, USR2 starts that of the new release; HUP does not.
func TestNewReleaseWithBinary(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	for _, release := range []string{"1", "2"} {
		copyFile(t, filepath.Join(r.root, release, "server"), mbserve(t))
	}
	s := startReplacing(t, func(args ...string) *instance { return startIn(t, r.current(), "./server", args...) }, "app.lua")
	running := func(release string, deleted bool) {
		t.Helper()
		want := filepath.Join(r.root, release, "server")
		for _, pid := range append(s.childrenOf(s.now), s.now) {
			got, err := os.Readlink("/proc/" + itoa(pid) + "/exe")
			if err != nil || got != want && !(deleted && got == want+" (deleted)") {
				t.Errorf("process %d runs %s, %v; want %s", pid, got, err, want)
			}
		}
	}
	running("1", false)
	r.lead("2")
	s.mustChange("HUP")
	s.wait("the replaced script has ended")
	running("1", false)
	s.mustChange("USR2")
	running("2", false)

	// An installed binary is not used for the processes of the running one.
	installed := filepath.Join(r.root, "2", "other")
	if err := os.WriteFile(installed, []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(installed, filepath.Join(r.root, "2", "server")); err != nil {
		t.Fatal(err)
	}
	from := s.log.size()
	s.mustChange("HUP")
	s.log.wait(t, from, "the replaced script has ended")
	running("2", true)
	if got, want := get(t, s.url("/")), r.want("2", r.current()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.end()
}

// A path of a Unix socket that is short because it is relative stays short.
func TestLongDirectory(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	long := filepath.Join(r.root, strings.Repeat("long", 40))
	if err := os.Rename(filepath.Join(r.root, "1"), long); err != nil {
		t.Fatal(err)
	}
	r.lead(filepath.Base(long))
	s := startIn(t, r.current(), mbserve(t), "app.lua")
	s.wait("msg=ready")
	if _, err := os.Stat(filepath.Join(long, "socket")); err != nil {
		t.Error(err)
	}
	c, err := net.Dial("unix", filepath.Join(r.current(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
