package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager is the service manager's end of NOTIFY_SOCKET.
func manager(t *testing.T) (address string, next func() string) {
	t.Helper()
	address = filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return address, func() string {
		t.Helper()
		var b [4096]byte
		c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(b[:])
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestNotifier(t *testing.T) {
	address, next := manager(t)
	t.Setenv("NOTIFY_SOCKET", address)
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("NOTIFY_SOCKET") != "" {
		t.Error("the variable is still in the environment")
	}
	for _, c := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.ready("fine") }, "READY=1\nSTATUS=fine"},
		{n.reloading, "RELOADING=1\nMONOTONIC_USEC="},
		{n.stopping, "STOPPING=1\nSTATUS="},
	} {
		if err := c.send(); err != nil {
			t.Error(err)
		}
		if got := next(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestNotifierWithoutManager(t *testing.T) {
	for _, name := range []string{"", "relative"} {
		t.Setenv("NOTIFY_SOCKET", name)
		n, err := newNotifier()
		if (err == nil) != (name == "") {
			t.Errorf("%q: error %v", name, err)
		}
		if err := n.ready(""); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("NOTIFY_SOCKET", "/no/such/socket")
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	if n.ready("") == nil {
		t.Error("no error without a listener")
	}
}

// A manager that does not read costs each message a moment, and holds up nothing for ever: the server sends them where it handles signals.
func TestManagerDoesNotRead(t *testing.T) {
	address, _ := manager(t)
	t.Setenv("NOTIFY_SOCKET", address)
	n, err := newNotifier()
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		for {
			if err := n.ready("again"); err != nil {
				failed <- err
				return
			}
		}
	}()
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it waits for the manager")
	}
}
