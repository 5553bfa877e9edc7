package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// owners are the user and the group of a file.
func owners(t *testing.T, name string) (uid, gid uint32) {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return st.Uid, st.Gid
}

// The file of a Unix socket belongs to whom the script says, and after a reload to whom it says then.
func TestSocketOwner(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	a := newApplication(t)
	socket := filepath.Join(filepath.Dir(a.script), "socket")
	a.write(`@ listen{ port, { proto = "local", path = %q, owner = "nobody", group = "65534", mode = "0660" }, connect = say("one") }`, socket)
	s := start(t, a.script)
	if uid, gid := owners(t, socket); uid != 65534 || gid != 65534 {
		t.Errorf("%d, %d", uid, gid)
	}
	a.write(`@ listen{ port, { proto = "local", path = %q, group = "0", mode = "0600" }, connect = say("two") }`, socket)
	s.signal(syscall.SIGHUP)
	s.wait("msg=reloaded")
	if uid, gid := owners(t, socket); uid != 65534 || gid != 0 {
		t.Errorf("after a reload: %d, %d", uid, gid)
	}
	// A name that is not there leaves everything as it is.
	a.write(`@ listen{ port, { proto = "local", path = %q, owner = "0", group = "no such group" }, connect = say("three") }`, socket)
	s.signal(syscall.SIGHUP)
	s.wait("reload failed", `group: there is no group`)
	if uid, gid := owners(t, socket); uid != 65534 || gid != 0 {
		t.Errorf("after a reload that has failed: %d, %d", uid, gid)
	}
	if got := get(t, s.url("/")); got != "two" {
		t.Errorf("%q serves", got)
	}
}
